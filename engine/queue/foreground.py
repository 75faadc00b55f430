"""Follow one run from the terminal: what it spools becomes rows, Ctrl-C stops it cleanly."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from engine.errors import UserError
from engine.queue.executors.base import Ending
from engine.queue.executors.endings import last_word
from engine.queue.liveness import is_alive
from engine.queue.recovery import conclude
from engine.queue.starting import IMPATIENT_S, begun, forget
from engine.records import RunStatus
from engine.store import Run, Store, StoreError, StoreLostError, get_run, ingest, request_cancel

_LOOK_S = 0.5
"""Seconds between looks into the store, for what others ask, while the run has spooled nothing new."""


class NotStoredError(StoreError):
    """A run has ended and the store could not be told. `stopped`: by Ctrl-C."""

    def __init__(self, text: str, *, stopped: bool) -> None:
        super().__init__(text)
        self.stopped = stopped


def supervise(
    store: Store,
    run: Run,
    on_update: Callable[[Run], None],
    poll_s: float = 0.1,
    on_loss: Callable[[str], None] = lambda text: None,
) -> Run:
    """Follow a run that this process has begun (`start`, `resume`) until its process has ended.

    `on_update` is called with the run at first, after news and at its end. The first Ctrl-C (or
    SIGTERM, or a cancel request in the store) asks the process to save its state and leave, and
    `run.cancel_requested` is True from then on; the second Ctrl-C kills its group, as does
    a cancel request that it does not follow in time. A closed terminal
    (SIGHUP) ends only the caller: the run goes on, and `settle` finds it. While the store cannot be
    written the run goes on as well, and is caught up with later; so it does where the database is deleted
    or replaced, which `on_loss` is told.

    Returns the run as it ended. Raises UserError where another process turns out to be running it,
    NotStoredError where the store cannot be written even at the end.
    """
    child = begun(run.id)
    if child is None:
        raise ValueError(f"run {run.id} was not started by this process")
    attempts_before, seen = run.attempt, None
    stopped, requested, killed, lost, kill_at = False, False, False, False, math.inf
    quick = store.waiting(min(IMPATIENT_S, store.wait_s))
    news = _SpoolWatch(store.folder(run.id).spool)
    with _interrupts() as interrupts:
        while True:
            ending = child.executor.ending(child.handle)
            try:
                if not lost and (ending is not None or news.may_be_there()):
                    ingest(quick, run.id)
                    run = get_run(quick, run.id)
                    news.looked_at = time.monotonic()
            except StoreLostError as error:
                lost = True
                on_loss(f"{error}; run {run.id} goes on, and is followed to its end")
            except StoreError:
                pass
            run.cancel_requested |= stopped
            if seen != (seen := (run.spool_offset, run.status, run.cancel_requested)):
                with suppress(StoreError):
                    on_update(run)
            if ending is not None:
                break
            if not stopped and (interrupts or run.cancel_requested):
                stopped = True
                kill_at = time.monotonic() + child.executor.cancel_grace_s if run.cancel_requested else math.inf
                child.executor.stop(child.handle)
                continue  # say so
            if stopped and not requested and not lost:
                with suppress(StoreError):
                    request_cancel(quick, run.id)
                    requested = True
            if not killed and (len(interrupts) > 1 or time.monotonic() > kill_at):
                killed = True
                child.executor.stop(child.handle, kill=True)
            time.sleep(poll_s)
        forget(run.id)
        patience = quick.wait_s if interrupts else store.wait_s
        try:
            run = _caught_up(quick, run.id, time.monotonic() + patience, interrupts)
            if run.status in (RunStatus.RUNNING, RunStatus.LOST):  # it left no last word
                run = _without_last_word(
                    store, run, ending, took_up=run.attempt > attempts_before, stopped=stopped, killed=killed
                )
                on_update(run)
        except StoreError as error:
            raise _not_stored(store, run, ending, error, stopped=bool(interrupts)) from error
    return run


@dataclass
class _SpoolWatch:
    """Whether it is worth to look for news of a run: a look that finds none is cheap, but there are ten a second."""

    spool: Path
    size: int = -1
    looked_at: float = -math.inf

    def may_be_there(self) -> bool:
        """Since the last look the run has spooled more, or some time has passed in which others may have asked."""
        before = self.size
        with suppress(OSError):
            self.size = self.spool.stat().st_size
        return self.size != before or time.monotonic() >= self.looked_at + _LOOK_S


def _not_stored(store: Store, run: Run, ending: Ending, error: StoreError, *, stopped: bool) -> NotStoredError:
    brings_in = "`tfllmer db rebuild`" if isinstance(error, StoreLostError) else "the next command"
    how = last_word(store.folder(run.id)) or ending.reason
    text = f"run {run.id} has ended ({how}), but {error}; its folder keeps it, {brings_in} brings it in"
    return NotStoredError(text, stopped=stopped)


def _caught_up(quick: Store, run_id: str, give_up: float, interrupts: list[int]) -> Run:
    """The run after its spool was read, tried until `give_up`, or Ctrl-C. Raises StoreError."""
    heard = len(interrupts)
    while True:
        try:
            ingest(quick, run_id)
            return get_run(quick, run_id)
        except StoreLostError:
            raise
        except StoreError:
            if time.monotonic() > give_up or len(interrupts) > heard:
                raise
        time.sleep(0.05)


def _without_last_word(store: Store, run: Run, ending: Ending, *, took_up: bool, stopped: bool, killed: bool) -> Run:
    if is_alive(store, run):
        raise UserError(f"{run.id}: another process is running it; `tfllmer show {run.id}` shows how it goes")
    how = ending.reason
    if not took_up:
        how = f"{how} (before it began)"
    if killed:
        return conclude(store, run, RunStatus.CANCELLED, "killed by the user")
    if stopped:
        return conclude(store, run, RunStatus.CANCELLED, f"stopped by the user; {how}")
    return conclude(store, run, RunStatus.LOST, how)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """The SIGINT and SIGTERM that came while the block runs, instead of an exception at any place in it.
    Signals that the caller's parent made us ignore stay ignored."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield came  # Python delivers signals to the main thread only
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    taken = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in taken:
        signal.signal(number, note)
    try:
        yield came
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


def abandon(run: Run) -> None:
    """Ask the process of a run that is not followed yet to save its state and leave."""
    child = begun(run.id)
    if child is not None:
        child.executor.stop(child.handle)
