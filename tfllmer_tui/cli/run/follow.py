"""What is seen while a run trains: a live picture on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console, RenderableType
from rich.live import Live

from engine.records import RunStatus
from engine.store import Run, Store
from tfllmer_tui.cli.output import no_caret_c
from tfllmer_tui.cli.run.picture import Snapshot, draw, snapshot
from tfllmer_tui.view.printing import put
from tfllmer_tui.view.text import count, duration

OnUpdate: TypeAlias = Callable[[Run], None]
_EVERY_S = 0.25
_STOPPING = "Stopping: the run saves its state and leaves. Ctrl-C again kills it."


@contextmanager
def live(store: Store, run: Run, console: Console) -> Iterator[OnUpdate]:
    """A picture that is redrawn in place. The process of the run is followed by the caller's thread; the
    drawing thread sees finished snapshots only."""
    began, snapshots = time.monotonic(), [snapshot(store, run.id)]
    read_at = [0.0]

    def update(run: Run) -> None:
        if run.cancel_requested and run.status is RunStatus.RUNNING and not snapshots[0].stopping:
            view.console.print(_STOPPING)
        ended = run.status is not RunStatus.RUNNING
        if ended or run.cancel_requested or time.monotonic() - read_at[0] >= _EVERY_S:
            snapshots[0], read_at[0] = snapshot(store, run.id), time.monotonic()

    def render() -> RenderableType:
        width, height = console.size
        ended = snapshots[0].record.status is not RunStatus.RUNNING
        room = height - 10 if ended else height - 1  # the result comes below the last picture
        return draw(snapshots[0], time.monotonic() - began, width=width, height=max(room, 10))

    drawing = Live(console=console, get_renderable=render, refresh_per_second=4, vertical_overflow="crop")
    with no_caret_c(), drawing as view:
        yield update


@contextmanager
def lines(store: Store, run: Run) -> Iterator[OnUpdate]:
    """One line per epoch, without control codes."""
    first = snapshot(store, run.id)
    steps = set(first.series["train_ce"][0].tolist())
    stopping = [False]

    def update(run: Run) -> None:
        if run.cancel_requested and not stopping[0] and run.status is RunStatus.RUNNING:
            stopping[0] = True
            put(_STOPPING)
        current = snapshot(store, run.id)
        for step in current.series["train_ce"][0].tolist():
            if step not in steps:
                steps.add(step)
                put(_line(current, step))

    yield update


def _line(current: Snapshot, at: float) -> str:
    values = {name: dict(zip(*map(list, points), strict=True)).get(at) for name, points in current.series.items()}
    epoch = values["epoch"] or 0.0
    parts = [
        f"epoch {epoch:>{len(str(current.epochs))}.0f}/{current.epochs}",
        f"train CE {values['train_ce']:.3f}",
        f"valid CE {values['valid_ce']:.3f}",
        f"valid NDCG@10 {values['valid.ndcg@10']:.4f}",
    ]
    speed = current.series["targets_per_s"][1]
    if len(speed):
        parts.append(f"{count(float(speed[-1]))} targets/s")
    if current.left_s:
        parts.append(f"{duration(current.left_s)} left")
    return "  ".join(parts)


@contextmanager
def nothing() -> Iterator[OnUpdate]:
    """No word until the end."""
    yield lambda run: None
