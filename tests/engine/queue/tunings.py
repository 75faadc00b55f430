"""Tunings whose runs are spooled without training: their curves follow from their settings."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from engine.presets.spaces import find_space
from engine.queue.tuning.trials import Tuner, begun
from engine.records import TuningRecord
from engine.spool import SpoolWriter
from engine.store import Run, Store, experiment_of, ingest, list_runs

EPOCHS = 8


def asked(**changes: Any) -> TuningRecord:
    space = find_space("default")
    usual = TuningRecord(
        name="t",
        dataset="demo",
        backbone="sasrec",
        embedding=None,
        arms=("id",),
        by="valid_ce",
        budget=7,
        seed=0,
        startup=5,
        batch=2,
        prunes=True,
        sets=(f"train.epochs={EPOCHS}", "data.source.users=60"),
        space=space.name,
        space_hash=space.hash,
        domains=space.document(),
    )
    return replace(usual, **changes)


def curve_of(run: Run) -> list[float]:
    """A validation CE by epochs that its settings decide: best near lr 2e-3, and worse all along elsewhere."""
    train = experiment_of(run).train
    return [6 - 0.2 * epoch + abs(math.log10(train.lr / 2e-3)) for epoch in range(train.epochs + 1)]


def train(store: Store, run: Run, epochs: int | None = None, *, ends: bool = True) -> None:
    """What a run spools, without the training."""
    curve = curve_of(run)[: None if epochs is None else epochs + 1]
    folder = store.folder(run.id)
    writer = SpoolWriter(folder)
    writer.start(run.attempt + 1, os.getpid(), 0.0)
    for epoch, value in enumerate(curve):
        writer.points(10 * epoch, {"epoch": epoch, "valid_ce": value, "valid.ndcg@10": 1 / value})
    if ends:
        writer.result({"epochs": len(curve) - 1, "valid": {"ndcg@10": 0.1}, "valid_ce": min(curve), "wall_s": 1.0})
        writer.end("finished", "")
    ingest(store, run.id)


def stop(store: Store, run: Run) -> None:
    """What a run spools that was asked to stop."""
    SpoolWriter(store.folder(run.id)).end("cancelled", "stopped by the user (SIGTERM)")
    ingest(store, run.id)


def work(store: Store) -> None:
    """What workers do between two looks of the tuner: runs that go on end, as was asked or by themselves, and those
    that wait begin."""
    for run in list_runs(store, status="running"):
        if run.cancel_requested:
            stop(store, run)
        else:
            train(store, run)
    for run in list_runs(store, status="queued"):
        train(store, run, 5, ends=False)


def carry_out(store: Store, tuning: TuningRecord, order: Callable[[list[Run]], Sequence[Run]] = list) -> TuningRecord:
    """To its end; of the runs that wait the first in that order is done before the tuner looks again."""
    tuner = Tuner(store, begun(store, tuning))
    while not tuner.step():
        for run in order(list_runs(store, status="queued"))[:1]:
            train(store, run)
    return tuner.tuning


def told(tuning: TuningRecord) -> list[tuple[Any, ...]]:
    """Everything that must not depend on time."""
    trials = [trial for arm in tuning.arms for trial in tuning.trials_of(arm)]
    return [(t.arm, t.number, dict(t.values), t.state, t.value, t.epoch, t.stopped_at) for t in trials]
