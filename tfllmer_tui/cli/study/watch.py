"""What is seen while a study runs: a picture that is redrawn, or a line for every run that ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from engine import queue
from engine.presets import Cell
from engine.records import RunStatus
from engine.store import Store
from engine.views.study import StudyState, planned_state
from tfllmer_tui.cli.output import no_caret_c, say
from tfllmer_tui.cli.pausing import Pause
from tfllmer_tui.view.printing import put, terminal
from tfllmer_tui.view.study import failures, label, legend, running, time_text
from tfllmer_tui.view.text import duration, plain

_EVERY_S = 1.0
_NOBODY_S = 10.0
"""A lost run that no worker has taken up for so long stays lost."""


def watch(store: Store, cells: Sequence[Cell], *, quiet: bool, keep_worker: bool) -> bool:
    """Follow the cells until none waits or runs; True where Ctrl-C ended it, which leaves the runs alone.

    Where `keep_worker` is set and all workers are gone while runs wait, another one is started.
    """
    console = terminal(stderr=quiet)
    draws = console.is_terminal and not console.is_dumb_terminal
    lost_since: float | None = None
    nobody_told = False
    try:
        with _live(console) if draws else _lines(quiet) as show:
            pause = Pause(_EVERY_S)
            while True:
                queue.settle(store)
                now = planned_state(store, cells)
                show(now)
                counts = now.counts
                works = any(worker.alive for worker in queue.workers(store))
                lost_since = (lost_since or time.monotonic()) if counts.get("lost") and works else None
                comes_back = lost_since is not None and time.monotonic() - lost_since < _NOBODY_S
                if not (counts.get("queued") or counts.get("running") or comes_back):
                    return False
                if counts.get("queued") and not works:
                    if keep_worker and queue.ensure_worker(store):
                        say("No worker was alive any more: started another one in the background.")
                    elif not keep_worker and not nobody_told:
                        nobody_told = True
                        say("No worker is alive: start one with tfllmer worker; this waits for it.")
                pause()
    except KeyboardInterrupt:
        return True


@contextmanager
def _live(console: Console) -> Iterator[Any]:
    drawing = Live(console=console, refresh_per_second=4, vertical_overflow="crop", transient=True)
    with no_caret_c(), drawing:
        yield lambda now: drawing.update(_picture(now), refresh=True)


def _picture(now: StudyState) -> RenderableType:
    total = len(now.cells)
    bar = Table.grid(padding=(0, 2))
    progress = ProgressBar(total=total, completed=now.ended, width=40)
    bar.add_row(progress, f"{now.ended}/{total}", plain(time_text(now.time)))
    return Group(bar, legend(now.counts), *running(now.cells), *failures(now.cells), Text())


@contextmanager
def _lines(quiet: bool) -> Iterator[Any]:
    known: set[str] | None = None

    def show(now: StudyState) -> None:
        nonlocal known
        ends = (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.CANCELLED)
        ended = {cell.spec_hash: cell for cell in now.cells if cell.state in ends}
        new = [] if known is None or quiet else [cell for key, cell in ended.items() if key not in known]
        for place, cell in enumerate(new, len(ended) - len(new) + 1):
            left = f"  {duration(now.time.left_s)} left" if now.time.left_s else ""
            why = f": {cell.reason}" if cell.reason else ""
            words = f"{cell.run}  {label(cell.axes)}  {cell.state}{why}{left}"
            put(f"{place}/{len(now.cells)}  {words}")
        known = set(ended)

    yield show
