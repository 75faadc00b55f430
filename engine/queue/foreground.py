"""Follow one run from the terminal: what it spools becomes rows, Ctrl-C stops it cleanly."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from engine.errors import UserError
from engine.queue.process import CANCEL_GRACE_S, child_of, forget, how_it_ended, is_alive, stop
from engine.queue.recovery import conclude
from engine.records import RunStatus
from engine.store import Run, Store, StoreError, get_run, ingest, request_cancel


def supervise(store: Store, run: Run, on_update: Callable[[Run], None], poll_s: float = 0.1) -> Run:
    """Follow a run that this process has begun (`start`, `resume`) until its process has ended.

    `on_update` is called with the run at first, after news and at its end. The first Ctrl-C (or
    SIGTERM, or a cancel request in the store) asks the process to save its state and leave, and
    `run.cancel_requested` is True from then on; the second Ctrl-C kills its group, as does
    a cancel request that it does not follow in time. A closed terminal
    (SIGHUP) ends only the caller: the run goes on, and `settle` finds it. While the store cannot be
    written the run goes on as well, and is caught up with later.

    Returns the run as it ended. Raises UserError where another process turns out to be running it,
    StoreError where the store cannot be written even at the end.
    """
    child = child_of(run.id)
    if child is None:
        raise ValueError(f"run {run.id} was not started by this process")
    attempts_before, seen = run.attempt, None
    stopped, killed, kill_at = False, False, math.inf
    with _interrupts() as interrupts:
        while True:
            code = child.popen.poll()
            with suppress(StoreError):
                ingest(store, run.id)
                run = get_run(store, run.id)
            if seen != (seen := (run.spool_offset, run.status, run.cancel_requested)):
                on_update(run)
            if code is not None:
                break
            if not stopped and (interrupts or run.cancel_requested):
                stopped = True
                kill_at = time.monotonic() + CANCEL_GRACE_S if run.cancel_requested else math.inf
                stop(child)
                with suppress(StoreError):
                    request_cancel(store, run.id)
            if not killed and (len(interrupts) > 1 or time.monotonic() > kill_at):
                killed = True
                stop(child, kill=True)
            time.sleep(poll_s)
        forget(run.id)
        ingest(store, run.id)
        run = get_run(store, run.id)
        if run.status in (RunStatus.RUNNING, RunStatus.LOST):  # it left no last word
            run = _without_last_word(
                store, run, code, begun=run.attempt > attempts_before, stopped=stopped, killed=killed
            )
            on_update(run)
    return run


def _without_last_word(store: Store, run: Run, code: int, *, begun: bool, stopped: bool, killed: bool) -> Run:
    if is_alive(store, run):
        raise UserError(f"{run.id}: another process is running it; `tfllmer show {run.id}` shows how it goes")
    how = how_it_ended(code, store.folder(run.id).log)
    if not begun:
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
