"""What follows the end of a run that a worker had: it stays, it is queued again, or it is set aside."""

from __future__ import annotations

from engine.queue.liveness import is_alive
from engine.queue.recovery import conclude
from engine.records import RunStatus
from engine.store import Run, Store, get_run, ingest
from engine.store.queue import put_back

MAX_CRASHES = 3
"""A run whose process was gone without a last word so often, without a new checkpoint between, is failed."""
MAX_CRASHES_WITH_WORKER = 2
"""So is one that was running so often when its worker went down as well."""


def after_end(
    store: Store, run_id: str, how: str, *, blame: bool = True, worker_gone: bool = False, give_up: bool = False
) -> Run:
    """Settle a run of a worker whose process is gone (`how`); returns it as it is then.

    finished, failed: stays (an error, a diverged loss, a time limit and a memory that does not hold half a
    batch come back when they are run again). cancelled: stays where a person asked for it; else its worker
    or the machine was told to stop, and it is queued again. Without a last word: queued again from its
    checkpoint, until it has happened too often since it last made one, or failed at once where its worker
    had to `give_up`. Without `blame` it does not count: it was not the run's doing.
    """
    ingest(store, run_id)
    run = get_run(store, run_id)
    if run.status == RunStatus.RUNNING and is_alive(store, run):
        return run  # another process has it
    if run.status == RunStatus.CANCELLED and not run.cancel_requested:
        put_back(store, run, "it was stopped with its worker", crashes=run.crashes)
        return get_run(store, run_id)
    if run.status in (RunStatus.RUNNING, RunStatus.LOST):
        return _without_last_word(store, run, how, blame=blame, worker_gone=worker_gone, give_up=give_up)
    return run


def _without_last_word(store: Store, run: Run, how: str, *, blame: bool, worker_gone: bool, give_up: bool) -> Run:
    crashes = run.crashes if not blame else 1 if _progressed(store, run) else run.crashes + 1
    limit = MAX_CRASHES_WITH_WORKER if worker_gone else MAX_CRASHES
    if run.cancel_requested:
        return conclude(store, run, RunStatus.CANCELLED, f"cancelled by the user; {how}")
    if give_up:
        return conclude(store, run, RunStatus.FAILED, how, crashes)
    if blame and crashes >= limit:
        together = " with its worker" if worker_gone else ""
        return conclude(
            store, run, RunStatus.FAILED, f"set aside: lost {crashes} times{together}; at last: {how}", crashes
        )
    put_back(store, run, how, crashes=crashes)
    return get_run(store, run.id)


def _progressed(store: Store, run: Run) -> bool:
    """Whether the process that is gone had saved a state that is newer than itself."""
    last = store.folder(run.id).last
    return run.pid_start is not None and last.exists() and last.stat().st_mtime > run.pid_start
