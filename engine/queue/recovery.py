"""Runs whose process is gone, or whose supervisor is: settled by whoever comes by, resumed by a person."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Literal, TypeAlias

from sqlmodel import col, update

from engine.errors import UserError
from engine.queue.executors.local.processes import this_process
from engine.queue.executors.registry import LOCAL
from engine.queue.liveness import answers, ending_of, is_alive, where_of
from engine.queue.starting import start
from engine.records import RunStatus
from engine.spool import SpoolMark
from engine.store import Event, Run, Store, StoreError, get_run, ingest
from engine.store.core.origin import archive_of
from engine.store.finding import missing_files, unsettled
from engine.store.queue import unchanged
from engine.store.runs import experiment_of, mark_damaged

Ending: TypeAlias = Literal[RunStatus.LOST, RunStatus.CANCELLED, RunStatus.FAILED]
"""An end that somebody else writes down for a run that did not."""


def settle(store: Store) -> list[Run]:
    """Bring runs up to date that nobody may be following: ingest what running ones have spooled, and
    mark those as lost whose process is gone without an end. Returns the runs that have ended by it.

    A lost run whose spool grows again (its process was only slow to begin) becomes what its spool says. One whose row
    or records cannot be dealt with is damaged from then on, and the others go on. Raises StoreError.
    """
    ended: list[Run] = []

    def look_at(run_id: str, before: RunStatus) -> None:
        now = settle_run(store, run_id)
        if now.status not in (before, RunStatus.RUNNING):
            ended.append(now)

    for run_id, status in unsettled(store).items():
        isolated(store, run_id, partial(look_at, run_id, status))
    return ended


def isolated(store: Store, run_id: str, work: Callable[[], object]) -> bool:
    """Do the work for a run; whether it went well, or can be done later, as where a shared folder does not answer.
    What it raises damages this run, and nothing else; a StoreError, which concerns all runs, passes."""
    try:
        work()
    except StoreError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_ANSWER:
            return True
        mark_damaged(store, run_id, f"it cannot be followed: {type(error).__name__}: {error}")
        return False
    return True


_NO_ANSWER = (
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.EREMOTEIO, errno.ECONNRESET, errno.ECONNREFUSED),
)
"""What a file system over a network says while its server is away."""


def settle_run(store: Store, run_id: str) -> Run:
    """The run after ingesting its spool; lost (or cancelled, as asked), if it says it is running and no
    process answers for it."""
    alive = is_alive(store, get_run(store, run_id))  # first: if it is not, its last words are in the spool
    ingest(store, run_id)
    run = get_run(store, run_id)
    if alive or run.status != RunStatus.RUNNING or is_alive(store, run):
        return run
    ending = ending_of(store, run)
    how = ending.reason if ending else "its process is gone without a last word"
    return conclude(store, run, RunStatus.CANCELLED if run.cancel_requested else RunStatus.LOST, how)


def conclude(store: Store, run: Run, status: Ending, reason: str, crashes: int | None = None) -> Run:
    """Give a run whose process is gone its end, unless its row has changed since it was read: someone
    took the run up, or heard from it. It ended when it last wrote."""
    spool = store.folder(run.id).spool
    last_sign = datetime.fromtimestamp(spool.stat().st_mtime, UTC) if spool.exists() else datetime.now(UTC)
    values = {"status": status, "reason": reason, "ended": last_sign}
    with store.write() as session:
        end = update(Run).where(*unchanged(run))
        end = end.values(**values, crashes=run.crashes if crashes is None else crashes)
        if session.connection().execute(end).rowcount:
            session.add(Event(run_id=run.id, at=datetime.now(UTC), level="state", text=f"{status}: {reason}"))
    return get_run(store, run.id)


def resume(store: Store, run_id: str, argv: Sequence[str] = ()) -> Run:
    """Start a run again that may go on (`stopped_run`): the same folder, from its last checkpoint.

    Returns the run, running as a child of this process, for `supervise`. Raises UserError where it may not, or is
    taken up by another process at the same moment.
    """
    run = stopped_run(store, run_id)
    if not _take(store, run):
        raise UserError(f"{run.id}: another process has just resumed it; `tfllmer show {run.id}` shows how it goes")
    start(store, run, argv)
    return get_run(store, run.id)


def stopped_run(store: Store, run_id: str) -> Run:
    """The run, brought up to date, where it may go on: lost, cancelled, failed, or finished though its result is lost.

    Whether it goes on from its last checkpoint is for its process to see, which knows the files. Raises UserError
    where it is finished, queued or running, or its files are gone.
    """
    run = settle_run(store, run_id)
    folder = store.folder(run.id)
    read = SpoolMark(run.spool_offset, run.spool_mark)
    if run.status.has_ended and (name := archive_of(store, run.id)) is not None:
        experiment_of(run).require_made_here()
        raise UserError(
            f"{run.id}: came from the archive {name}, which holds no checkpoint, so it cannot go on; `tfllmer reproduce"
            f" {run.id} --run` trains it again, `tfllmer clone {run.id}` makes a new run of it"
        )
    if run.status == RunStatus.FINISHED and (run.result is not None or read.holds_in(folder.spool)):
        raise UserError(f"{run.id}: is finished; `tfllmer clone {run.id}` makes a new run of it")
    if run.status == RunStatus.QUEUED:
        raise UserError(f"{run.id}: is queued already; a worker takes it up, `tfllmer queue` shows its place")
    if run.status == RunStatus.RUNNING or is_alive(store, run):
        where = f" ({where_of(run)})" if answers(store, run) else ""
        raise UserError(f"{run.id}: is running{where}; `tfllmer cancel {run.id}` stops it")
    if not folder.spec.exists():
        raise UserError(files_gone(store, run))
    return run


def files_gone(store: Store, run: Run) -> str:
    """Why a run cannot go on whose folder is not there: it alone, or those of all, as where a store was copied as a
    single file."""
    return missing_files(store) or (
        f"{store.folder(run.id).root}: the files of the run are gone; `tfllmer clone {run.id}` makes a new run of it"
    )


def _take(store: Store, run: Run) -> bool:
    """Make the run ours in one statement; False where another process was faster."""
    me = this_process()
    with store.write() as session:
        free = update(Run).where(col(Run.id) == run.id, col(Run.status) == run.status)
        mine = free.values(
            status=RunStatus.RUNNING,
            reason="",
            detail="",
            ended=None,
            cancel_requested=False,
            worker_id=None,
            pid=me.pid,
            pid_start=me.pid_start,
            host=me.host,
            executor=LOCAL,
            handle="",
        )
        return session.connection().execute(mine).rowcount == 1
