"""Runs that this process begins itself, for a person who follows them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from engine.queue.executors.base import Executor, Task
from engine.queue.executors.local.children import Children
from engine.queue.executors.local.executor import LocalExecutor
from engine.queue.liveness import own
from engine.store import Run, Store, StoreError

IMPATIENT_S = 0.5
"""How long whoever follows runs waits for a lock at a time: a signal that comes meanwhile is for the runs first."""


@dataclass(frozen=True)
class Begun:
    """The work of a run as a child of this process; only a parent learns how it ends."""

    executor: Executor
    handle: str


_begun: dict[str, Begun] = {}


def start(store: Store, run: Run, argv: Sequence[str] = ()) -> None:
    """Start the work of a run that this process owns (`create_run` as running, or `resume`). `argv` stands for
    `engine.job` on the run's folder. Raises UserError."""
    executor = LocalExecutor(store.files, starter=Children(argv))
    (handle,) = executor.start([Task(store.folder(run.id), int(run.spec["execution"]["threads"] or 0))])
    _begun[run.id] = Begun(executor, handle)
    try:
        with suppress(StoreError):  # its own first record says the same
            own(store.waiting(min(IMPATIENT_S, store.wait_s)), run.id, executor.name, handle)
    except BaseException:
        executor.stop(handle)
        raise


def begun(run_id: str) -> Begun | None:
    """The run's work, where this process started it."""
    return _begun.get(run_id)


def forget(run_id: str) -> None:
    """Its end has been heard."""
    _begun.pop(run_id, None)
