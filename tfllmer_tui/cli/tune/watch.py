"""A tuning taken forward in the foreground: a picture that is redrawn, or a line for every trial that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.live import Live

from engine import queue
from engine.queue.tuning.trials import Tuner
from engine.records import TuningRecord
from engine.store import Store
from engine.views.study import planned_state
from engine.views.tuning import tuning_view
from tfllmer_tui.cli.output import no_caret_c, say
from tfllmer_tui.cli.pausing import Pause
from tfllmer_tui.view.printing import put, terminal
from tfllmer_tui.view.study import running
from tfllmer_tui.view.tuning import progress, settings_text

_EVERY_S = 1.0


def follow(store: Store, tuner: Tuner, *, quiet: bool, keep_worker: bool) -> bool:
    """Take the tuning forward until it is done; True where Ctrl-C ended that, which leaves the runs alone.

    Where `keep_worker` is set and no worker lives while runs wait, one is started.
    """
    console = terminal(stderr=quiet)
    draws = console.is_terminal and not console.is_dumb_terminal
    nobody_told = False
    try:
        with _live(console, store) if draws else _lines(quiet) as show:
            pause = Pause(_EVERY_S)
            while True:
                queue.settle(store)
                is_done = tuner.step()
                show(tuner)
                if is_done:
                    return False
                if queue.queued(store) and not any(worker.alive for worker in queue.workers(store)):
                    if keep_worker:
                        queue.ensure_worker(store)
                    elif not nobody_told:
                        nobody_told = True
                        say("No worker is alive: start one with tfllmer worker; this waits for it.")
                pause()
    except KeyboardInterrupt:
        return True


@contextmanager
def _live(console: Any, store: Store) -> Iterator[Any]:
    drawing = Live(console=console, refresh_per_second=4, vertical_overflow="crop", transient=True)

    def show(tuner: Tuner) -> None:
        now = planned_state(store, tuner.cells())
        drawing.update(progress(tuning_view(None, tuner.tuning), running(now.cells)), refresh=True)

    with no_caret_c(), drawing:
        yield show


@contextmanager
def _lines(quiet: bool) -> Iterator[Any]:
    known: set[tuple[str, int]] | None = None

    def show(tuner: Tuner) -> None:
        nonlocal known
        ended = {(trial.arm, trial.number) for trial in tuner.tuning.trials if trial.state != "open"}
        if known is not None and not quiet:
            for line in _news(tuner.tuning, ended - known):
                put(line)
        known = ended

    yield show


def _news(tuning: TuningRecord, new: set[tuple[str, int]]) -> Iterator[str]:
    for trial in tuning.trials:
        if (trial.arm, trial.number) in new:
            value = "" if trial.value is None else f" {tuning.by} {trial.value:.4f} at epoch {trial.epoch}"
            why = f": {trial.reason}" if trial.state == "failed" else ""
            place = f"{trial.arm} {trial.number + 1}/{tuning.budget}"
            yield f"{place}  {trial.state}{value}{why}  {settings_text(trial)}"
