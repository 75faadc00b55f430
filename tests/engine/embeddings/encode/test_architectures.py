"""Every kind of architecture: batches against one text at a time, without padding, with transformers alone."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.embeddings.encode.architecture import read_architecture
from engine.embeddings.encode.declared import recipe
from engine.embeddings.encode.encoder import Encoder, Tokenizer
from engine.embeddings.encode.source import locate
from engine.errors import UserError
from tests.engine.embeddings.encode.encoders import WORDS, save_model

TEXTS = [" ".join(WORDS[(n * 7 + i) % 40] for i in range(length)) for n, length in enumerate([3, 17, 1, 9, 29, 5, 2])]
SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
GROUPED = SMALL | {"num_key_value_heads": 1, "head_dim": 8, "pad_token_id": None}
T5: dict[str, Any] = {"vocab_size": 64, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
BART: dict[str, Any] = {
    "vocab_size": 64,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
}
ROBERTA = SMALL | {"pad_token_id": 1, "max_position_embeddings": 40}
VISION = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
          "image_size": 8, "patch_size": 4}  # fmt: skip
TOWERS = {"text_config": SMALL | {"projection_dim": 8, "eos_token_id": 3}, "vision_config": VISION}

Part = Callable[[Any], Any]
KINDS: dict[str, tuple[str, str, Mapping[str, Any], Part]] = {
    # encoders whose positions begin behind the pad token's number
    "roberta": ("RobertaModel", "RobertaConfig", ROBERTA, lambda m: m),
    "xlm-roberta": ("XLMRobertaModel", "XLMRobertaConfig", ROBERTA, lambda m: m),
    "camembert": ("CamembertModel", "CamembertConfig", ROBERTA, lambda m: m),
    "mpnet": ("MPNetModel", "MPNetConfig", ROBERTA, lambda m: m),
    "ibert": ("IBertModel", "IBertConfig", ROBERTA, lambda m: m),
    "longformer": ("LongformerModel", "LongformerConfig", ROBERTA | {"attention_window": 8}, lambda m: m),
    # other encoders
    "bert": ("BertModel", "BertConfig", SMALL, lambda m: m),
    "distilbert": ("DistilBertModel", "DistilBertConfig", {"vocab_size": 64, "dim": 16, "n_layers": 2, "n_heads": 2,
                   "hidden_dim": 32, "max_position_embeddings": 64}, lambda m: m),
    "deberta-v2": ("DebertaV2Model", "DebertaV2Config", SMALL | {"relative_attention": True, "position_buckets": 8,
                   "pos_att_type": ["c2p", "p2c"], "conv_kernel_size": 3}, lambda m: m),
    "modernbert": ("ModernBertModel", "ModernBertConfig", SMALL | {"local_attention": 6, "pad_token_id": 1},
                   lambda m: m),
    "convbert": ("ConvBertModel", "ConvBertConfig", SMALL | {"embedding_size": 16, "conv_kernel_size": 3},
                 lambda m: m),
    "fnet": ("FNetModel", "FNetConfig", SMALL, lambda m: m),
    # without a limit
    "xlnet": ("XLNetModel", "XLNetConfig", {"vocab_size": 64, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32},
              lambda m: m),
    "bloom": ("BloomModel", "BloomConfig", {"vocab_size": 64, "hidden_size": 16, "n_layer": 2, "n_head": 2},
              lambda m: m),
    "mpt": ("MptModel", "MptConfig", {"vocab_size": 64, "d_model": 16, "n_layers": 2, "n_heads": 2}, lambda m: m),
    # the encoder alone, and of an encoder-decoder
    "t5-encoder": ("T5EncoderModel", "T5Config", T5, lambda m: m.encoder),
    "mt5-encoder": ("MT5EncoderModel", "MT5Config", T5, lambda m: m.encoder),
    "umt5-encoder": ("UMT5EncoderModel", "UMT5Config", T5, lambda m: m.encoder),
    "longt5-encoder": ("LongT5EncoderModel", "LongT5Config", T5 | {"local_radius": 4}, lambda m: m.encoder),
    "t5": ("T5ForConditionalGeneration", "T5Config", T5, lambda m: m.encoder),
    "switch": ("SwitchTransformersModel", "SwitchTransformersConfig", T5 | {"num_experts": 2, "expert_capacity": 4,
               "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1}, lambda m: m.encoder),
    "bart": ("BartModel", "BartConfig", BART, lambda m: m.encoder),
    "pegasus": ("PegasusModel", "PegasusConfig", BART, lambda m: m.encoder),
    "m2m-100": ("M2M100Model", "M2M100Config", BART, lambda m: m.encoder),
    "fsmt": ("FSMTModel", "FSMTConfig", BART | {"langs": ["en", "de"], "src_vocab_size": 64, "tgt_vocab_size": 64},
             lambda m: m.encoder),
    # two towers
    "clip": ("CLIPModel", "CLIPConfig", TOWERS | {"projection_dim": 8}, lambda m: m.text_model),
    "siglip": ("SiglipModel", "SiglipConfig", TOWERS, lambda m: m.text_model),
    "chinese-clip": ("ChineseCLIPModel", "ChineseCLIPConfig", TOWERS | {"projection_dim": 8}, lambda m: m.text_model),
    "owlvit": ("OwlViTModel", "OwlViTConfig", TOWERS | {"projection_dim": 8}, lambda m: m.text_model),
    "clip-text": ("CLIPTextModel", "CLIPTextConfig", TOWERS["text_config"], lambda m: m),
    "dpr": ("DPRContextEncoder", "DPRConfig", SMALL, lambda m: m.ctx_encoder.bert_model),
    # decoders, without a pad token, with sliding windows, with experts
    "gpt2": ("GPT2Model", "GPT2Config", {"vocab_size": 64, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
             lambda m: m),
    "opt": ("OPTModel", "OPTConfig", {"vocab_size": 64, "hidden_size": 16, "word_embed_proj_dim": 16, "ffn_dim": 32,
            "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}, lambda m: m),
    "llama": ("LlamaForCausalLM", "LlamaConfig", GROUPED, lambda m: m.model),
    "mistral": ("MistralModel", "MistralConfig", GROUPED | {"sliding_window": 4}, lambda m: m),
    "starcoder2": ("Starcoder2Model", "Starcoder2Config", SMALL | {"num_key_value_heads": 1, "sliding_window": 4,
                   "pad_token_id": None}, lambda m: m),
    "gemma3": ("Gemma3TextModel", "Gemma3TextConfig", GROUPED | {"sliding_window": 4, "pad_token_id": 0}, lambda m: m),
    "gemma2": ("Gemma2Model", "Gemma2Config", GROUPED | {"sliding_window": 4, "pad_token_id": 0}, lambda m: m),
    "mixtral": ("MixtralModel", "MixtralConfig", GROUPED | {"num_local_experts": 2}, lambda m: m),
    # state spaces
    "mamba": ("MambaModel", "MambaConfig", {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2,
              "state_size": 4}, lambda m: m),
    "mamba2": ("Mamba2Model", "Mamba2Config", {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2,
               "state_size": 4, "head_dim": 8, "num_heads": 4, "n_groups": 1, "chunk_size": 8}, lambda m: m),
    "falcon-mamba": ("FalconMambaModel", "FalconMambaConfig", {"vocab_size": 64, "hidden_size": 16,
                     "num_hidden_layers": 2, "state_size": 4}, lambda m: m),
    "jamba": ("JambaModel", "JambaConfig", GROUPED | {"num_experts": 2, "use_mamba_kernels": False, "mamba_d_state": 4,
              "attn_layer_period": 2, "attn_layer_offset": 1}, lambda m: m),
    "rwkv": ("RwkvModel", "RwkvConfig", {"vocab_size": 64, "hidden_size": 16, "attention_hidden_size": 16,
             "num_hidden_layers": 2, "intermediate_size": 32}, lambda m: m),
}  # fmt: skip


def opened(model: Path, max_length: int | None = 32, pooling: str | None = "mean") -> tuple[Tokenizer, Encoder]:
    source = locate(str(model), None, print)
    way = recipe(source.declared, source.name, pooling=pooling, max_length=max_length)
    architecture = read_architecture(source)
    tokenizer = Tokenizer(source, architecture, way)
    return tokenizer, Encoder(source, architecture, way, tokenizer, device="cpu", precision="fp32")


def plain_model(kind: str, folder: Path) -> Any:
    """What transformers itself reads from the folder. Its import takes seconds: not in every process that collects."""
    import transformers

    return getattr(transformers, kind).from_pretrained(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_gives_what_each_text_gives_alone(kind: str, tmp_path: Path) -> None:
    """The reference loads the saved class itself and calls it with what the tokenizer gives for one text."""
    model, config, shape, part = KINDS[kind]
    save_model(tmp_path, model, config, dict(shape), {"cls_token": "[CLS]", "pad_token": "[PAD]"})
    tokenizer, encoder = opened(tmp_path)
    made = encoder(tokenizer(TEXTS))
    assert encoder.warnings == []
    alone = part(plain_model(model, tmp_path)).eval()
    plain = plain_model("AutoTokenizer", tmp_path)
    for text, vector in zip(TEXTS, made, strict=True):
        ids = plain(text, truncation=True, max_length=32, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            h = alone(input_ids=ids).last_hidden_state[0]
        np.testing.assert_allclose(vector, h.mean(dim=0).numpy(), atol=1e-5, err_msg=text)
    spread = np.linalg.norm(made - made.mean(axis=0)) / np.linalg.norm(made)
    assert spread > 0.01  # the texts differ, and so do their vectors


def test_models_that_mix_padding_in_are_encoded_without(tmp_path: Path) -> None:
    ways = {}
    for kind in ("bert", "fnet", "convbert", "switch"):
        model, config, shape, _ = KINDS[kind]
        save_model(tmp_path / kind, model, config, dict(shape), {"cls_token": "[CLS]", "pad_token": "[PAD]"})
        tokenizer, encoder = opened(tmp_path / kind)
        encoder(tokenizer(TEXTS))
        ways[kind] = encoder.batching
    assert ways == {"bert": "padded", "fnet": "equal lengths", "convbert": "equal lengths", "switch": "one by one"}


@pytest.mark.parametrize(
    ("kind", "limit"),
    [("roberta", 38), ("ibert", 38), ("xlm-roberta", 38), ("mpnet", 38), ("longformer", 38), ("bert", 64),
     ("bart", 64), ("opt", 64),
     ("gpt2", 64), ("clip", 64), ("llama", 64), ("xlnet", None), ("t5", None), ("bloom", None), ("mamba", None)],
)  # fmt: skip
def test_the_longest_text_is_as_long_as_the_model_can_read(kind: str, limit: int | None, tmp_path: Path) -> None:
    """A text of that many tokens works in the plain model; one more is refused before anything is encoded."""
    model, config, shape, part = KINDS[kind]
    save_model(tmp_path, model, config, dict(shape), {"cls_token": "[CLS]", "model_max_length": 10**30})
    long = " ".join(WORDS[n % 40] for n in range(400))
    tokenizer, encoder = opened(tmp_path, limit or 300)
    row = tokenizer([long])[0]
    assert len(row) == (limit or 300)
    alone = part(plain_model(model, tmp_path)).eval()
    with torch.inference_mode():
        h = alone(input_ids=torch.tensor(row.ids[None], dtype=torch.int64)).last_hidden_state[0]
    np.testing.assert_allclose(encoder([row, row[:3]])[0], h.mean(dim=0).numpy(), atol=1e-5)
    if limit is not None:
        with pytest.raises(UserError, match=f"--max-length {limit + 1}: .* reads at most {limit} tokens"):
            opened(tmp_path, limit + 1)
        assert opened(tmp_path, None)[0].max_length == min(128, limit)
    else:
        assert opened(tmp_path, None)[0].max_length == 128


@pytest.mark.parametrize("model", ["XLNetModel", "FunnelModel", "BertModel"])
def test_marks_of_the_tokenizer_are_passed_on(model: str, tmp_path: Path) -> None:
    """XLNet and Funnel were trained with another type for the CLS token."""
    funnel = {"vocab_size": 64, "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32, "block_sizes": [1, 1],
              "num_decoder_layers": 1}  # fmt: skip
    shape = {"XLNetModel": dict(KINDS["xlnet"][2]), "FunnelModel": funnel, "BertModel": SMALL | {"type_vocab_size": 3}}[
        model
    ]
    names = ["input_ids", "token_type_ids", "attention_mask"]
    special = {"cls_token": "[CLS]", "model_input_names": names}
    save_model(tmp_path, model, model.replace("Model", "Config"), shape, special, cls_type=2)
    tokenizer, encoder = opened(tmp_path)
    made = encoder(tokenizer(TEXTS[1:2] + TEXTS[3:5]))
    alone = plain_model(model, tmp_path).eval()
    plain = plain_model("AutoTokenizer", tmp_path)
    for text, vector in zip(TEXTS[1:2] + TEXTS[3:5], made, strict=True):
        inputs = plain(text, truncation=True, max_length=32, return_tensors="pt")
        assert int(inputs["token_type_ids"].max()) == 2
        with torch.inference_mode():
            h = alone(**inputs).last_hidden_state[0]
        np.testing.assert_allclose(vector, h.mean(dim=0).numpy(), atol=1e-5)


# ------------------------------------------------------------------------------------ tokens outside the table


@pytest.mark.parametrize("kind", ["llama", "bert", "gpt2", "mamba", "ibert", "fsmt", "owlvit"])
def test_a_pad_token_outside_the_table_does_no_harm(kind: str, tmp_path: Path) -> None:
    """A pad token was added to the tokenizer, the model was not made larger; a text with its name in it is letters."""
    model, config, shape, part = KINDS[kind]
    lacking = {} if kind in ("ibert", "fsmt") else {"pad_token_id": None}  # which cannot be built without one
    save_model(tmp_path, model, config, {**shape, **lacking}, {"pad_token": "[ADDED]"}, spare=20)
    texts = [*TEXTS, "w1 [ADDED] w2"]
    tokenizer, encoder = opened(tmp_path)
    rows = tokenizer(texts)
    assert max(int(row.ids.max()) for row in rows) < 64
    made = encoder(rows)
    alone = part(plain_model(model, tmp_path)).eval()
    for row, vector in zip(rows, made, strict=True):
        with torch.inference_mode():
            h = alone(input_ids=torch.tensor(row.ids[None], dtype=torch.int64)).last_hidden_state[0]
        np.testing.assert_allclose(vector, h.mean(dim=0).numpy(), atol=1e-5)


def test_the_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    model, config, shape, _ = KINDS["bert"]
    save_model(tmp_path, model, config, dict(shape) | {"vocab_size": 30}, {"cls_token": "[CLS]"})
    tokenizer, _ = opened(tmp_path)
    with pytest.raises(UserError, match=r"gives token number 3\d \(w\d+\), its model knows 30; take the tokenizer"):
        tokenizer(TEXTS)


# ------------------------------------------------------------------------------------ what is no text encoder


def test_adapters_are_refused_with_what_to_do(tmp_path: Path) -> None:
    model, config, shape, _ = KINDS["bert"]
    for place, peft in ((".", "LORA"), (".", "IA3"), ("0_Transformer", "LORA")):
        folder = tmp_path / f"{place}{peft}"
        save_model(folder, model, config, dict(shape), {"cls_token": "[CLS]"})
        (folder / place).mkdir(exist_ok=True)
        (folder / place / "adapter_config.json").write_text(
            json.dumps({"peft_type": peft, "base_model_name_or_path": "mistralai/Mistral-7B-v0.1"})
        )
        with pytest.raises(UserError, match=rf"an adapter \({peft}\) of mistralai/.*merge_and_unload") as caught:
            locate(str(folder), None, print)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weights", ["adapter_model.bin", "adapter_model.safetensors"])
def test_an_adapter_without_its_settings_is_one_too(weights: str, tmp_path: Path) -> None:
    (tmp_path / weights).write_bytes(b"")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=rf"{weights} is an adapter, not a whole model, and its adapter_config.json is"):
        locate(str(tmp_path), None, print)


@pytest.mark.parametrize(
    ("config", "weights", "says"),
    [
        ({"peft_type": "PREFIX_TUNING", "base_model_name_or_path": "a/b"}, None, "learned prompts cannot be merged"),
        ({"peft_type": "P_TUNING", "base_model_name_or_path": "a/b"}, None, "encode with peft, and put the matrix"),
        ({"peft_type": "LORA"}, None, "of a model that adapter_config.json does not name .BASE., not a whole model"),
        ({"peft_type": "LORA", "base_model_name_or_path": None, "use_dora": True}, None, "does not name"),
        ({"peft_type": "LOHA", "base_model_name_or_path": "/nowhere/base"}, None, "of /nowhere/base, which is not the"),
        ({"peft_type": "LORA", "base_model_name_or_path": "a/b"}, "model.safetensors", "holds weights of a model and"),
        ([1], None, "adapter_config.json is no JSON object"),
    ],
)
def test_what_can_be_done_with_an_adapter_depends_on_it(
    config: Any, weights: str | None, says: str, tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    (tmp_path / (weights or "adapter_model.safetensors")).write_bytes(b"")
    with pytest.raises(UserError, match=says) as caught:
        locate(str(tmp_path), None, print)
    text = str(caught.value)
    assert "\n" not in text and ("merge_and_unload" in text) == ("prompts" not in text and "object" not in text)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.pt", "tf_model.h5"])
def test_other_weights_are_refused_with_what_to_do(file: str, tmp_path: Path) -> None:
    model, config, shape, _ = KINDS["bert"]
    save_model(tmp_path, model, config, dict(shape), {"cls_token": "[CLS]"})
    (tmp_path / "model.safetensors").rename(tmp_path / file)
    with pytest.raises(UserError, match=rf"its weights are {file}.*; only safetensors are read, so convert it"):
        locate(str(tmp_path), None, print)


@pytest.mark.parametrize("kind", ["Bert", "Qwen2", "XLMRoberta", "T5Encoder"])
def test_a_tokenizer_that_is_not_there_is_missed(kind: str, tmp_path: Path) -> None:
    """transformers makes an empty one, for which every text is the same."""
    shape = SMALL | {"d_kv": 8, "d_ff": 32, "num_layers": 1, "d_model": 16, "num_heads": 2, "num_key_value_heads": 1}
    save_model(tmp_path, f"{kind}Model", f"{kind.removesuffix('Encoder')}Config", shape, {"cls_token": "[CLS]"})
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(UserError, match=r"its tokenizer knows no words; copy|transformers cannot load it") as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UserError, match=r"model.safetensors is a pointer of Git LFS, .*; run `git lfs pull` there"):
        locate(str(tmp_path), None, print)


def test_a_model_that_reads_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    shape = VISION | {"num_channels": 3}
    save_model(tmp_path, "ViTModel", "ViTConfig", shape, {"cls_token": "[CLS]"})
    with pytest.raises(UserError, match=r"ViTModel cannot encode text of .*; give another encoder") as caught:
        tokenizer, encoder = opened(tmp_path)
        encoder(tokenizer(TEXTS))
    assert "\n" not in str(caught.value)


def test_what_gives_no_vector_for_each_token_is_refused(tmp_path: Path) -> None:
    """Funnel without its decoder shortens the text; a reader of DPR has another part's weights."""
    funnel = {"vocab_size": 64, "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32, "block_sizes": [1, 1]}
    save_model(tmp_path / "funnel", "FunnelBaseModel", "FunnelConfig", funnel, {"cls_token": "[CLS]"})
    tokenizer, encoder = opened(tmp_path / "funnel")
    with pytest.raises(UserError, match=r"FunnelBaseModel gives 5 vectors for 10 tokens, .*; give another encoder"):
        encoder(tokenizer(TEXTS))
    save_model(tmp_path / "reader", "DPRReader", "DPRConfig", SMALL, {"cls_token": "[CLS]"})
    with pytest.raises(UserError, match=r"hold no weights of BertModel; config.json names DPRReader: give a model"):
        opened(tmp_path / "reader")
