"""`tfllmer embed`: the text of a data set's items -> a file of vectors, resumable at any moment.

Each distinct text is encoded once, in batches of texts of like length. What is done lies in shards in a
cache folder of its own for each (revision of the encoder, template, pooling, maximum length, precision,
texts), so a killed process costs the batches of its last seconds; the file itself appears whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from safetensors import SafetensorError, safe_open

from engine import spec
from engine.data.atomic import Items, read_items
from engine.embeddings.encode.architecture import read_architecture
from engine.embeddings.encode.declared import TextRecipe, recipe
from engine.embeddings.encode.encoder import Encoder, Precision, Tokenizer, Tokens
from engine.embeddings.encode.shards import IntArray, Shards
from engine.embeddings.encode.source import Source, locate
from engine.embeddings.encode.template import ALL, parse, render_all
from engine.errors import UserError
from engine.files import held, make_folder
from engine.spool import Recorder, RunFolder

_VERSION = 1  # part of every key: raise it when the same settings give other vectors
DEFAULT_BATCH_TOKENS = {"cpu": 1024, "cuda": 32768}
_TELL_EVERY_S = 0.2

Stop = Callable[[], bool]


class Embed(spec.Part):
    """What `tfllmer embed` asks of its process."""

    folder: str = Field(description="folder of the data set")
    dataset: str = Field(description="its name: NAME.item is read")
    encoder: str = Field(description="hub id or local directory")
    revision: str | None = Field(None, description="branch, tag or commit of a hub id")
    template: str = Field("{*}", description="text of an item, see engine.embeddings.encode.template")
    pooling: str | None = Field(None, description="kinds joined by +; none = as the encoder declares, else mean")
    normalize: bool | None = Field(None, description="to length 1; none = as the encoder declares, else not")
    prompt: str | None = Field(None, description="name of a prompt that the encoder declares, or `none`")
    max_length: int | None = Field(None, ge=1, description="tokens read of a text; none = as declared, else 128")
    batch_tokens: int | None = Field(None, ge=1, description="tokens in a batch, padding included; none = by device")
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: str = Field("auto", description="auto, cpu, cuda, or several as cuda:0,cuda:1")
    out: str = Field(description="the file to write")
    cache: str = Field(description="folder of the folders of shards")
    fresh: bool = Field(False, description="encode again, and replace the file")
    shard_s: float = Field(5.0, ge=0, description="seconds of work between two shards: what a kill may cost")
    parent: int | None = Field(None, description="stop when this process, which started us, is gone")


def embed(settings: Embed, recorder: Recorder, asked_to_stop: Stop) -> dict[str, Any] | None:
    """Write the file; returns what was done, or None where it was asked to stop (the shards are kept).

    Raises UserError for anything wrong with data, template, encoder, device or the file there is.
    """
    began = time.monotonic()

    def stop() -> bool:
        return asked_to_stop() or (settings.parent is not None and os.getppid() != settings.parent)

    out = Path(settings.out)
    if not _writable(out.parent):
        raise UserError(f"{out.parent}: no folder that can be written; name the file to write with -o FILE")
    items = read_items(Path(settings.folder), settings.dataset)
    texts = item_texts(items, settings.template)
    devices = _devices(settings.device)
    precision = _precision(settings.dtype, devices)
    source = locate(settings.encoder, settings.revision, recorder.event)
    way = recipe(
        source.declared,
        source.name,
        pooling=settings.pooling,
        normalize=settings.normalize,
        prompt=settings.prompt,
        max_length=settings.max_length,
    )
    architecture = read_architecture(source)
    tokenizer = Tokenizer(source, architecture, way)
    recorder.event(f"{source.name}: {_in_words(source, way, tokenizer.max_length)}")
    for warning in (*way.warnings, *tokenizer.warnings):
        recorder.event(warning, "warning")
    facts = way.facts() | {"max_length": tokenizer.max_length, "dtype": precision}
    identity = _identity(source, settings.template, facts, texts)
    summary = identity | {
        "declared": source.declared.pooling is not None,
        "file": str(out),
        "dataset": settings.dataset,
        "device": ",".join(devices),
        "items": len(texts),
        "texts": len(set(texts)),
    }
    if not settings.fresh and out.exists():
        shape = _same_file(out, identity["key"])
        return summary | shape | {"encoded": 0, "reused": summary["texts"], "wall_s": time.monotonic() - began}

    cache = RunFolder(Path(settings.cache) / identity["key"])
    make_folder(cache.root)
    with _alone(cache, recorder, stop) as alone:
        if not alone:
            return None
        unique, row_of_item = distinct(texts)
        shards = Shards(cache.root, len(unique))
        if settings.fresh:
            shards.clear()
        todo = np.flatnonzero(~shards.done)
        if len(todo):
            recorder.event(f"tokenizing {len(unique):,} texts")
            tokens = tokenizer(unique, stop)
            recorder.event(f"loading {source.name} ({precision}, {', '.join(devices)})")
            encoders = [
                Encoder(source, architecture, way, tokenizer, device=device, precision=precision) for device in devices
            ]
            for warning in encoders[0].warnings:
                recorder.event(warning, "warning")
            budget = settings.batch_tokens or DEFAULT_BATCH_TOKENS[devices[0].split(":")[0]]
            if stop():
                return None
            encoding = Encoding(tokens, shards, recorder, stop, batch_tokens=budget, shard_s=settings.shard_s)
            if not encoding.run(encoders):
                return None
        metadata = {name: str(value) for name, value in identity.items()}
        metadata |= {"dataset": settings.dataset, "ids": json.dumps(items.ids, ensure_ascii=False)}
        width, dtype = shards.assemble(out, row_of_item, metadata)
    return summary | {
        "dimensions": width,
        "stored_as": dtype,
        "encoded": len(todo),
        "reused": len(unique) - len(todo),
        "wall_s": time.monotonic() - began,
    }


def _writable(folder: Path) -> bool:
    """Whether files may be made in it. A folder without any write permission is left alone by the
    superuser too, whom the system would let in."""
    return folder.is_dir() and bool(folder.stat().st_mode & 0o222) and os.access(folder, os.W_OK)


def item_texts(items: Items, template: str) -> list[str]:
    """What the encoder reads of each item."""
    columns = items.fields | {ALL: items.text}
    return render_all(parse(template, items.fields), columns)


def distinct(texts: Sequence[str]) -> tuple[list[str], IntArray]:
    """The distinct texts in order of first appearance, and which of them each text is."""
    row: dict[str, int] = {}
    rows = np.array([row.setdefault(text, len(row)) for text in texts], dtype=np.int64)
    return list(row), rows


def batches(lengths: IntArray, budget: int) -> list[IntArray]:
    """Rows in batches, longest first, each of at most `budget` tokens with its padding (or one row).

    Texts of like length share a batch, so there is next to no padding; the longest come first, so that memory
    that does not suffice shows at once.
    """
    order = np.argsort(-lengths, kind="stable")
    plan, at = [], 0
    while at < len(order):
        size = max(1, budget // int(lengths[order[at]]))
        plan.append(order[at : at + size])
        at += size
    return plan


# ------------------------------------------------------------------------------------ encoding


class Encoding:
    """The texts that are not done yet, encoded by one thread a device.

    Batches are planned over all texts and only then reduced to what is left, so an interrupted encoding
    meets the same batches, and the same rounding, as one that was not.
    """

    def __init__(
        self,
        tokens: Sequence[Tokens],
        shards: Shards,
        recorder: Recorder,
        stop: Stop,
        *,
        batch_tokens: int,
        shard_s: float,
    ) -> None:
        lengths = np.array([len(row) for row in tokens], dtype=np.int64)
        left = ~shards.done
        self._todo: queue.SimpleQueue[IntArray] = queue.SimpleQueue()
        for batch in batches(lengths, batch_tokens):
            if left[batch].any():
                self._todo.put(batch[left[batch]])
        self._tokens, self._shards, self._shard_s = tokens, shards, shard_s
        self._progress = _EncodingProgress(recorder, lengths, shards.done)
        self._stop, self._failed = stop, threading.Event()

    def run(self, encoders: Sequence[Encoder]) -> bool:
        """Whether everything is done now; False where it was stopped. The first error is raised again."""
        with ThreadPoolExecutor(len(encoders)) as pool:
            working = [pool.submit(self._work, encoder) for encoder in encoders]
            wait(working, return_when=FIRST_EXCEPTION)
            self._failed.set()  # where one failed the others stop; otherwise all have ended
        for one in working:
            one.result()
        return bool(self._shards.done.all())

    def _work(self, encoder: Encoder) -> None:
        """Take batches until there are none; whatever happens, what was encoded is kept."""
        rows: list[IntArray] = []
        vectors: list[npt.NDArray[np.floating]] = []
        since = time.monotonic()
        try:
            while not (self._stop() or self._failed.is_set()):
                try:
                    batch = self._todo.get_nowait()
                except queue.Empty:
                    return
                vectors.append(encoder([self._tokens[row] for row in batch]))
                rows.append(batch)
                self._progress.add(batch)
                if time.monotonic() - since >= self._shard_s:
                    self._keep(rows, vectors)
                    rows, vectors, since = [], [], time.monotonic()
        finally:
            self._keep(rows, vectors)

    def _keep(self, rows: list[IntArray], vectors: list[npt.NDArray[np.floating]]) -> None:
        if not rows:
            return
        self._shards.write(np.concatenate(rows), np.concatenate(vectors))


class _EncodingProgress:
    """Texts and tokens done, reported now and then; tokens are what takes time."""

    def __init__(self, recorder: Recorder, lengths: IntArray, done: npt.NDArray[np.bool_]) -> None:
        self._recorder, self._lengths, self._lock = recorder, lengths, threading.Lock()
        self._texts, self._tokens, self._told = int(done.sum()), int(lengths[done].sum()), 0.0
        recorder.facts(
            {"texts": len(lengths), "tokens": int(lengths.sum()), "reused": self._texts, "reused_tokens": self._tokens}
        )

    def add(self, batch: IntArray) -> None:
        with self._lock:
            self._texts += len(batch)
            self._tokens += int(self._lengths[batch].sum())
            now = time.monotonic()
            if now - self._told >= _TELL_EVERY_S or self._texts == len(self._lengths):
                self._told = now
                self._recorder.points(self._texts, {"tokens": self._tokens})


@contextmanager
def _alone(cache: RunFolder, recorder: Recorder, stop: Stop) -> Iterator[bool]:
    """Hold the cache folder, waiting for another process that does; False where asked to stop meanwhile."""
    waiting = False
    while not stop():
        with held(cache.lock, patience_s=1.0) as mine:
            if mine:
                yield True
                return
        if not waiting:
            recorder.event("another process encodes the same; waiting for it", "warning")
            waiting = True
    yield False


# ------------------------------------------------------------------------------------ settings


def _in_words(source: Source, way: TextRecipe, max_length: int) -> str:
    """How a text becomes a vector, for the log."""
    facts = [f"{name.replace('_', ' ')} {value}" for name, value in way.facts().items()]
    origin = "as its files declare" if source.declared.pooling is not None else "its files declare no pooling"
    return f"{', '.join(facts)}, at most {max_length} tokens ({origin})"


def _identity(source: Source, template: str, facts: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    """What the vectors depend on, and its hash `key`."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    identity = {
        "version": _VERSION,
        "encoder": source.name,
        "revision": source.revision,
        "template": template,
        **facts,
        "text_hash": digest.hexdigest()[:24],
    }
    named = {name: value for name, value in identity.items() if name != "encoder"}  # one model, however it is named
    text = json.dumps(named, sort_keys=True, ensure_ascii=False)
    return identity | {"key": hashlib.sha256(text.encode()).hexdigest()[:24]}


def _same_file(out: Path, key: str) -> dict[str, Any]:
    """Shape of a file that holds these very vectors. Raises UserError where it holds others."""
    try:
        with safe_open(out, "np") as file:
            metadata = file.metadata() or {}
            view = file.get_slice("vectors")
            shape, dtype = view.get_shape(), view.get_dtype()
    except (SafetensorError, OSError):
        metadata = {}
    if metadata.get("key") != key:
        origin = ", ".join(
            f"{name} {metadata[name]}"
            for name in ("encoder", "pooling", "layers", "prompt", "template")
            if name in metadata
        )
        raise UserError(
            f"{out}: is there already with other vectors{f' ({origin})' if origin else ''}; "
            "give --name or -o another name, or replace it with --fresh"
        )
    return {"dimensions": shape[1], "stored_as": {"F16": "float16"}.get(dtype, "float32")}


def _devices(names: str) -> list[str]:
    import torch

    if names == "auto":
        return ["cuda" if torch.cuda.is_available() else "cpu"]
    count = torch.cuda.device_count()
    for name in (devices := [name.strip() for name in names.split(",")]):
        kind, _, number = name.partition(":")
        if kind not in DEFAULT_BATCH_TOKENS or (number and not number.isdigit()) or (kind == "cpu" and number):
            raise UserError(f"--device {names}: {name!r} is no device; use auto, cpu, cuda or cuda:0,cuda:1")
        if kind == "cuda" and int(number or 0) >= count:
            raise UserError(f"--device {names}: no {name} here ({count} CUDA devices found); use --device cpu")
    return devices


def _precision(dtype: Literal["auto", "fp32", "bf16", "fp16"], devices: Sequence[str]) -> Precision:
    if dtype != "auto":
        return dtype
    import torch

    if any(device == "cpu" for device in devices):
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
