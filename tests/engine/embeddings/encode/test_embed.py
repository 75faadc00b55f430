"""Text -> vectors: pooling and padding against one text at a time, resuming, the hub, the real model."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from engine.data import load_dataset
from engine.embeddings.encode.architecture import read_architecture
from engine.embeddings.encode.declared import recipe
from engine.embeddings.encode.embed import Embed, batches, embed
from engine.embeddings.encode.encoder import Encoder, Tokenizer
from engine.embeddings.encode.shards import Shards
from engine.embeddings.encode.source import Source, locate
from engine.embeddings.vectors import open_vectors
from engine.errors import UserError
from engine.spool import RunFolder, SpoolWriter, read_records
from tests.engine.embeddings.encode.encoders import (
    WORDS,
    real_encoder,
    save_decoder,
    save_encoder,
    save_encoder_decoder,
    write_items,
)
from tests.engine.parts import files_at

TEXTS = [" ".join(WORDS[(n * 7 + i) % 40] for i in range(length)) for n, length in enumerate([3, 17, 1, 9, 30, 5, 2])]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "encoder": save_encoder(folder / "bert"),
        "decoder": save_decoder(folder / "llama"),
        "encoder-decoder": save_encoder_decoder(folder / "t5"),
    }


def opened(model: Path, pooling: str, max_length: int = 20) -> tuple[Tokenizer, Encoder]:
    source = locate(str(model), None, print)
    way = recipe(source.declared, source.name, pooling=pooling, max_length=max_length)
    architecture = read_architecture(source)
    tokenizer = Tokenizer(source, architecture, way)
    return tokenizer, Encoder(source, architecture, way, tokenizer, device="cpu", precision="fp32")


def job(folder: Path, model: Path, **settings: Any) -> Embed:
    given = {"folder": str(folder), "dataset": "shop", "encoder": str(model), "out": str(folder / "x.safetensors")}
    return Embed.model_validate(
        given | {"cache": str(folder / "cache"), "template": "{title}", "max_length": 64} | settings
    )


def run(settings: Embed, spool: Path) -> dict[str, Any]:
    spool.mkdir(exist_ok=True)
    result = embed(settings, SpoolWriter(RunFolder(spool)), lambda: False)
    assert result is not None
    return result


def vectors_of(path: Path) -> np.ndarray[Any, Any]:
    return load_file(path)["vectors"]


# ------------------------------------------------------------------------------------ pooling


@pytest.mark.parametrize(
    ("model", "pooling"),
    [(m, p) for m in ("encoder", "decoder", "encoder-decoder") for p in ("mean", "last", "eos-weighted")]
    + [("encoder", "cls")],
)
def test_a_batch_gives_what_each_text_gives_alone_without_padding(
    models: dict[str, Path], model: str, pooling: str
) -> None:
    """The reference is written out: one text, no padding, no mask, the pooled formula in numpy."""
    tokenizer, encoder = opened(models[model], pooling)
    rows = tokenizer(TEXTS)
    assert max(map(len, rows)) == 20
    made = encoder(rows)
    for row, vector in zip(rows, made, strict=True):
        with torch.inference_mode():
            h = encoder._model(input_ids=torch.tensor(row.ids[None], dtype=torch.int64)).last_hidden_state[0].numpy()
        position = np.arange(1, len(h) + 1)
        expected = {
            "mean": h.mean(axis=0),
            "last": h[-1],
            "cls": h[0],
            "eos-weighted": (position[:, None] * h).sum(axis=0) / position.sum(),
        }[pooling]
        np.testing.assert_allclose(vector, expected, atol=2e-6)


def test_precision_and_storage(models: dict[str, Path], tmp_path: Path) -> None:
    folder = write_items(tmp_path, TEXTS)
    exact = run(job(folder, models["encoder"]), tmp_path / "s")
    assert (exact["stored_as"], exact["dtype"], exact["dimensions"]) == ("float32", "fp32", 16)
    half = run(job(folder, models["encoder"], dtype="bf16", out=str(tmp_path / "h.safetensors")), tmp_path / "s")
    assert (half["stored_as"], half["encoded"]) == ("float16", len(TEXTS))
    a, b = vectors_of(tmp_path / "x.safetensors"), vectors_of(tmp_path / "h.safetensors")
    assert 0 < np.abs(a - b).max() < 0.2


def test_a_batch_that_does_not_fit_is_halved(models: dict[str, Path]) -> None:
    tokenizer, encoder = opened(models["encoder"], "mean")
    rows, inner = tokenizer(TEXTS), encoder._model
    whole = encoder(rows)
    room = 2

    def small(**inputs: torch.Tensor) -> Any:
        if len(inputs["input_ids"]) > room:
            raise torch.OutOfMemoryError("no memory")
        return inner(**inputs)

    encoder._model = small
    np.testing.assert_allclose(encoder(rows), whole, atol=2e-6)
    room = 0
    with pytest.raises(UserError, match="no memory for one text of"):
        encoder(rows)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(1, 300))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    array = np.array(lengths)
    made = batches(array, budget)
    assert sorted(np.concatenate(made).tolist()) == list(range(len(lengths)))
    assert all(len(rows) == 1 or len(rows) * array[rows].max() <= budget for rows in made)
    assert [array[rows].max() for rows in made] == sorted((array[rows].max() for rows in made), reverse=True)


# ------------------------------------------------------------------------------------ the file


def test_the_file_holds_every_item_once_encoded(models: dict[str, Path], tmp_path: Path) -> None:
    folder = write_items(tmp_path, [*TEXTS, TEXTS[0], "", TEXTS[4]])
    first = run(job(folder, models["decoder"]), tmp_path / "s")
    assert (first["items"], first["texts"], first["encoded"], first["reused"]) == (10, 8, 8, 0)
    loaded = open_vectors(Path(first["file"]), load_dataset(files_at("shop", folder))).array()
    assert loaded.shape == (10, 16)
    np.testing.assert_array_equal(loaded[[0, 4]], loaded[[7, 9]])
    with safe_open(first["file"], "np") as file:
        metadata = file.metadata()
    assert json.loads(metadata["ids"]) == [f"i{n}" for n in range(10)]
    assert {metadata[k] for k in ("revision", "text_hash", "key")} == {
        first[k] for k in ("revision", "text_hash", "key")
    }

    again = run(job(folder, models["decoder"]), tmp_path / "s")
    assert (again["encoded"], again["reused"], again["dimensions"]) == (0, 8, 16)
    elsewhere = run(job(folder, models["decoder"], out=str(tmp_path / "y.safetensors")), tmp_path / "s")
    assert elsewhere["encoded"] == 0
    assert (tmp_path / "y.safetensors").read_bytes() == (tmp_path / "x.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"is there already with other vectors .*pooling mean.*--fresh"):
        run(job(folder, models["decoder"], pooling="last"), tmp_path / "s")
    fresh = run(job(folder, models["decoder"], pooling="last", fresh=True), tmp_path / "s")
    assert fresh["encoded"] == 8
    assert not np.allclose(vectors_of(tmp_path / "x.safetensors"), loaded)


def test_several_devices_share_the_work(models: dict[str, Path], tmp_path: Path) -> None:
    folder = write_items(tmp_path, TEXTS * 3)
    run(job(folder, models["encoder"], batch_tokens=20), tmp_path / "s")
    two = job(folder, models["encoder"], batch_tokens=20, device="cpu,cpu", out=str(tmp_path / "y.safetensors"),
              cache=str(tmp_path / "other"))  # fmt: skip
    assert run(two, tmp_path / "s")["encoded"] == len(TEXTS)
    np.testing.assert_allclose(
        vectors_of(tmp_path / "x.safetensors"), vectors_of(tmp_path / "y.safetensors"), atol=1e-6
    )


def test_a_killed_encoding_goes_on_without_doing_anything_twice(models: dict[str, Path], tmp_path: Path) -> None:
    texts = [" ".join(WORDS[(n * k + k) % 40] for k in range(1, 3 + n % 25)) + f" w{n % 40}" for n in range(600)]
    folder = write_items(tmp_path, texts)
    settings = job(folder, models["encoder"], batch_tokens=32, shard_s=0.0)  # a shard for every batch
    (tmp_path / "job.json").write_text(settings.model_dump_json())
    command = [sys.executable, "-m", "engine.job", "--embed", str(tmp_path / "job.json"), str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        deadline = time.monotonic() + 60
        while len(list((tmp_path / "cache").glob("*/*.safetensors"))) < 5:
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (tmp_path / "x.safetensors").exists()
    shards = {path: path.read_bytes() for path in (tmp_path / "cache").glob("*/*.safetensors")}
    kept = sum(len(load_file(path)["rows"]) for path in shards)

    (tmp_path / "rest").mkdir()
    rest = run(settings, tmp_path / "rest")
    distinct = len(set(texts))
    assert (rest["encoded"], rest["reused"]) == (distinct - kept, kept)
    assert 0 < kept < distinct
    assert all(path.read_bytes() == data for path, data in shards.items())
    records, _ = read_records(tmp_path / "rest" / "spool.jsonl")
    steps = [record["step"] for record in records if record["r"] == "points"]
    assert steps[0] > kept and steps[-1] == distinct

    once = job(
        folder, models["encoder"], batch_tokens=32, cache=str(tmp_path / "c2"), out=str(tmp_path / "y.safetensors")
    )
    run(once, tmp_path / "s")
    np.testing.assert_allclose(
        vectors_of(tmp_path / "x.safetensors"), vectors_of(tmp_path / "y.safetensors"), rtol=0, atol=1e-6
    )


def test_leftovers_and_damaged_shards_are_cleared_away(tmp_path: Path) -> None:
    shards = Shards(tmp_path, 6)
    shards.write(np.array([0, 1]), np.ones((2, 3), np.float16))
    shards.write(np.array([4, 2]), np.ones((2, 3), np.float16))
    cut = tmp_path / "0000000004.safetensors"
    cut.write_bytes(cut.read_bytes()[:-3])
    (tmp_path / ".0000000003.safetensors.9.tmp").write_bytes(b"half")
    again = Shards(tmp_path, 6)
    assert again.done.tolist() == [True, True, False, False, False, False]
    assert [path.name for path in tmp_path.iterdir()] == ["0000000000.safetensors"]
    again.write(np.arange(2, 6), np.zeros((4, 3), np.float32))
    assert again.assemble(tmp_path / "out.safetensors", np.array([5, 0, 0]), {"ids": "[]"}) == (3, "float32")
    np.testing.assert_array_equal(vectors_of(tmp_path / "out.safetensors"), [[0] * 3, [1] * 3, [1] * 3])


def test_it_stops_when_asked_and_when_its_parent_is_gone(models: dict[str, Path], tmp_path: Path) -> None:
    folder = write_items(tmp_path, TEXTS)
    recorder = SpoolWriter(RunFolder(tmp_path))
    assert embed(job(folder, models["encoder"]), recorder, lambda: True) is None
    assert embed(job(folder, models["encoder"], parent=1 << 30), recorder, lambda: False) is None
    assert not (tmp_path / "x.safetensors").exists()


# ------------------------------------------------------------------------------------ refusals


def test_what_cannot_be_encoded_is_refused_in_one_line(models: dict[str, Path], tmp_path: Path) -> None:
    folder = write_items(tmp_path / "data", TEXTS)

    def refused(says: str, model: Path | str = models["encoder"], **settings: Any) -> None:
        with pytest.raises(UserError, match=says) as caught:
            run(job(folder, Path(model), **settings), tmp_path / "s")
        assert "\n" not in str(caught.value)
        assert not (folder / "x.safetensors").exists()

    refused(r"no field 'titel'.*did you mean title", template="{titel}")
    refused("no CLS token", models["decoder"], pooling="cls")
    refused("--max-length 65: .* reads at most 64 tokens", max_length=65)
    refused("'tpu' is no device", device="tpu")
    refused("no cuda:99 here", device="cuda:99")
    refused("no such directory", tmp_path / "nowhere")
    refused("which has one state", revision="main")
    refused("no folder that can be written; .* -o FILE", out="/proc/x.safetensors")

    bad = tmp_path / "bad"
    bad.mkdir()
    refused("no config.json in it", bad)
    for file in models["encoder"].iterdir():
        if file.name != "model.safetensors":
            (bad / file.name).write_bytes(file.read_bytes())
    refused("no model.safetensors in it", bad)
    (bad / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    refused(r"its weights are pytorch_model\.bin, a pickle; only safetensors are read", bad)
    (bad / "model.safetensors").write_bytes(b"junk")
    refused(r"transformers cannot load it \(", bad)
    config = json.loads((bad / "config.json").read_text())
    code = {"auto_map": {"AutoModel": "mine.Model", "AutoConfig": "mine.Config"}, "model_type": "mine"}
    (bad / "config.json").write_text(json.dumps(config | code))
    (bad / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    refused("needs code by its author, which is never run|cannot load it", bad)
    assert not (tmp_path / "ran").exists()


def test_a_read_only_folder_is_left_alone(models: dict[str, Path], tmp_path: Path) -> None:
    folder = write_items(tmp_path / "data", TEXTS)
    folder.chmod(0o555)
    try:
        with pytest.raises(UserError, match="no folder that can be written"):
            run(job(folder, models["encoder"], cache=str(tmp_path / "c")), tmp_path / "s")
    finally:
        folder.chmod(0o755)


# ------------------------------------------------------------------------------------ the hub


class _Hub(BaseHTTPRequestHandler):
    """As much of the hub as fetching a model takes: one repository, `tiny/bert`, at one commit."""

    root: Path
    asked: list[str]
    commit = "0123456789abcdef0123456789abcdef01234567"

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.asked.append(path)
        files = [path for path in self.root.iterdir() if path.is_file()]
        if not path.startswith(("/api/models/tiny/bert", "/tiny/bert/resolve/")):
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if "/tree/" in path:
            tree = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40} for f in files]
            return self._send(200, json.dumps(tree).encode())
        if path.startswith("/api/"):
            told = {"id": "tiny/bert", "sha": self.commit, "siblings": [{"rfilename": f.name} for f in files]}
            return self._send(200, json.dumps(told).encode())
        name = path.rsplit("/", 1)[1]
        return self._send(200, (self.root / name).read_bytes(), {"ETag": f'"{name}"', "X-Repo-Commit": self.commit})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (
            {"Content-Length": str(len(body)), "Content-Type": "application/json"} | (headers or {})
        ).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def hub(models: dict[str, Path], tmp_path: Path) -> Iterator[str]:
    _Hub.root, _Hub.asked = models["encoder"], []
    (_Hub.root / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    (_Hub.root / "pytorch_model.bin").unlink()


def test_a_model_comes_from_the_hub_once_and_then_from_its_cache(hub: str, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom engine.embeddings.encode.source import locate\nfrom engine.errors import UserError\n"
        "try:\n    source = locate(sys.argv[1], None, lambda text: None)\n    print(source.folder, source.revision)\n"
        "except UserError as error:\n    sys.exit(str(error))\n"
        "assert 'torch' not in sys.modules\n"
    )

    def ask(name: str, endpoint: str, **env: str) -> str:
        surroundings = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"} | env
        done = subprocess.run(
            [sys.executable, "-c", code, name], env=surroundings, capture_output=True, text=True, check=False
        )
        return (done.stdout if done.returncode == 0 else done.stderr).strip()

    folder, revision = ask("tiny/bert", hub).split()
    assert revision == _Hub.commit
    assert (Path(folder) / "model.safetensors").read_bytes() == (_Hub.root / "model.safetensors").read_bytes()
    assert not list(Path(folder).glob("*.bin"))
    assert not any(path.endswith(".bin") for path in _Hub.asked)
    nobody, instead = "http://127.0.0.1:9", "give a local directory with the model's files"
    assert ask("tiny/bert", nobody, HF_HUB_OFFLINE="1") == f"{folder} {revision}"
    assert ask("tiny/bert", nobody) == f"{folder} {revision}"
    assert ask("tiny/other", nobody) == (
        f"--encoder tiny/other: {nobody} cannot be reached and the model is not in the hub's cache; {instead}"
    )
    assert ask("tiny/nothing", hub) == (
        "--encoder tiny/nothing: the hub knows no such model (or it is private); check the name, or " + instead
    )


# ------------------------------------------------------------------------------------ the real model


def test_the_real_encoder_reproduces_the_shared_vectors(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    """Up to rounding to float16: half a unit in the last place, plus the noise of float32 arithmetic. The
    shared ones kept their norms, and were read up to 128 tokens, which is not what the model declares. A part of the
    items: those whose texts are equal, the longest, and every tenth."""
    real = real_data("ml-100k")
    header, *lines = (real / "ml-100k.item").read_text("utf-8").splitlines()
    texts = [line.partition("\t")[2] for line in lines]
    longest = sorted(range(len(texts)), key=lambda n: len(texts[n]))[-16:]
    chosen = [n for n, text in enumerate(texts) if texts.count(text) > 1 or n in longest or n % 10 == 0]
    shared = np.load(real / "ml-100k.minilm-l6.npy")[chosen]
    folder = write_items(tmp_path / "ml-100k", [], "ml-100k")
    (folder / "ml-100k.item").write_text("\n".join([header, *(lines[n] for n in chosen)]) + "\n", "utf-8")
    told: dict[str, Any] = {"folder": str(folder), "dataset": "ml-100k", "encoder": str(real_encoder())}
    told |= {"normalize": False, "max_length": 128}
    out = tmp_path / "x.safetensors"
    result = run(Embed.model_validate(told | {"out": str(out), "cache": str(tmp_path / "c")}), tmp_path / "s")
    made = vectors_of(out)
    assert (result["template"], result["pooling"], result["max_length"]) == ("{*}", "mean", 128)
    assert result["texts"] < result["items"] == len(shared) == len(made)
    half_a_unit = np.spacing(np.abs(shared)).astype(np.float32) / 2
    assert (np.abs(made - shared.astype(np.float32)) <= half_a_unit + 2e-6).all()
    assert (made.astype(np.float16) == shared).mean() > 0.99


def test_a_source_knows_the_content_of_a_folder(models: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in models["encoder"].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())

    def source(folder: Path) -> Source:
        return locate(str(folder), None, print)

    assert source(copy).revision == source(models["encoder"]).revision
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert source(copy).revision != source(models["encoder"]).revision
