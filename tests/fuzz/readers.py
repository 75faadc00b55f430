"""Every reader of what others wrote: samples that it takes, and the call that takes them."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from safetensors.numpy import save

from engine import spec, spool
from engine.data import Dataset, load_dataset
from engine.data.atomic import read_items, read_log
from engine.data.imports import Import, import_data
from engine.data.text import unpacked
from engine.embeddings.encode.pooling import parse_pooling
from engine.embeddings.encode.source import locate
from engine.embeddings.encode.template import parse as parse_template
from engine.embeddings.imports import VectorsImport, import_vectors
from engine.embeddings.pipeline import _read as read_cache
from engine.embeddings.reduce.reductions import load_map
from engine.embeddings.vectors import open_vectors
from engine.errors import UserError
from engine.files import store_path
from engine.metrics import load_ranks, load_top, parse_metric
from engine.presets import resolve
from engine.presets.cells import chosen
from engine.presets.files import find_preset
from engine.presets.studies import find_study
from engine.reports.render.names import _read as read_names
from engine.store.queries.filters import field_named, order_by, parse
from engine.training.checkpoint import read_about
from tests.engine.parts import files_at
from tfllmer_tui.tui.keys import own_keys
from tfllmer_tui.tui.memory import Memory
from tfllmer_tui.web.messages import parsed

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Reader:
    """`read` gets a folder of its own and the mutated bytes. It raises one of `errors`, or returns what it read."""

    name: str
    samples: Sequence[bytes]
    read: Callable[[Path, bytes], object]
    errors: tuple[type[Exception], ...] = (UserError,)
    weight: int = 10
    """How many of the inputs it gets, against the others: less where a reading takes long."""


def of_file(name: str, read: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    """A reader of one file."""

    def call(folder: Path, data: bytes) -> object:
        path = folder / name
        path.write_bytes(data)
        return read(path)

    return call


def of_text(read: Callable[[str], object]) -> Callable[[Path, bytes], object]:
    """A reader of what is typed or sent."""
    return lambda folder, data: read(data.decode("utf-8", "surrogateescape"))


# ------------------------------------------------------------------------------------ data and vectors

INTER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + b"".join(
    b"%c\t%c\t%d\t%d\n" % (user, item, n % 5 + 1, 1_600_000_000 + n)
    for n, (user, item) in enumerate((u, i) for u in b"uvwx" for i in b"edba")
)
ITEM = b"item_id:token\ttitle:token_seq\tyear:float\n" + b"".join(b"%c\tname %c\t19%d\n" % (i, i, i) for i in b"abcde")
X = np.arange(20, dtype=np.float32).reshape(5, 4)
IDS = list("abcde")


def _atomic(folder: Path, data: bytes) -> object:
    (folder / "x.inter").write_bytes(data)
    return read_log(folder, "x")


def _items(folder: Path, data: bytes) -> object:
    (folder / "x.inter").write_bytes(INTER)
    (folder / "x.item").write_bytes(data)
    return read_items(folder, "x"), read_log(folder, "x")


def _import(ending: str) -> Callable[[Path, bytes], object]:
    def call(folder: Path, data: bytes) -> object:
        source, out = folder / f"source{ending}", folder / "out"
        source.write_bytes(data)
        (out / "x.inter").unlink(missing_ok=True)
        return import_data(Import(source=str(source), folder=str(out), name="x"))

    return call


def _import_vectors(ending: str, **more: Any) -> Callable[[Path, bytes], object]:
    def call(folder: Path, data: bytes) -> object:
        source, out = folder / f"source{ending}", folder / "out.safetensors"
        source.write_bytes(data)
        out.unlink(missing_ok=True)
        return import_vectors(VectorsImport(source=str(source), out=str(out), **more))

    return call


@cache
def _dataset(folder: Path) -> Dataset:
    place = folder / "tiny"
    place.mkdir(exist_ok=True)
    (place / "tiny.inter").write_bytes(INTER)
    (place / "tiny.item").write_bytes(ITEM)
    return load_dataset(files_at("tiny", place))


def _vectors(ending: str) -> Callable[[Path, bytes], object]:
    def call(folder: Path, data: bytes) -> object:
        path = folder / f"vectors{ending}"
        path.write_bytes(data)
        return open_vectors(path, _dataset(folder)).array()

    return call


def _ids(folder: Path, data: bytes) -> object:
    np.save(folder / "vectors.npy", X)
    (folder / "vectors.ids.txt").write_bytes(data)
    try:
        return open_vectors(folder / "vectors.npy", _dataset(folder)).array()
    finally:
        (folder / "vectors.ids.txt").unlink()


def _bytes(write: Callable[[io.BytesIO], object]) -> bytes:
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def _zip(names: Sequence[str]) -> bytes:
    def write(out: io.BytesIO) -> None:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, INTER)

    return _bytes(write)


FRAME = pl.DataFrame({"item_id": IDS, "vector": X.tolist()})
WIDE = pl.DataFrame({"item_id": IDS} | {f"d{n}": X[:, n] for n in range(4)})
TABLE = pl.DataFrame({"user_id": ["u", "u", "v"], "item_id": [1, 2, 1], "timestamp": [1, 2, 3]})
CSV = b"user_id,item_id,timestamp\nu,1,1600000000\nu,2,1600000001\nv,1,1600000002\n"
JSONL = b'{"user_id":"u","item_id":1,"timestamp":1}\n{"user_id":"v","item_id":2,"timestamp":2}\n'
VECTORS_JSONL = b'{"id":"a","vector":[1,2,3]}\n{"id":"b","vector":[1.5,2e3,-3]}\n'
WORD2VEC = b"3 4\na 1 2 3 4\nb 1 2 3 4.5\nc -1 2e5 3 4\n"

DATA = [
    Reader("data: .inter", [INTER, INTER.replace(b"\t", b","), b"\xef\xbb\xbf" + INTER], _atomic),
    Reader("data: .inter, packed", [gzip.compress(INTER), _zip(["x.inter"]), _zip(["a", "b"])], _atomic),
    Reader("data: .item", [ITEM, ITEM.replace(b"name", b'"a, b"')], _items),
    Reader("data import: csv", [CSV, CSV.replace(b",", b"\t"), CSV.replace(b",", b";"), b'a,"b\n1,2'], _import(".csv")),
    Reader("data import: text", [b"u a\nu b\nv a\n", b"u a b c\nv a\n", CSV], _import(".txt")),
    Reader("data import: jsonl", [JSONL, JSONL.replace(b"1", b"[1,2]", 1)], _import(".jsonl")),
    Reader("data import: parquet", [_bytes(TABLE.write_parquet), _bytes(FRAME.write_parquet)], _import(".parquet")),
    Reader("data import: gzip", [gzip.compress(CSV), gzip.compress(JSONL)], _import(".csv.gz")),
    Reader(
        "vectors: npy", [_bytes(lambda out: np.save(out, X)), _bytes(lambda out: np.save(out, X.T))], _vectors(".npy")
    ),
    Reader(
        "vectors: npz",
        [
            _bytes(lambda out: np.savez(out, vectors=X, ids=np.array(IDS))),
            _bytes(lambda out: np.savez_compressed(out, vectors=X)),
        ],
        _vectors(".npz"),
    ),
    Reader("vectors: parquet", [_bytes(FRAME.write_parquet), _bytes(WIDE.write_parquet)], _vectors(".parquet")),
    Reader(
        "vectors: safetensors",
        [save({"vectors": X}, {"ids": json.dumps(IDS)}), save({"x": X.astype(np.float16)})],
        _vectors(".safetensors"),
    ),
    Reader("vectors: ids", [b"a\nb\nc\nd\ne\n", b"e\nd\nc\nb\na"], _ids),
    Reader("vectors import: word2vec", [WORD2VEC, WORD2VEC[4:]], _import_vectors(".txt")),
    Reader("vectors import: jsonl", [VECTORS_JSONL], _import_vectors(".jsonl")),
    Reader("vectors import: raw", [X.tobytes()], _import_vectors(".bin", width=4)),
    Reader(
        "vectors import: torch",
        [_bytes(lambda out: torch.save({"vectors": torch.ones(3, 4), "ids": ["a", "b", "c"]}, out))],
        _import_vectors(".pt"),
    ),
    Reader("archives", [gzip.compress(INTER), _zip(["x"]), _zip(["__MACOSX/x", "y"])], of_file("x.gz", unpacked)),
]

# ------------------------------------------------------------------------------------ presets and grammars


def _preset(kind: Any) -> Callable[[Path, bytes], object]:
    def call(folder: Path, data: bytes) -> object:
        (folder / "configs" / kind).mkdir(parents=True, exist_ok=True)
        (folder / "configs" / kind / "fuzzed.yaml").write_bytes(data)
        os.chdir(folder)
        found = find_preset(kind, "fuzzed")
        if kind == "method":
            return resolve(method="fuzzed")
        return resolve(ablation="fuzzed") if kind == "ablation" else found

    return call


def _study(folder: Path, data: bytes) -> object:
    (folder / "configs" / "study").mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "study" / "fuzzed.yaml").write_bytes(data)
    os.chdir(folder)
    return find_study("fuzzed")


def _presets(kind: str, most: int = 6) -> list[bytes]:
    return [file.read_bytes() for file in sorted((ROOT / "configs" / kind).glob("*.yaml"))[:most]]


def _set(text: str) -> object:
    return resolve(sets=[text])


def _only(text: str) -> object:
    return chosen(find_study("demo"), only=[text])


SETS = [b"train.lr=1e-3", b"lambda=0.7", b"embedding.reduce=pca", b"backbone.heads=2", b"train.until=patience",
        b"data.columns.timestamp=none", b"embedding.reduce.graph=content", b"seed=3", b"train.epochs=5"]  # fmt: skip
FILTERS = [
    *(
        b"status=failed ablation~norm",
        b"ndcg@10>0.1 seed=0,1 -tag:old",
        b"created>2d (dataset=ml-1m or train.lr>=1e-3)",
    ),
    *(b"not (arm='a b' or valid.hr@20<=0.5)", b"age<3h wall_s>1:00 note!~x", b'note="a \\" b"', b"train_ce@20<5"),
]

GRAMMARS = [
    Reader("preset: method", _presets("method"), _preset("method"), weight=3),
    Reader("preset: ablation", _presets("ablation"), _preset("ablation"), weight=3),
    Reader("preset: dataset", _presets("dataset"), _preset("dataset")),
    Reader("preset: backbone", _presets("backbone"), _preset("backbone")),
    Reader("study", _presets("study"), _study, weight=3),
    Reader("--set", SETS, of_text(_set), weight=3),
    Reader("--only", [b"dataset=demo", b"seed=0,1", b"arm=id", b"backbone=sasrec"], of_text(_only), weight=1),
    Reader("filter", FILTERS, of_text(lambda text: parse(text).clause())),
    Reader("order of a list", [b"-ndcg@10,seed", b"created", b"train.lr"], of_text(order_by)),
    Reader("columns", [b"ndcg@10", b"train.lr", b"age"], of_text(lambda text: field_named(text, "--columns"))),
    Reader("metric", [b"ndcg@10", b"valid.hr@20", b"mrr", b"train_ce@20", b"test.coverage@10"], of_text(parse_metric)),
    Reader(
        "template",
        [b"{*}", b"{title|none}[. by {year}]", b"{{ }} [[ ]] {title}"],
        of_text(lambda text: parse_template(text, ["title", "year"])),
    ),
    Reader("--pooling", [b"mean", b"cls+mean", b"eos-weighted"], of_text(parse_pooling)),
    Reader("--db", [b"experiments.db", b"sqlite:///a/b.db", b"postgresql://u:p@h/x"], of_text(store_path)),
    Reader(
        "--names", [b"arms: {full: Ours}\nmetrics: {ndcg@10: N@10}\n", b"datasets: {demo: D}"], of_file("n", read_names)
    ),
]

# ------------------------------------------------------------------------------------ what runs and sessions leave

RECORDS = b"".join(
    spool.to_json(record).encode() + b"\n"
    for record in (
        {"r": "start", "attempt": 1, "pid": 1, "pid_start": 1.5, "at": "2025-01-01T00:00:00.000+00:00"},
        {"r": "points", "step": 3, "wall": 1.5, "values": {"loss": float("nan"), "valid.ndcg@10": 0.5}},
        {"r": "artifact", "kind": "ranks", "path": "ranks.safetensors"},
        {"r": "end", "at": "2025-01-01T00:00:00.000+00:00", "status": "finished", "reason": "", "detail": ""},
    )
)
SPEC = spec.to_json(spec.Experiment()).encode()
RANKS = save({"valid": np.array([1, -1], np.int32), "test": np.array([3, 9], np.int32)})
TOP = save({"test": np.zeros((2, 20), np.int32), "popularity": np.array([1, 2])})
CHECKPOINT = save({"model.x": X}, {"about": json.dumps({"step": 3, "epoch": 1.5})})
CACHE: dict[str, npt.NDArray[Any]] = {
    "z": X,
    "mean": np.ones(4),
    "w": np.ones((4, 4)),
    "shift": np.ones(4),
    "unit_rows": np.ones(1),
}
STATE = b'{"theme": "textual-dark", "spacious": true, "runs": {"filter": "seed=0", "columns": ["a"], "width": 30}}'
KEYS = b'{"runs.mark": "m", "app.help": "f5,ctrl+x"}'


def _records(path: Path) -> object:
    records, offset = spool.read_records(path)
    assert offset <= path.stat().st_size
    return records


def _memory(path: Path) -> object:
    path.parent.joinpath("tfllmer").mkdir(exist_ok=True)
    path.replace(path.parent / "tfllmer" / "tui.json")
    os.environ["XDG_STATE_HOME"] = str(path.parent)
    memory = Memory(path.parent / "experiments.db")
    return memory.get("theme"), memory.section("runs")


def _whole(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


MODULES = _whole(
    [
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
        {"idx": 3, "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]  # type: ignore[arg-type]
)
ENCODER = {
    "modules.json": MODULES,
    "config.json": _whole({"model_type": "bert", "hidden_size": 16}),
    "config_sentence_transformers.json": _whole(
        {"prompts": {"query": "query: ", "document": "passage: "}, "default_prompt_name": "document"}
    ),
    "sentence_bert_config.json": _whole({"max_seq_length": 64, "do_lower_case": True}),
    "1_Pooling/config.json": _whole({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}),
    "2_Dense/config.json": _whole({"in_features": 4, "out_features": 4, "bias": True}),
    "model.safetensors.index.json": _whole({"weight_map": {"a": "model-00001-of-00002.safetensors"}}),
    "adapter_config.json": _whole({"peft_type": "LORA", "base_model_name_or_path": "x"}),
}
ENCODER_FILES = [name for name in ENCODER if name not in ("adapter_config.json", "config.json")]


def _encoder(name: str) -> Callable[[Path, bytes], object]:
    def call(folder: Path, data: bytes) -> object:
        place = folder / f"encoder-{name.replace('/', '-')}"
        for file, content in ENCODER.items():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            if file != "adapter_config.json" or name == file:
                (place / file).write_bytes(data if file == name else content)
        for file in ("model.safetensors", "2_Dense/model.safetensors"):
            (place / file).write_bytes(save({"x": X}))
        return locate(str(place), None, lambda text: None)

    return call


RUNS = [
    Reader("spool", [RECORDS], of_file("spool.jsonl", _records)),
    Reader("spec.json", [SPEC, b'{"version": 1}'], of_text(spec.from_json), weight=5),
    Reader("ranks", [RANKS], of_file("ranks.safetensors", load_ranks)),
    Reader("top lists", [TOP], of_file("top.safetensors", load_top)),
    Reader("checkpoint", [CHECKPOINT], of_file("last.safetensors", read_about)),
    Reader("map", [save(CACHE)], of_file("map.safetensors", load_map)),
    Reader("cache of vectors", [save(CACHE, {"diagnostics": "{}"})], of_file("cache.safetensors", read_cache)),
    Reader("state of the screens", [STATE], of_file("state.json", _memory)),
    Reader("keys.json", [KEYS], of_file("keys.json", own_keys), weight=3),
    Reader(
        "web message",
        [b'["stdin", "a"]', b'["resize", {"width": 80, "height": 24}]', b'["ping", 3]', b'["blur"]', b'["focus"]'],
        of_text(parsed),
        (ValueError,),
    ),
    *(Reader(f"encoder: {name}", [ENCODER[name]], _encoder(name), weight=4) for name in ENCODER),
]

READERS = [*DATA, *GRAMMARS, *RUNS]
