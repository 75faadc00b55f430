"""The ID table whose rows, norms or directions some arms borrow (docs/method.md D.1 rows 12-13, D.3).

It comes from a plain ID run of the same data, backbone, training settings and seed, trained before the run that
needs it, in the same process, and kept in the shared cache: arms and repeated runs train it once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine import spec
from engine.bounds import parse_json
from engine.data import Split
from engine.files import held, make_folder, write_bytes
from engine.models.base import Trained, item_table
from engine.models.registry import build
from engine.spool import Level, Recorder, RunFolder
from engine.training import checkpoint, loop

FloatArray = npt.NDArray[np.float32]

_VERSION = 1  # part of the cache key: raise it when training computes something else
_NEWS_S = 10.0
_PATIENCE_S = 0.5


def reference_of(experiment: spec.Experiment) -> spec.Experiment:
    """The experiment that trains the ID table: `--method id` with everything else as in `experiment`.

    Shared: data, backbone, training, evaluation, seed and the spread that its table starts from. Not shared: what is
    done to the table and to h. The reference is the plain baseline (nothing normalised, temperature 1, no bias), one
    for all arms, since norms mean nothing in a table that is normalised while it is trained.
    """
    return experiment.model_copy(
        update={
            "method": "id",
            "ablation": None,
            "note": "",
            "embedding": None,
            "table": spec.Table(init=spec.RandomRows(id_sd=experiment.reference_sd or 0.02), normalize="none"),
            "evaluate": experiment.evaluate.model_copy(update={"curvature": 0}),  # nobody would see it
        }
    )


def id_table(
    experiment: spec.Experiment,
    split: Split,
    n_items: int,
    recorder: Recorder,
    cache: Path,
    *,
    device: torch.device,
    should_stop: Callable[[], bool] = lambda: False,
) -> FloatArray:
    """Rows [n_items, width] of the reference's table after its last epoch, from the cache or trained now.

    The last epoch, not the best one: training curves are compared over the whole budget, and this is the
    table that the ID baseline's curve ends with. Items without any training interaction have been trained
    too, as wrong answers of the full softmax; their rows are taken as they are. Training goes on from
    its checkpoint where a killed process left one; while another process trains the same reference this one
    waits. Of the points nothing is recorded, only events and facts. Raises StoppedError once `should_stop` is
    true, DivergedError where the reference's loss is not finite.
    """
    reference = reference_of(experiment)
    folder = RunFolder(cache / f"id-table-{_key(reference, split, device)}")
    make_folder(folder.root)
    waits = False
    while (kept := _read(folder)) is None:
        with held(folder.lock, patience_s=_PATIENCE_S) as alone:
            if alone and _read(folder) is None:
                model = build(reference, split.train, n_items)
                model.to(device)
                _train(reference, split, model, recorder, folder, should_stop=should_stop)
        if should_stop() and not alone:
            raise loop.StoppedError
        if not alone and not waits:
            waits = True
            recorder.event("waits for another run that trains the same ID reference")
    rows, about = kept
    recorder.facts({"id_reference": about})
    recorder.event(f"the ID reference ends with train CE {about['train_ce']:.4f} at epoch {about['epochs']}")
    return rows


def _train(
    reference: spec.Experiment,
    split: Split,
    model: Trained,
    recorder: Recorder,
    folder: RunFolder,
    *,
    should_stop: Callable[[], bool],
) -> None:
    """Train the freshly built reference, or go on, and leave its table in the folder in place of the checkpoints."""
    resume = folder.last.exists() and loop.why_unusable(folder) is None
    news = _News(recorder, reference.train.epochs)
    news.say(checkpoint.read_about(folder.last)["epoch"] if resume else 0)
    try:
        result = loop.train(reference, split, model, news, folder, resume=resume, should_stop=should_stop)
    except loop.DivergedError as error:
        raise loop.DivergedError(f"the ID reference that trains first: {error}") from None
    about = {name: result[name] for name in ("epochs", "best_epoch", "valid", "test")}
    about |= {"spec_hash": spec.spec_hash(reference), "train_ce": result["train_ce"][-1]["value"]}
    _write(folder, _last_rows(folder, model), about)
    for path in (folder.last, folder.best, folder.ranks, folder.top):
        path.unlink(missing_ok=True)


def _last_rows(folder: RunFolder, model: Trained) -> FloatArray:
    """The table after the last epoch; without any epoch there is no checkpoint and the model is as it was built."""
    if not folder.last.exists():
        return item_table(model).weight.detach().cpu().numpy()
    with safe_open(folder.last, "np") as file:
        rows: FloatArray = file.get_tensor("model.table.weight")
    return rows


class _News:
    """A recorder that turns epochs into events of the run and keeps the rest to itself."""

    def __init__(self, recorder: Recorder, epochs: int) -> None:
        self._recorder, self._epochs = recorder, epochs
        self._said = 0.0

    def say(self, epoch: int) -> None:
        self._said = time.monotonic()
        self._recorder.event(f"trains the ID reference first (epoch {epoch} of {self._epochs})")

    def points(self, step: int, values: Mapping[str, float]) -> None:
        if "train_ce" in values and time.monotonic() - self._said > _NEWS_S:
            self.say(int(values["epoch"]))

    def facts(self, values: Mapping[str, Any]) -> None: ...
    def event(self, text: str, level: Level = "info") -> None: ...
    def artifact(self, kind: str, path: Path) -> None: ...
    def result(self, values: Mapping[str, Any]) -> None: ...


# ------------------------------------------------------------------------------------ cache


def _key(reference: spec.Experiment, split: Split, device: torch.device) -> str:
    """Whatever the rows depend on to the last bit: kind of device, threads and micro-batch included."""
    execution = reference.execution
    content = {
        "version": _VERSION,
        "spec": spec.spec_hash(reference),
        "split": split.checksum(),
        "device": device.type,
        "threads": execution.threads if device.type == "cpu" else None,
        "micro_batch": execution.micro_batch,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _read(folder: RunFolder) -> tuple[FloatArray, dict[str, Any]] | None:
    try:
        with safe_open(folder.root / "table.safetensors", "np") as file:
            return file.get_tensor("table"), parse_json((file.metadata() or {})["about"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None  # absent or damaged: trained again


def _write(folder: RunFolder, rows: FloatArray, about: Mapping[str, Any]) -> None:
    block = save({"table": np.ascontiguousarray(rows)}, {"about": json.dumps(about)})
    write_bytes(folder.root / "table.safetensors", block)
