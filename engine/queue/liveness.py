"""Which work answers for a run: its executor and handle in the row, and the lock that its own process holds."""

from __future__ import annotations

from sqlmodel import col, update

from engine.errors import UserError
from engine.files import is_held
from engine.queue.executors.base import Ending, Executor
from engine.queue.executors.local.processes import ProcessId
from engine.queue.executors.registry import LOCAL, executor
from engine.store import Run, Store


def handle_of(run: Run) -> str | None:
    """What answers for the run, as its executor calls it; None where its row names nothing.

    A run of another executor that has been claimed and not yet started is answered for by the process that starts it.
    """
    if run.handle:
        return run.handle
    if not (isinstance(run.pid, int) and isinstance(run.pid_start, int | float)):  # none, or a damaged row
        return None
    return ProcessId(run.pid, run.pid_start, run.host).handle


def where_of(run: Run) -> str:
    """What answers for the run, in words."""
    return f"{run.executor} job {run.handle}" if run.handle else f"pid {run.pid}"


def executor_of(store: Store, run: Run) -> Executor:
    """The executor that the handle of the run belongs to. Raises UserError where its package is gone."""
    return executor(run.executor if run.handle else LOCAL, store.files)


def ending_of(store: Store, run: Run) -> Ending | None:
    """How the work in the run's row ended; None while it lives, nobody can say, or the row names none."""
    handle = handle_of(run)
    try:
        return executor_of(store, run).ending(handle) if handle else None
    except UserError:
        return None


def answers(store: Store, run: Run) -> bool:
    """Whether the work in the run's row lives, or nobody can say."""
    handle = handle_of(run)
    if handle is None:
        return False
    try:
        return executor_of(store, run).alive(handle)
    except UserError:
        return True


def own_handle(store: Store, run: Run) -> str | None:
    """The handle of the run's own work; None while its row may name whoever starts it, which holds no lock."""
    return handle_of(run) if run.handle or is_held(store.folder(run.id).lock) else None


def is_alive(store: Store, run: Run) -> bool:
    """Whether anything answers for the run: the work in its row, or a process that holds its lock."""
    return answers(store, run) or is_held(store.folder(run.id).lock)


def own(store: Store, run_id: str, name: str, handle: str) -> None:
    """Store what answers for the run from now on: it may have ended already."""
    values: dict[str, object] = {"executor": name, "handle": handle, "pid": None, "pid_start": None, "host": None}
    if name == LOCAL:
        process = ProcessId.of_handle(handle)
        values |= {"handle": "", "pid": process.pid, "pid_start": process.pid_start, "host": process.host}
    with store.write() as session:
        session.connection().execute(update(Run).where(col(Run.id) == run_id).values(**values))
