"""The state of a study, as one JSON object and as a picture: a mark for every run, arms against backbones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from engine import queue
from engine.presets import Cell
from engine.presets.studies import text_of
from engine.queue.devices import choose
from engine.queue.studies import STATES, Planned, Submitted
from engine.store import Run, Store
from engine.store.queue import last_values
from engine.store.studies import StudyCell, estimate_seconds
from tfllmer_tui.view.text import duration, plain, short_ids, status_text

_DIM = "bright_black"
_PLACE = ("dataset", "backbone", "embedding")
_MISSING = "○"


@dataclass(frozen=True)
class Entry:
    """A cell on screen. `shape` is what its time is estimated by; None where nothing is known of it."""

    axes: Mapping[str, Any]
    spec_hash: str
    run: Run | None
    shape: tuple[str, Mapping[str, Any]] | None


def of_plan(planned: Sequence[Planned]) -> list[Entry]:
    """Cells of a file as they are in the store."""
    return [Entry(each.cell.axes, each.cell.spec_hash, each.run, each.cell.shape) for each in planned]


def of_store(cells: Sequence[tuple[StudyCell, Run | None]]) -> list[Entry]:
    """Cells as the store knows them."""
    return [
        Entry(cell.axes, cell.spec_hash, run, None if run is None else (run.data_hash, run.spec)) for cell, run in cells
    ]


def status(store: Store | None, entries: Sequence[Entry]) -> dict[str, Any]:
    """Every cell with its state; `counts` by state; and of what has not ended: `left_s`, the seconds until all
    of it is done on `slots` places, and `untimed`, how many cells no past run gives a time for."""
    running = [entry.run.id for entry in entries if entry.run is not None and entry.run.status == "running"]
    epoch = last_values(store, running, "epoch") if store is not None and running else {}
    shapes = [entry.shape for entry in entries if entry.shape is not None]
    expected = iter(estimate_seconds(store, shapes) if store is not None else [None] * len(shapes))
    pace = _pace(entries, epoch)
    cells = [
        _cell(entry, epoch, None if entry.shape is None else next(expected) or pace.get(_kind(entry.shape)))
        for entry in entries
    ]
    counts = Counter(cell["state"] for cell in cells)
    open_ = [cell["left_s"] for cell in cells if cell["state"] in ("missing", "queued", "running", "lost", "cancelled")]
    told = {"counts": {state: counts[state] for state in STATES if counts[state]}, "cells": cells}
    return told | shared(open_, slots_of(store))


def shared(seconds: Sequence[float | None], slots: int) -> dict[str, Any]:
    """What `status` says of the time of runs that take so long, None where it is not known, on `slots` places."""
    known = [each for each in seconds if each is not None]
    left = max([*known, sum(known) / slots]) if known else None if seconds else 0.0
    return {"left_s": left, "slots": slots, "untimed": len(seconds) - len(known)}


def slots_of(store: Store | None) -> int:
    """Places for runs: those of living workers, or of the one that would be started here; GPUs alone where there
    are any, since that is where runs go."""
    living = [w for w in queue.workers(store) if w.alive and not w.draining] if store is not None else []
    slots = [device for worker in living for device in worker.slots] or choose(None, None, 1, None).slots
    return sum(device != "cpu" for device in slots) or len(slots)


def _kind(shape: tuple[str, Mapping[str, Any]]) -> tuple[str, str, int]:
    return shape[0], shape[1]["backbone"]["name"], shape[1]["train"]["epochs"]


def _pace(entries: Sequence[Entry], epoch: Mapping[str, float]) -> dict[tuple[str, str, int], float]:
    """Seconds of whole runs by their kind, as those that run now will take: for studies whose first runs run."""
    found = {}
    for entry in entries:
        run, shape = entry.run, entry.shape
        if run is not None and shape is not None and (whole := _whole(run, epoch.get(run.id, 0.0))):
            found[_kind(shape)] = whole
    return found


def _whole(run: Run, done: float) -> float | None:
    """Seconds that a running run takes in all, at its pace so far."""
    if run.status != "running" or not done or run.started is None or run.attempt != 1:
        return None
    return (datetime.now(UTC) - run.started).total_seconds() / done * int(run.spec["train"]["epochs"])


def _cell(entry: Entry, epoch: Mapping[str, float], expected: float | None) -> dict[str, Any]:
    run = entry.run
    cell: dict[str, Any] = {
        "axes": dict(entry.axes),
        "spec_hash": entry.spec_hash,
        "state": "missing" if run is None else run.status,
        "run": None if run is None else run.id,
        "reason": "" if run is None else run.reason,
        "epoch": None,
        "epochs": None if entry.shape is None else entry.shape[1]["train"]["epochs"],
        "left_s": expected,
    }
    if run is not None and run.status == "running":
        done, epochs = epoch.get(run.id, 0.0), int(run.spec["train"]["epochs"])
        whole = _whole(run, done) or expected
        cell |= {"epoch": done, "left_s": None if whole is None else whole * (1 - min(1.0, done / max(epochs, 1)))}
    elif run is not None and run.status in ("finished", "failed"):
        cell["left_s"] = None
    return cell


# ------------------------------------------------------------------------------------ pictures


def label(axes: Mapping[str, Any]) -> str:
    """A cell in words: `tf-llmer/full demo sasrec embedding.lambda=2 seed 0`."""
    row, column = _row(axes), _column(axes)
    return f"{row[0]} {' '.join(column)}{f' {row[1]}' if row[1] else ''} seed {axes['seed']}"


def matrix(cells: Sequence[Mapping[str, Any]]) -> Table:
    """Arms against data sets and backbones; in a place one mark for each seed."""
    columns = list(dict.fromkeys(_column(cell["axes"]) for cell in cells))
    found = list(dict.fromkeys(_row(cell["axes"]) for cell in cells))
    arms = [arm for arm, _ in found]
    rows = sorted(found, key=lambda row: arms.index(row[0]))
    marks: dict[Any, Text] = {}
    for cell in sorted(cells, key=lambda cell: int(cell["axes"]["seed"])):
        marks.setdefault((_row(cell["axes"]), _column(cell["axes"])), Text()).append_text(_mark(cell["state"]))
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("arm", overflow="fold")
    if any(rest for _, rest in rows):
        table.add_column("", overflow="fold")
    for column in columns:
        table.add_column(Text("\n").join(map(plain, column)), no_wrap=True)
    for row in rows:
        names = row if any(rest for _, rest in rows) else row[:1]
        table.add_row(*map(plain, names), *(marks.get((row, column), Text("")) for column in columns))
    return table


def picture(now: Mapping[str, Any]) -> RenderableType:
    """The matrix with its legend, the failures with their reasons, and what is left."""
    parts: list[RenderableType] = [matrix(now["cells"]), Text(), legend(now["counts"])]
    parts += failures(now["cells"])
    return Group(*parts, *([plain(time_left(now))] if time_left(now) else []))


def legend(counts: Mapping[str, int]) -> Text:
    """`✓ 12 finished  ● 2 running  ○ 28 missing`."""
    parts = [Text.assemble(_mark(state), f" {n} {state}") for state, n in counts.items()]
    return Text("  ").join(parts)


def failures(cells: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """A line for each cell whose run did not end well."""
    bad = [cell for cell in cells if cell["state"] in ("failed", "lost", "cancelled")]
    names = short_ids([cell["run"] for cell in bad]) if bad else []
    return [
        Text.assemble(
            _mark(cell["state"]), " ", plain(name), " ", plain(label(cell["axes"])), ": ", plain(cell["reason"])
        )
        for cell, name in zip(bad, names, strict=True)
    ]


def running(cells: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """A line for each cell that runs: how far it is, and what is left of it."""
    return [
        Text.assemble(
            _mark("running"),
            " ",
            plain(label(cell["axes"])),
            (f"  epoch {cell['epoch']:.0f}/{cell['epochs']}", _DIM),
            (f"  {duration(cell['left_s'])} left" if cell["left_s"] is not None else "", _DIM),
        )
        for cell in cells
        if cell["state"] == "running"
    ]


def time_left(now: Mapping[str, Any]) -> str:
    """`about 12:00 on 2 slots`; what it does not cover; empty where nothing is left."""
    places = f"{now['slots']} slot{'s' if now['slots'] != 1 else ''}"
    if now["left_s"] is None:
        return f"No estimate yet: no finished run is like these; runs go on {places}."
    if now["left_s"] == 0 and not now["untimed"]:
        return ""
    rest = f"; no past run tells the time of {now['untimed']} more" if now["untimed"] else ""
    return f"About {duration(now['left_s'])} on {places}, as past runs took{rest}."


def told(name: str, cells: Sequence[Cell], done: Submitted) -> str:
    """`demo: 42 runs, 3 finished before, 39 queued.`"""
    found = [f"{n} {state}" for state, n in done.found.items() if state in ("finished", "running", "queued")]
    parts = [*found, f"{len(done.made)} new in the queue"]
    if done.again:
        parts.append(f"{len(done.again)} again in the queue")
    failed = done.found.get("failed", 0)
    if failed and len(done.again) < failed:
        parts.append(f"{failed} failed (--retry-failed queues them again)")
    return f"{name}: {len(cells)} runs: {', '.join(parts)}."


def _row(axes: Mapping[str, Any]) -> tuple[str, str]:
    rest = [f"{axis}={text_of(v)}" for axis, v in axes.items() if axis not in (*_PLACE, "arm", "seed")]
    return str(axes["arm"]), " ".join(rest)


def _column(axes: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(axes[axis]) for axis in _PLACE if axis in axes)


def _mark(state: str) -> Text:
    return Text(_MISSING, _DIM) if state == "missing" else status_text(state, word=False)
