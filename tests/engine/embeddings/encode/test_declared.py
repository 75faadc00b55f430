"""What an encoder's files declare, against sentence-transformers itself, and options that contradict it."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from engine.embeddings.encode.embed import Embed, embed
from engine.embeddings.encode.pooling import NAMES_ELSEWHERE, parse_pooling
from engine.errors import UserError
from engine.spool import RunFolder, SpoolWriter, read_records
from tests.engine.embeddings.encode.encoders import WORDS, save_encoder, save_model, write_items

SentenceTransformer: Any
modules: Any
TEXTS = [" ".join(WORDS[(n * 7 + i) % 40] for i in range(length)) for n, length in enumerate([3, 17, 1, 9, 29, 5, 2])]


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """sentence-transformers, whose import takes seconds: here, not in every process that collects."""
    global SentenceTransformer, modules
    import sentence_transformers
    from sentence_transformers.sentence_transformer import modules as kinds

    SentenceTransformer, modules = sentence_transformers.SentenceTransformer, kinds


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("models") / "bert")


def sentence_model(transformer: Path, folder: Path, *layers: Any, pooling: Any = "mean", **more: Any) -> Any:
    """A folder as sentence-transformers writes it, and the model it is."""
    include_prompt = more.pop("include_prompt", True)
    torch.manual_seed(1)
    first = modules.Transformer(str(transformer), **more.pop("reads", {}))
    pooled = modules.Pooling(16, pooling_mode=pooling, include_prompt=include_prompt)
    model = SentenceTransformer(modules=[first, pooled, *layers], device="cpu", **more)
    model.save(str(folder), create_model_card=False)
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def made(folder: Path, tmp_path: Path, texts: Sequence[str] = TEXTS, **settings: Any) -> tuple[Any, Any, list[str]]:
    """The vectors of the texts, the facts, and the warnings."""
    data = write_items(tmp_path / "data", list(texts))
    spool = RunFolder(tmp_path)
    spool.spool.unlink(missing_ok=True)
    asked = {"folder": str(data), "dataset": "shop", "encoder": str(folder), "template": "{title}", "fresh": True,
             "out": str(tmp_path / "x.safetensors"), "cache": str(tmp_path / "cache")}  # fmt: skip
    facts = embed(Embed.model_validate(asked | settings), SpoolWriter(spool), lambda: False)
    records, _ = read_records(spool.spool)
    warned = [record["text"] for record in records if record["r"] == "event" and record["level"] == "warning"]
    return load_file(tmp_path / "x.safetensors")["vectors"], facts, warned


POOLINGS: list[Any] = [*NAMES_ELSEWHERE, *itertools.combinations(NAMES_ELSEWHERE, 2),
                       ("lasttoken", "max", "cls"), tuple(NAMES_ELSEWHERE)]  # fmt: skip


@pytest.mark.parametrize("pooling", POOLINGS, ids=str)
def test_every_pooling_is_that_of_sentence_transformers(pooling: Any, bert: Path, tmp_path: Path) -> None:
    model = sentence_model(bert, tmp_path / "model", pooling=pooling)
    vectors, facts, warned = made(tmp_path / "model", tmp_path)
    np.testing.assert_allclose(vectors, model.encode(TEXTS), atol=2e-6)
    kinds = [pooling] if isinstance(pooling, str) else pooling
    assert facts["pooling"] == "+".join(NAMES_ELSEWHERE[kind] for kind in kinds)
    assert (facts["declared"], warned) == (True, [])


def test_nothing_that_sentence_transformers_knows_is_unknown() -> None:
    assert set(NAMES_ELSEWHERE) == set(modules.Pooling.POOLING_MODES)


@pytest.mark.parametrize("mode", NAMES_ELSEWHERE)
def test_the_flags_of_older_folders_are_read(mode: str, bert: Path, tmp_path: Path) -> None:
    """Before version 5 a pooling was one flag a kind."""
    sentence_model(bert, tmp_path / "model", pooling=mode)
    flag = {"cls": "cls_token", "lasttoken": "lasttoken"}.get(mode, f"{mode}_tokens").replace("len_tokens_", "len_")
    old = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": False, f"pooling_mode_{flag}": True}
    (tmp_path / "model" / "1_Pooling" / "config.json").write_text(json.dumps(old))
    model = SentenceTransformer(str(tmp_path / "model"), device="cpu", local_files_only=True)
    vectors, facts, _ = made(tmp_path / "model", tmp_path)
    assert facts["pooling"] == NAMES_ELSEWHERE[mode]
    np.testing.assert_allclose(vectors, model.encode(TEXTS), atol=2e-6)


def _layers(name: str) -> list[Any]:
    identity, gelu, relu = torch.nn.Identity(), torch.nn.GELU(), torch.nn.ReLU()
    layers: dict[str, list[Any]] = {
        "dense": [modules.Dense(16, 8)],
        "dense-normalize": [modules.Dense(16, 8, bias=False, activation_function=identity), modules.Normalize()],
        "two-dense": [modules.Dense(16, 32, activation_function=gelu), modules.Dense(32, 4, activation_function=relu)],
        "residual": [modules.Dense(16, 8, use_residual=True), modules.Dense(8, 8, use_residual=True)],
        "layer-norm": [modules.LayerNorm(16)],
        "normalize-dense": [modules.Normalize(), modules.Dense(16, 6)],
        "dropout": [modules.Dropout(0.5), modules.Normalize()],
    }
    return layers[name]


@pytest.mark.parametrize(
    "name", ["dense", "dense-normalize", "two-dense", "residual", "layer-norm", "normalize-dense", "dropout"]
)
def test_layers_behind_the_pooling(name: str, bert: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = sentence_model(bert, tmp_path / "model", *_layers(name))
    vectors, facts, warned = made(tmp_path / "model", tmp_path)
    np.testing.assert_allclose(vectors, model.encode(TEXTS), atol=2e-6)
    assert warned == []
    with safe_open(facts["file"], "np") as file:
        stored = file.metadata()
    assert stored["layers"] == facts["layers"]
    if name == "dense-normalize":
        assert facts["layers"] == "dense 16->8 identity, normalize"


@pytest.mark.parametrize("pools_prompt", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "weightedmean", "cls", "lasttoken", "max"])
def test_prompts_for_documents(pools_prompt: bool, pooling: str, bert: Path, tmp_path: Path) -> None:
    more = {"prompts": {"query": "w1 w2 w3 ", "passage": "w4 w5 "}, "include_prompt": pools_prompt}
    model = sentence_model(bert, tmp_path / "model", pooling=pooling, **more)
    vectors, facts, warned = made(tmp_path / "model", tmp_path)
    assert model.prompts["passage"] == facts["prompt"] == "w4 w5 "
    document = model.encode(TEXTS, prompt_name="passage")
    np.testing.assert_allclose(vectors, document, atol=2e-6)
    assert warned == []
    asked, _, warned = made(tmp_path / "model", tmp_path, prompt="query")
    np.testing.assert_allclose(asked, model.encode(TEXTS, prompt_name="query"), atol=2e-6)
    assert len(warned) == 1 and "--prompt query contradicts" in warned[0]
    asked, facts, warned = made(tmp_path / "model", tmp_path, prompt="none")
    np.testing.assert_allclose(asked, model.encode(TEXTS, prompt=""), atol=2e-6)
    assert len(warned) == 1 and "prompt" not in facts


def test_a_default_prompt_is_used(bert: Path, tmp_path: Path) -> None:
    model = sentence_model(bert, tmp_path / "model", prompts={"sts": "w9 "}, default_prompt_name="sts")
    vectors, facts, _ = made(tmp_path / "model", tmp_path)
    assert facts["prompt"] == "w9 "
    np.testing.assert_allclose(vectors, model.encode(TEXTS), atol=2e-6)
    both = {"document": "w8 ", "sts": "w9 "}
    model = sentence_model(bert, tmp_path / "model", prompts=both, default_prompt_name="sts")
    np.testing.assert_allclose(made(tmp_path / "model", tmp_path)[0], model.encode(TEXTS), atol=2e-6)
    model = sentence_model(bert, tmp_path / "model", prompts=both)
    np.testing.assert_allclose(made(tmp_path / "model", tmp_path)[0], model.encode_document(TEXTS), atol=2e-6)
    with pytest.raises(UserError, match=r"--prompt stt: .* declares .*sts"):
        made(tmp_path / "model", tmp_path, prompt="stt")


@pytest.mark.parametrize(("width", "normalize"), [(8, None), (8, True), (99, None)])
def test_a_declared_width_cuts_the_vectors(width: int, normalize: bool | None, bert: Path, tmp_path: Path) -> None:
    model = sentence_model(bert, tmp_path / "model", modules.Dense(16, 12), truncate_dim=width)
    vectors, facts, _ = made(tmp_path / "model", tmp_path, normalize=normalize)
    np.testing.assert_allclose(vectors, model.encode(TEXTS, normalize_embeddings=bool(normalize)), atol=2e-6)
    assert vectors.shape[1] == min(width, 12)
    assert facts["layers"] == f"dense 16->12 tanh, first {width}" + (", normalize" if normalize else "")


def test_length_and_lower_case(bert: Path, tmp_path: Path) -> None:
    loud = [text.upper() for text in TEXTS]
    sentence_model(bert, tmp_path / "model", reads={"max_seq_length": 11})
    reading = {"max_seq_length": 11, "do_lower_case": True}
    (tmp_path / "model" / "sentence_bert_config.json").write_text(json.dumps(reading))
    model = SentenceTransformer(str(tmp_path / "model"), device="cpu", local_files_only=True)
    vectors, facts, warned = made(tmp_path / "model", tmp_path, loud)
    assert (facts["max_length"], facts["lower_case"], warned) == (11, True, [])
    np.testing.assert_allclose(vectors, model.encode(loud), atol=2e-6)
    _, facts, warned = made(tmp_path / "model", tmp_path, loud, max_length=11)
    assert warned == []
    _, facts, warned = made(tmp_path / "model", tmp_path, loud, max_length=20)
    assert facts["max_length"] == 20
    assert warned and "--max-length 20 contradicts" in warned[0] and "at most 11 tokens" in warned[0]


def test_the_whole_text_is_read_where_sentence_transformers_reads_it(tmp_path: Path) -> None:
    shape = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 32, "max_position_embeddings": 64}  # fmt: skip
    special = {"pad_token": "[PAD]", "padding_side": "left"}
    llama = save_model(tmp_path / "llama", "LlamaModel", "LlamaConfig", shape, special)
    model = sentence_model(llama, tmp_path / "model", pooling="lasttoken")
    texts = [" ".join(WORDS[(n + i) % 40] for i in range(80)) for n in range(3)]
    vectors, facts, _ = made(tmp_path / "model", tmp_path, texts)
    assert facts["max_length"] == model.max_seq_length == 64
    np.testing.assert_allclose(vectors, model.encode(texts), atol=2e-6)


def test_the_transformer_in_a_folder_of_its_own(bert: Path, tmp_path: Path) -> None:
    sentence_model(bert, tmp_path / "model", modules.Normalize(), pooling="cls")
    folder, place = tmp_path / "model", tmp_path / "model" / "0_Transformer"
    place.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).rename(place / name)
    (folder / "sentence_bert_config.json").rename(place / "sentence_bert_config.json")
    listed = json.loads((folder / "modules.json").read_text())
    listed[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(listed))
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    np.testing.assert_allclose(made(folder, tmp_path)[0], model.encode(TEXTS), atol=2e-6)
    before = made(folder, tmp_path)[1]["key"]
    (folder / "modules.json").unlink()  # the folders' names say the same
    vectors, facts, _ = made(folder, tmp_path)
    np.testing.assert_allclose(vectors, model.encode(TEXTS), atol=2e-6)
    assert (facts["pooling"], facts["layers"]) == ("cls", "normalize")
    assert facts["key"] != before


# ------------------------------------------------------------------------------------ options


def test_options_that_contradict_warn_and_are_used(bert: Path, tmp_path: Path) -> None:
    model = sentence_model(bert, tmp_path / "model", modules.Normalize())
    plain = sentence_model(bert, tmp_path / "plain")
    vectors, facts, warned = made(tmp_path / "model", tmp_path, normalize=False)
    np.testing.assert_allclose(vectors, plain.encode(TEXTS), atol=2e-6)
    assert len(warned) == 1 and "--no-normalize contradicts" in warned[0] and "layers" not in facts
    vectors, _, warned = made(tmp_path / "plain", tmp_path, normalize=True)
    np.testing.assert_allclose(vectors, model.encode(TEXTS), atol=2e-6)
    assert len(warned) == 1 and "--normalize contradicts" in warned[0]
    _, facts, warned = made(tmp_path / "model", tmp_path, pooling="cls")
    assert (facts["pooling"], facts["layers"]) == ("cls", "normalize")
    assert len(warned) == 1 and "--pooling cls contradicts" in warned[0] and "declares pooling mean" in warned[0]
    assert made(tmp_path / "model", tmp_path, pooling="mean", normalize=True)[2] == []
    assert made(bert, tmp_path, pooling="max+lasttoken", normalize=True)[2] == []  # where nothing is declared


def test_poolings_are_named(bert: Path, tmp_path: Path) -> None:
    assert parse_pooling("cls + weightedmean+max") == ("cls", "eos-weighted", "max")
    for wrong in ("median", "", "mean+", "mean,max"):
        with pytest.raises(UserError, match="is none of mean, last, cls, max"):
            parse_pooling(wrong)
    sentence_model(bert, tmp_path / "model", modules.Dense(16, 8))
    with pytest.raises(UserError, match=r"2_Dense takes vectors of 16 numbers, the pooling gives 32; leave --pooling"):
        made(tmp_path / "model", tmp_path, pooling="cls+mean")


# ------------------------------------------------------------------------------------ refusals


def test_what_cannot_be_done_is_one_line(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    sentence_model(bert, folder, modules.Dense(16, 8))
    sound = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def refused(says: str) -> None:
        with pytest.raises(UserError, match=says) as caught:
            made(folder, tmp_path)
        assert "\n" not in str(caught.value)
        for path, content in sound.items():
            path.write_bytes(content)

    def declared(*types: str) -> None:
        listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
        listed += [{"idx": n, "name": str(n), "path": f"{n}_X", "type": kind} for n, kind in enumerate(types, 1)]
        (folder / "modules.json").write_text(json.dumps(listed))

    for kind in ("WeightedLayerPooling", "CNN", "LSTM", "Router", "StaticEmbedding"):
        declared(f"sentence_transformers.models.{kind}")
        refused(f"declares a module {kind} .*give a copy of the folder without modules.json")
    declared("custom_st.Transformer")
    refused("declares custom_st.Transformer, code by its author, which is never run")
    (folder / "modules.json").write_text("[{]")
    refused("modules.json is no JSON")
    (folder / "modules.json").write_text('{"0": 1}')
    refused("is no list of modules")
    listed = json.loads(sound[folder / "modules.json"])
    (folder / "modules.json").write_text(json.dumps([*listed[:2], listed[2] | {"path": "../plain"}]))
    refused("leads out of the folder")
    (folder / "modules.json").write_text(json.dumps([*listed[:2], listed[2] | {"path": "a\0b"}]))
    refused("is no list of modules")

    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "attention"}')
    refused("declares the pooling 'attention', which is not known")
    (folder / "1_Pooling" / "config.json").unlink()
    refused("no 1_Pooling/config.json, which its modules need")

    for setting, says in (
        ({"default_prompt_name": "web"}, "names the default prompt 'web', which is none of its prompts"),
        ({"truncate_dim": 0}, "truncate_dim 0 in config_sentence_transformers.json is no width"),
        ({"truncate_dim": "8"}, "truncate_dim '8' in config_sentence_transformers.json is no width"),
    ):
        settings = json.loads(sound[folder / "config_sentence_transformers.json"])
        (folder / "config_sentence_transformers.json").write_text(json.dumps(settings | setting))
        refused(says)

    dense = json.loads(sound[folder / "2_Dense" / "config.json"])
    for change, says in (
        ({"activation_function": "os.system"}, "the activation os.system, which is none of torch's own"),
        ({"activation_function": "torch.nn.Module"}, "which is none of torch's own"),
        ({"activation_function": "torch.hub.load"}, "which is none of torch's own"),
        ({"out_features": 9}, "the weights of 2_Dense are not those of its config.json"),
        ({"bias": False}, "the weights of 2_Dense are not those of its config.json"),
        ({"module_input_name": "token_embeddings"}, "works on the vectors of tokens"),
    ):
        (folder / "2_Dense" / "config.json").write_text(json.dumps(dense | change))
        refused(says)
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    refused(r"no model.safetensors in 2_Dense \(a pickle is never read\); convert it")
    (folder / "2_Dense" / "model.safetensors").write_bytes(b"junk")
    refused("2_Dense/model.safetensors cannot be read")
