"""How far a study is: a state for every cell, how many there are of each, and the time that is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from engine.presets import Cell
from engine.queue.studies import STATES, plan
from engine.records import RunStatus
from engine.store import Run, Store
from engine.store.queries.pace import Pace, paces
from engine.store.runs import planned_epochs
from engine.store.studies import estimate_seconds, known_study, runs_that_count, study_runs
from engine.views.time_left import TimeLeft, time_left

_Shape: TypeAlias = tuple[str, Mapping[str, Any]]
"""Data hash and specification: what the time of a run depends on."""
_Kind: TypeAlias = tuple[str, str, int]
"""Data hash, backbone and epochs."""
_OPEN = ("missing", "queued", "running", "lost", "cancelled")
"""States of cells that will run, or can go on."""


@dataclass(frozen=True)
class CellState:
    """A cell and what has become of it. `epoch` of `epochs` are done where it runs; `left_s` is how long it will
    take still, None where it has ended or no past run tells."""

    axes: Mapping[str, Any]
    spec_hash: str
    state: str
    run: str | None
    """The run that counts for it."""
    reason: str
    epoch: float | None
    epochs: int | None
    left_s: float | None


@dataclass(frozen=True)
class FormerCell:
    """A cell that is no longer in the study's file, and its run, which is kept."""

    axes: Mapping[str, Any]
    spec_hash: str
    run: str


@dataclass(frozen=True)
class StudyState:
    """Every cell with its state, how many there are of each (without zeros), and the time of what has not ended."""

    counts: Mapping[str, int]
    cells: tuple[CellState, ...]
    time: TimeLeft

    @property
    def ended(self) -> int:
        """How many cells have a run that nobody will go on with by itself."""
        return sum(self.counts.get(state, 0) for state in ("finished", "failed", "cancelled"))

    @property
    def to_queue(self) -> int:
        """How many cells `tfllmer study run` queues without --retry-failed."""
        return sum(self.counts.get(state, 0) for state in ("missing", "cancelled", "lost"))

    def to_json(self) -> dict[str, Any]:
        return {"counts": dict(self.counts), "cells": [asdict(cell) for cell in self.cells], **asdict(self.time)}


@dataclass(frozen=True)
class _Place:
    """A cell with the run that counts for it. `shape` is None where nothing is known of its time."""

    axes: Mapping[str, Any]
    spec_hash: str
    run: Run | None
    shape: _Shape | None


def planned_state(store: Store | None, cells: Sequence[Cell]) -> StudyState:
    """Cells of a file as the store has them, whoever made their runs; all are missing where there is no store."""
    planned = plan(store, cells)
    return _state(store, [_Place(each.cell.axes, each.cell.spec_hash, each.run, each.cell.shape) for each in planned])


def stored_state(store: Store, name: str) -> StudyState:
    """The cells that `tfllmer study run` was asked for. Raises UserError for a study that was never run here."""
    return _state(
        store,
        [
            _Place(cell.axes, cell.spec_hash, run, None if run is None else (run.data_hash, run.spec))
            for cell, run in study_runs(store, name)
        ],
    )


def former_cells(store: Store, name: str) -> list[FormerCell]:
    """What has left the file since, as far as it has runs. Raises UserError for a study that was never run here."""
    cells = known_study(store, name).former
    runs = runs_that_count(store, [cell.spec_hash for cell in cells])
    return [
        FormerCell(dict(cell.axes), cell.spec_hash, runs[cell.spec_hash].id) for cell in cells if cell.spec_hash in runs
    ]


def _state(store: Store | None, places: Sequence[_Place]) -> StudyState:
    running = [place.run.id for place in places if place.run is not None and place.run.status == RunStatus.RUNNING]
    live = paces(store, running) if store is not None else {}
    shapes = [place.shape for place in places if place.shape is not None]
    expected = iter(estimate_seconds(store, shapes) if store is not None else [None] * len(shapes))
    pace = _pace(places, live)
    cells = tuple(
        _cell(place, live, None if place.shape is None else next(expected) or pace.get(_kind(place.shape)))
        for place in places
    )
    counts = Counter(cell.state for cell in cells)
    left = time_left(store, [cell.left_s for cell in cells if cell.state in _OPEN])
    return StudyState({state: counts[state] for state in STATES if counts[state]}, cells, left)


def _kind(shape: _Shape) -> _Kind:
    return shape[0], shape[1]["backbone"]["name"], shape[1]["train"]["epochs"]


def _pace(places: Sequence[_Place], live: Mapping[str, Pace]) -> dict[_Kind, float]:
    """Seconds of whole runs by their kind, as those that run now will take: for studies whose first runs run."""
    pace = {}
    for place in places:
        own = live.get(place.run.id) if place.run is not None else None
        if own is not None and own.epoch_s is not None and place.shape is not None:
            pace[_kind(place.shape)] = own.epoch_s * int(place.shape[1]["train"]["epochs"])
    return pace


def _cell(place: _Place, live: Mapping[str, Pace], expected: float | None) -> CellState:
    run = place.run
    epoch, left = None, expected
    if run is not None and run.status == "running":
        own, whole = live.get(run.id, Pace()), planned_epochs(run)
        usual_s = None if expected is None else expected / max(whole, 1)
        ends_at = own.ends_at(whole, run.started.timestamp() if run.started else None, usual_s)
        epoch = own.epoch or 0.0
        left = None if ends_at is None else max(0.0, ends_at - datetime.now(UTC).timestamp())
    elif run is not None and run.status in (RunStatus.FINISHED, RunStatus.FAILED):
        left = None
    return CellState(
        axes=_own_axes(place),
        spec_hash=place.spec_hash,
        state="missing" if run is None else run.status,
        run=None if run is None else run.id,
        reason="" if run is None else run.reason,
        epoch=epoch,
        epochs=None if place.shape is None else place.shape[1]["train"]["epochs"],
        left_s=left,
    )


def _own_axes(place: _Place) -> dict[str, Any]:
    """The axes without the vectors where it reads none: arms of several vectors share such a run."""
    reads_none = place.shape is not None and place.shape[1]["embedding"] is None
    return {axis: value for axis, value in place.axes.items() if not (reads_none and axis == "embedding")}
