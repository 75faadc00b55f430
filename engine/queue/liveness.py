"""Which work answers for a run: its executor and handle in the row, and the lock that its own process holds.

Of processes on another machine only that lock tells, and the heartbeat of the worker there, by the store's clock."""

from __future__ import annotations

from sqlmodel import col, update

from engine.errors import UserError
from engine.files import is_held
from engine.queue.executors.base import Ending, Executor
from engine.queue.executors.local.processes import ProcessId, process_lives
from engine.queue.executors.registry import LOCAL, executor
from engine.store import Run, Store
from engine.store import queue as rows

HEARTBEAT_S = 5.0
SILENCE_S = 120.0
"""A worker on another machine counts as gone after so long without a heartbeat."""
RETURN_S = 86400.0
"""So long it may come back, so its row stays: what is asked of it meanwhile waits for it there."""


def worker_lives(worker: rows.SeenWorker) -> bool:
    """By (pid, start time) on this machine, by a generous heartbeat elsewhere."""
    process = ProcessId(worker.row.pid, worker.row.pid_start, worker.row.host)
    return process_lives(process.pid, process.pid_start) if process.is_here else worker.silent_s < SILENCE_S


def may_return(worker: rows.SeenWorker) -> bool:
    """Whether a worker that counts as gone may only be cut off: of those on this machine it is known."""
    is_here = ProcessId(worker.row.pid, worker.row.pid_start, worker.row.host).is_here
    return not is_here and worker.silent_s < RETURN_S


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
        return executor_of(store, run).alive(handle) or _is_looked_after(store, run)
    except UserError:
        return True


def is_elsewhere(run: Run) -> bool:
    """Whether the process that answers for it is on another machine."""
    return not run.handle and run.host is not None and not ProcessId(0, 0.0, run.host).is_here


def names(run: Run, handle: str) -> bool:
    """Whether the row of the run names that work."""
    if run.handle or run.executor != LOCAL:
        return run.handle == handle
    return not is_elsewhere(run) and run.pid == ProcessId.of_handle(handle).pid


def _is_looked_after(store: Store, run: Run) -> bool:
    """Whether somebody on the machine of its process would say that it has ended: the worker that it is of there, or,
    while it begins, the person who has just started it."""
    if not is_elsewhere(run):
        return False
    if run.worker_id is None:
        return run.attempt == 0 and (store.now() - run.created).total_seconds() < SILENCE_S
    there = {seen.row.id: seen for seen in rows.list_workers(store)}.get(run.worker_id)
    return there is not None and there.row.host == run.host and worker_lives(there)


def own_handle(store: Store, run: Run) -> str | None:
    """The handle of the run's own work; None while its row may name whoever starts it, which holds no lock."""
    return handle_of(run) if run.handle or is_held(store.folder(run.id).lock) else None


def is_alive(store: Store, run: Run) -> bool:
    """Whether anything answers for the run: the work in its row, or a process that holds its lock. Where its folder
    cannot be seen from here, nobody can say."""
    folder = store.folder(run.id)
    return answers(store, run) or is_held(folder.lock) or (is_elsewhere(run) and not folder.root.is_dir())


def own(store: Store, run_id: str, name: str, handle: str, worker_id: str | None = None) -> bool:
    """Store what answers for the run from now on: it may have ended already. With `worker_id` only while the run is
    that worker's; else False."""
    values: dict[str, object] = {"executor": name, "handle": handle, "pid": None, "pid_start": None, "host": None}
    if name == LOCAL:
        process = ProcessId.of_handle(handle)
        values |= {"handle": "", "pid": process.pid, "pid_start": process.pid_start, "host": process.host}
    claimed = [] if worker_id is None else [col(Run.worker_id) == worker_id]
    with store.write() as session:
        mine = update(Run).where(col(Run.id) == run_id, *claimed)
        return session.connection().execute(mine.values(**values)).rowcount == 1
