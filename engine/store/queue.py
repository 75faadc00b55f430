"""The queue in the store: its order, the claim of a run, and the rows of workers.

Every change is one statement inside `BEGIN IMMEDIATE` that names the state it starts from, so of
several processes that want the same run one gets it. Times that decide anything (places in the queue, heartbeats) are
those of the store's clock: hosts need not agree on theirs.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psutil
from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import Session, col, delete, exists, func, select, update

from engine.records import RunStatus
from engine.store.core.database import Store
from engine.store.core.tables import Event, Run, StoredWorker
from engine.store.dialects.alchemy import piece, untyped
from engine.store.dialects.pieces import NOW, json_number, json_text, seconds_since

_THREADS = func.coalesce(untyped(json_number("run.spec", "execution", "threads")), 1)
_SHARED_BY = func.coalesce(untyped(json_number("run.spec", "execution", "devices")), 1)
_DEVICE = piece(json_text("run.spec", "execution", "device"))


# ------------------------------------------------------------------------------------ order


def queued(store: Store) -> list[Run]:
    """The runs that wait, the next one first."""
    with store.read() as session:
        return list(session.exec(select(Run).where(*_waiting()).order_by(*_order())))


@dataclass(frozen=True)
class Wishes:
    """Which queued runs a worker could take: those for its executor that ask for one of `devices` (`auto`, `cpu`,
    `cuda`, `cuda:N`; None: any), for at most `threads` CPU threads in all (None: any number), and for just `gpus` GPUs
    (None: any number). `most_gpus`: how many the worker has at all (None: it cannot say); runs on more are not its."""

    executor: str
    devices: tuple[str, ...] | None = None
    threads: int | None = None
    gpus: int | None = None
    most_gpus: int | None = None


def anything_queued(store: Store, wishes: Wishes) -> bool:
    """Whether a run waits that a worker could take."""
    with store.read() as session:
        return session.exec(select(Run.id).where(*_takes(wishes)).limit(1)).first() is not None


def _takes(wishes: Wishes) -> tuple[ColumnElement[bool], ...]:
    """The runs that wait for this executor and these devices, whatever their threads."""
    devices = () if wishes.devices is None else (_DEVICE.in_(wishes.devices),)
    most = () if wishes.most_gpus is None else (or_(_DEVICE == "cpu", wishes.most_gpus >= _SHARED_BY),)
    return (*_waiting(), col(Run.executor) == wishes.executor, *devices, *most)


def queued_executors(store: Store) -> list[str]:
    """The executors that queued runs wait for."""
    with store.read() as session:
        return list(session.exec(select(Run.executor).where(*_waiting()).distinct().order_by(Run.executor)))


def set_priority(store: Store, run_ids: Iterable[str], priority: int) -> None:
    """Queued runs of higher priority are taken first; runs that do not wait keep theirs."""
    with store.write() as session:
        these = update(Run).where(col(Run.id).in_(list(run_ids)), *_waiting())
        session.connection().execute(these.values(priority=priority))


def place_first(store: Store, run_ids: Sequence[str]) -> None:
    """Move queued runs, in the order given, before all others; they take the highest priority there is."""
    with store.write() as session:
        priority = session.exec(select(func.max(Run.priority)).where(*_waiting())).one()
        if priority is not None:
            top = session.exec(select(func.min(Run.position)).where(*_waiting(), Run.priority == priority)).one()
            _place(session, run_ids, priority, [top - n for n in range(len(run_ids), 0, -1)])


def place_last(store: Store, run_ids: Sequence[str]) -> None:
    """Move queued runs, in the order given, behind all others; they take the lowest priority there is."""
    with store.write() as session:
        priority = session.exec(select(func.min(Run.priority)).where(*_waiting())).one()
        if priority is not None:
            end = session.exec(select(func.max(Run.position)).where(*_waiting(), Run.priority == priority)).one()
            end = max(end, store.now().timestamp())  # runs made meanwhile come behind the last position or now
            _place(session, run_ids, priority, [end + n * 1e-6 for n in range(1, len(run_ids) + 1)])


def place_before(store: Store, run_ids: Sequence[str], before: str) -> bool:
    """Move queued runs, in the order given, right before another, whose priority they take; False where
    that one does not wait."""
    with store.write() as session:
        others = select(Run.id, Run.priority, Run.position).where(*_waiting(), col(Run.id).not_in(list(run_ids)))
        order = list(session.exec(others.order_by(*_order())))
        at = next((n for n, row in enumerate(order) if row[0] == before), None)
        if at is None:
            return False
        _, priority, end = order[at]
        same = at > 0 and order[at - 1][1] == priority
        start = order[at - 1][2] if same else end - 1.0
        step = (end - start) / (len(run_ids) + 1)
        _place(session, run_ids, priority, [start + step * n for n in range(1, len(run_ids) + 1)])
        return True


def _place(session: Session, run_ids: Sequence[str], priority: int, positions: Sequence[float]) -> None:
    for run_id, position in zip(run_ids, positions, strict=True):
        moved = update(Run).where(col(Run.id) == run_id, *_waiting()).values(priority=priority, position=position)
        session.connection().execute(moved)


def _waiting() -> tuple[ColumnElement[bool], ...]:
    return (col(Run.status) == RunStatus.QUEUED, col(Run.trashed).is_(None))


def _order() -> tuple[Any, ...]:
    return (col(Run.priority).desc(), col(Run.position), col(Run.id))


# ------------------------------------------------------------------------------------ taken, put back, given up


def claim(store: Store, worker: StoredWorker, place: str, wishes: Wishes) -> Run | None:
    """Take the first queued run that fits the wishes, for the device `place`; None where there is none, or the worker
    has no row any more, since others have taken it for gone. The run is then running in the name of the worker until
    its own process is known.

    The first run is waited for, not passed over, so that one that wants many threads or devices gets its turn.
    """
    first = select(Run.id).where(*_takes(wishes)).order_by(*_order()).limit(1)
    unclaimed = first.with_for_update(skip_locked=True).scalar_subquery()  # several may claim at once on a server
    narrow = [] if wishes.threads is None else [wishes.threads >= _THREADS * _SHARED_BY]
    narrow += [] if wishes.gpus is None else [_SHARED_BY.in_((wishes.gpus,))]
    known = exists(select(StoredWorker.id).where(StoredWorker.id == worker.id))
    conditions = [col(Run.id) == unclaimed, *_waiting(), *narrow, known]
    mine = update(Run).where(*conditions).returning(col(Run.id))
    with store.write(alone=False) as session:
        claimed = session.connection().execute(
            mine.values(
                status=RunStatus.RUNNING,
                reason="",
                detail="",
                ended=None,
                cancel_requested=False,
                worker_id=worker.id,
                pid=worker.pid,
                pid_start=worker.pid_start,
                host=worker.host,
                device=place,
                handle="",
                handle_state="",
            )
        )
        run_id = claimed.scalar()
        if run_id is None:
            return None
        _log(session, run_id, f"taken by worker {worker.id} for {place}")
        return session.get_one(Run, run_id)


def put_back(store: Store, run: Run, reason: str, *, crashes: int) -> bool:
    """Queue a run again that a worker had, at its old place. False where its row has changed since it was
    read, or a person has asked for its end meanwhile."""
    return _to_queue(store, run, f"queued again: {reason}", crashes, run.position, not_cancelled=True)


def queue_again(store: Store, run: Run, reason: str) -> bool:
    """Queue a run again at the wish of a person: behind the others, with all its attempts before it. False
    where its row has changed since it was read."""
    return _to_queue(store, run, reason, 0, store.now().timestamp(), not_cancelled=False)


def _to_queue(store: Store, run: Run, reason: str, crashes: int, position: float, *, not_cancelled: bool) -> bool:
    same = [*unchanged(run), *([col(Run.cancel_requested).is_(False)] if not_cancelled else [])]
    values = {
        "status": RunStatus.QUEUED,
        "reason": reason,
        "detail": "",
        "ended": None,
        "result": None,
        "crashes": crashes,
    }
    values |= {"cancel_requested": False, "worker_id": None, "pid": None, "pid_start": None, "device": None}
    values |= {"handle": "", "handle_state": ""}
    with store.write() as session:
        back = update(Run).where(*same).values(**values, position=position)
        done = session.connection().execute(back).rowcount == 1
        if done:
            _log(session, run.id, f"queued: {reason}")
    return done


def unchanged(run: Run) -> tuple[ColumnElement[bool], ...]:
    """Conditions that hold while nobody took the run up, or heard from it, since its row was read."""
    return (
        col(Run.id) == run.id,
        col(Run.status) == run.status,
        col(Run.pid).is_not_distinct_from(run.pid),
        col(Run.pid_start).is_not_distinct_from(run.pid_start),
        col(Run.host).is_not_distinct_from(run.host),  # two machines may well give the same number
        col(Run.worker_id).is_not_distinct_from(run.worker_id),
        col(Run.handle) == run.handle,
        col(Run.spool_offset) == run.spool_offset,
    )


def cancel_rows(store: Store, run_ids: Iterable[str]) -> None:
    """End runs that wait (or are lost) as cancelled, and ask whoever answers for running ones to stop them."""
    now = datetime.now(UTC)
    with store.write() as session:
        connection = session.connection()
        for run_id in run_ids:
            idle = update(Run).where(col(Run.id) == run_id, col(Run.status).in_([RunStatus.QUEUED, RunStatus.LOST]))
            reason = "cancelled by the user"
            ended = idle.values(status=RunStatus.CANCELLED, reason=reason, ended=now, cancel_requested=True)
            if connection.execute(ended).rowcount:
                _log(session, run_id, f"cancelled: {reason}")
                continue
            running = update(Run).where(col(Run.id) == run_id, col(Run.status) == RunStatus.RUNNING)
            connection.execute(running.values(cancel_requested=True))


_OF_QUEUE = ("status", "reason", "detail", "ended", "result", "crashes", "cancel_requested", "priority", "position")
"""What queueing, cancelling and moving a run change in its row, beside the process that had it."""


def take_back(store: Store, before: Run, now: RunStatus) -> bool:
    """Make a row what it was before a person queued, cancelled or moved the run. False where its status is not `now`
    any more, or a process took it up meanwhile."""
    same = (col(Run.id) == before.id, col(Run.status) == now, col(Run.attempt) == before.attempt)
    values = {name: getattr(before, name) for name in _OF_QUEUE}
    with store.write() as session:
        done = session.connection().execute(update(Run).where(*same).values(**values)).rowcount == 1
        if done and before.status != now:
            _log(session, before.id, f"{before.status} again: taken back by the user")
    return done


def withdraw(store: Store, run_ids: Iterable[str]) -> list[str]:
    """Take new runs that nobody has taken up out of the queue, into the trash; which ones these were."""
    now, reason = datetime.now(UTC), "taken back by the user"
    with store.write() as session:
        new = update(Run).where(col(Run.id).in_(list(run_ids)), *_waiting(), col(Run.attempt) == 0)
        ended = new.values(status=RunStatus.CANCELLED, reason=reason, ended=now, cancel_requested=True, trashed=now)
        withdrawn = list(session.connection().execute(ended.returning(col(Run.id))).scalars())
        for run_id in withdrawn:
            _log(session, run_id, f"cancelled: {reason}")
    return withdrawn


def _log(session: Session, run_id: str, text: str) -> None:
    session.add(Event(run_id=run_id, at=datetime.now(UTC), level="state", text=text))


# ------------------------------------------------------------------------------------ workers


def add_worker(store: Store, worker_id: str, slots: Sequence[str], executor: str = "local") -> StoredWorker:
    """A row for this process as a worker of the executor with these slots (the device of each)."""
    me, now = psutil.Process(), store.now()
    worker = StoredWorker(
        id=worker_id,
        host=platform.node(),
        pid=me.pid,
        pid_start=me.create_time(),
        started=now,
        heartbeat=now,
        slots=list(slots),
        devices=[],
        executor=executor,
    )
    with store.write() as session:
        session.add(worker)
    return worker


def beat(store: Store, worker_id: str, devices: Sequence[dict[str, Any]], *, draining: bool) -> bool:
    """Say that the worker lives, and how its devices are loaded; False where its row is gone, since it was silent for
    so long that others took it for gone."""
    values: dict[str, Any] = {"heartbeat": untyped(NOW), "devices": list(devices)}
    with store.write(alone=False) as session:
        mine = update(StoredWorker).where(col(StoredWorker.id) == worker_id)
        beaten = session.connection().execute(mine.values(**values, **({"draining": True} if draining else {})))
        return beaten.rowcount == 1


def asked_to_drain(store: Store, worker_id: str) -> bool:
    """Whether the worker's row says that it takes nothing new."""
    with store.read() as session:
        return bool(session.exec(select(StoredWorker.draining).where(StoredWorker.id == worker_id)).first())


def drain_workers(store: Store, worker_ids: Iterable[str]) -> None:
    """Ask workers to take nothing new and to leave once their runs have ended."""
    with store.write() as session:
        these = update(StoredWorker).where(col(StoredWorker.id).in_(list(worker_ids)))
        session.connection().execute(these.values(draining=True))


@dataclass(frozen=True)
class SeenWorker:
    """A worker's row, and how long ago its heartbeat was, in seconds."""

    row: StoredWorker
    silent_s: float


def list_workers(store: Store) -> list[SeenWorker]:
    """All workers that have a row, the oldest first, whether they live or not."""
    silence = untyped(seconds_since("worker.heartbeat"))
    with store.read() as session:
        rows = select(StoredWorker, silence).order_by(col(StoredWorker.started), col(StoredWorker.id))
        return [SeenWorker(row, float(silent_s)) for row, silent_s in session.exec(rows)]


def leave(store: Store, worker_id: str, wishes: Wishes | None = None) -> bool:
    """Remove a worker's row; with `wishes` only where no run waits that it could take. A run that is queued later
    finds the worker gone: both are decided in the order of their transactions."""
    waiting = [] if wishes is None else [~exists(select(Run.id).where(*_takes(wishes)))]
    with store.write() as session:
        gone = delete(StoredWorker).where(col(StoredWorker.id) == worker_id, *waiting)
        return session.connection().execute(gone).rowcount == 1


def runs_of(store: Store, worker_ids: Iterable[str]) -> list[Run]:
    """Runs that these workers had and that have not come to an end that counts: running, lost, or stopped
    though nobody asked for it."""
    with store.read() as session:
        open_ = or_(
            col(Run.status).in_([RunStatus.RUNNING, RunStatus.LOST]),
            and_(col(Run.status) == RunStatus.CANCELLED, col(Run.cancel_requested).is_(False)),
        )
        mine = select(Run).where(col(Run.worker_id).in_(list(worker_ids)), open_)
        return list(session.exec(mine.order_by(col(Run.id))))


def held_runs(store: Store, worker_id: str, run_ids: Iterable[str]) -> dict[str, bool]:
    """Those of the runs that are the worker's still, each with whether it runs and a person wants it to end. The others
    were given to somebody else while the worker was silent."""
    with store.read() as session:
        query = select(Run.id, Run.status, Run.cancel_requested).where(
            Run.worker_id == worker_id, col(Run.id).in_(list(run_ids))
        )
        return {run_id: status == RunStatus.RUNNING and bool(asked) for run_id, status, asked in session.exec(query)}


def note_state(store: Store, run_id: str, handle: str, state: str) -> None:
    """How the work with that handle stands, as its executor says."""
    with store.write() as session:
        mine = update(Run).where(col(Run.id) == run_id, col(Run.handle) == handle)
        session.connection().execute(mine.values(handle_state=state))


def adopt(store: Store, run: Run, worker: StoredWorker) -> bool:
    """Make a running run the worker's own; False where another worker was faster, or it has ended."""
    with store.write() as session:
        orphan = update(Run).where(
            col(Run.id) == run.id, col(Run.status) == run.status, col(Run.worker_id) == run.worker_id
        )
        done = session.connection().execute(orphan.values(worker_id=worker.id)).rowcount == 1
        if done:
            _log(session, run.id, f"adopted by worker {worker.id}")
    return done
