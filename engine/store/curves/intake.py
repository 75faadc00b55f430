"""From a run's spool into the tables, every record exactly once.

The rows and the mark behind the last record (its offset, and what stood there) are committed in one transaction, whose
first statement moves the mark from where this process read: if another process was faster, nothing is
applied and reading starts again from the new mark.

A spool that no longer holds what was read from it (the machine went down before it was on the disk) is read again from
its beginning, in one transaction that takes back what came of it before.
"""

from __future__ import annotations

import math
import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Connection
from sqlmodel import Session, select

from engine import spool
from engine.records import RunStatus
from engine.spool import SpoolMark, Unreadable
from engine.store.core.database import Store
from engine.store.core.tables import Artifact, Event, Run, StoredSplit
from engine.store.curves.rollups import refresh
from engine.store.dialects.alchemy import upsert
from engine.store.dialects.points import Point, put_points
from engine.store.dialects.sql import run as say
from engine.store.finding import unknown_run

BLOCK = 1 << 20
"""Bytes of spool per transaction: other writers wait for tens of milliseconds at most."""

SpoolRecord: TypeAlias = dict[str, Any]


def ingest(store: Store, run_id: str) -> int:
    """Bring the tables up to date with the run's spool, as it is now: one that goes on growing is for the next call.
    Returns the number of records applied by this one.

    Any number of processes may do this at once, whether the run is alive or not. A record that makes
    no sense becomes a warning among the run's events, and the run is damaged. Raises UserError for an unknown run and
    StoreError where the store cannot be written (nothing is lost then: the next call goes on).
    """
    path = store.folder(run_id).spool
    until, applied = path.stat().st_size if path.exists() else 0, 0
    while True:
        with store.read() as session:
            row = session.exec(
                select(Run.spool_offset, Run.spool_mark, Run.status, Run.ended).where(Run.id == run_id)
            ).first()
        if row is None:
            raise unknown_run(store, run_id)
        offset, digest, status, ended = row
        mark = SpoolMark(offset, digest)
        portion = spool.read_on(path, mark, BLOCK)
        if portion is None:
            if _stays(path, RunStatus(status), ended):
                return applied
            applied += read_again(store, run_id)
            continue
        if portion.mark == mark or (applied and mark.offset >= until):
            return applied
        with store.write(alone=False) as session:
            if _moved(session, run_id, mark, portion.mark):
                _apply(_Batch(session, session.get_one(Run, run_id)), portion.records)
                applied += len(portion.records)


def _moved(session: Session, run_id: str, mark: SpoolMark, to: SpoolMark) -> bool:
    move = "UPDATE run SET spool_offset = ?, spool_mark = ? WHERE id = ? AND spool_offset = ? AND spool_mark = ?"
    moved = say(session.connection(), move, (to.offset, to.digest, run_id, mark.offset, mark.digest))
    return bool(moved.rowcount)


def _stays(path: Path, status: RunStatus, ended: datetime | None) -> bool:
    """Whether what was read is kept though the spool has lost some of it: of a run that has come to an end, or waits,
    the tables know more than the file does, until a process takes it up again."""
    if status in (RunStatus.RUNNING, RunStatus.LOST):
        return False
    if ended is None:
        return True
    return not any(_starts_after(record, ended) for record in all_records(path))


def _starts_after(record: SpoolRecord, moment: datetime) -> bool:
    try:
        return bool(record["r"] == "start") and _time(record["at"]) > moment
    except (LookupError, TypeError, ValueError):
        return False


def all_records(path: Path) -> Iterator[SpoolRecord]:
    """Every record of a spool, block by block."""
    records, end = spool.read_records(path)
    offset = 0
    while offset != end:
        yield from records
        offset = end
        records, end = spool.read_records(path, offset)


def read_again(store: Store, run_id: str) -> int:
    """Take back what came of the run's spool, and read it from its beginning, in one transaction; the number of records
    applied. What others wrote of the run stays: its tags, its place in the queue, its end where the spool has no
    later one."""
    path = store.folder(run_id).spool
    applied = 0
    with store.write() as session:
        connection = session.connection()
        mine = "IN (SELECT id FROM series WHERE run_id = ?)"
        say(connection, f"DELETE FROM rollup WHERE series_id {mine}", (run_id,))
        say(connection, f"DELETE FROM point WHERE series_id {mine}", (run_id,))
        run = session.get_one(Run, run_id)
        before = run.result
        run.attempt, run.facts, run.result, run.damage = 0, {}, None, ""
        batch = _Batch(session, run, known=_known_events(session, run_id))
        mark = SpoolMark()
        while (portion := spool.read_on(path, mark, BLOCK)) is not None and portion.mark != mark:
            _apply(batch, portion.records)
            mark = portion.mark
            applied += len(portion.records)
        if run.status is RunStatus.FINISHED and run.result is None:
            run.result = before
        run.spool_offset, run.spool_mark = mark.offset, mark.digest
        say(
            connection,
            "DELETE FROM series WHERE run_id = ? AND NOT EXISTS (SELECT 1 FROM point WHERE series_id = series.id)",
            (run_id,),
        )
    return applied


def _known_events(session: Session, run_id: str) -> Counter[_EventKey]:
    stored = session.exec(select(Event).where(Event.run_id == run_id))
    return Counter(_event_key(event.at, event.level, event.text) for event in stored)


_EventKey: TypeAlias = tuple[datetime | None, str, str]


def _event_key(at: datetime, level: str, text: str) -> _EventKey:
    """What a skipped record is told by has no time of its own."""
    return (None if text.startswith(_SKIPPED) else at, level, text)


@dataclass
class _Batch:
    """The records of one transaction on their way into the tables."""

    session: Session
    run: Run
    points: dict[str, list[Point]] = field(default_factory=lambda: defaultdict(list))
    known: Counter[_EventKey] = field(default_factory=Counter)
    """Events that are stored already, where the spool is read again."""

    def event(self, at: datetime, level: str, text: str) -> bool:
        """Store it; False where it was known."""
        key = _event_key(at, level, text)
        if self.known[key]:
            self.known[key] -= 1
            return False
        self.session.add(Event(run_id=self.run.id, at=at, level=level, text=text))
        return True

    def skipped(self, reason: str) -> None:
        """A record that cannot be used damages its run, and nothing else."""
        text = _text(f"{_SKIPPED} {reason}")
        self.run.damage = self.run.damage or text
        self.event(datetime.now(UTC), "warning", text)


_SKIPPED = "a record of the spool makes no sense and was skipped:"
_SHOWN = 300
"""Characters of an error that quotes what it read."""


def _apply(batch: _Batch, records: Sequence[SpoolRecord | Unreadable]) -> None:
    for record in records:
        if isinstance(record, Unreadable):
            batch.skipped(f"byte {record.place}: {record.reason[:_SHOWN]}")
            continue
        try:
            if (handler := _HANDLERS.get(record["r"])) is not None:
                handler(batch, record)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            batch.skipped(repr(error)[:_SHOWN])
    _write_points(batch)


def _text(value: object) -> str:
    """A string that every database takes: file names that are not UTF-8 come as lone surrogates, and some want no
    zeros."""
    return str(value).replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="backslashreplace").decode()


# ------------------------------------------------------------------------------------ values that a table takes

_YEARS = range(1970, 9999)
_PIDS = range(1, 1 << 31)
_STEPS = range(1 << 40)
_BEFORE_STEPS = range(-1, 1 << 40)
_ATTEMPTS = range(1, 1 << 31)


def _whole(value: object, among: range, name: str) -> int:
    number = int(value)  # type: ignore[call-overload]
    if number not in among:
        raise ValueError(f"{name} {number:.6g}" if abs(number) > 1 << 63 else f"{name} {number}")
    return int(number)


def _seconds(value: object, name: str) -> float:
    number = float(value)  # type: ignore[arg-type]
    if not (math.isfinite(number) and abs(number) < 1e12):
        raise ValueError(f"{name} {number}")
    return number


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} in place of an object")
    return value


def _time(value: Any) -> datetime:
    """In UTC, of a year that every library can write down."""
    at = datetime.fromisoformat(value)
    if at.year not in _YEARS:
        raise ValueError(f"the time {value}")
    return at.astimezone(UTC)


# ------------------------------------------------------------------------------------ one handler per kind of record


def _start(batch: _Batch, record: SpoolRecord) -> None:
    run, at = batch.run, _time(record["at"])
    attempt = _whole(record["attempt"], _ATTEMPTS, "attempt")
    pid, pid_start = _whole(record["pid"], _PIDS, "pid"), _seconds(record["pid_start"], "pid_start")
    run.attempt, run.result = attempt, None
    run.started = run.started or at
    if batch.event(at, "state", f"running (attempt {attempt})"):
        run.pid, run.pid_start = pid, pid_start
        run.status, run.reason, run.detail, run.ended = RunStatus.RUNNING, "", "", None


def _resume(batch: _Batch, record: SpoolRecord) -> None:
    """Points of older attempts behind the step never happened."""
    attempt, step = _whole(record["attempt"], _ATTEMPTS, "attempt"), _whole(record["step"], _BEFORE_STEPS, "step")
    _write_points(batch)
    connection = batch.session.connection()
    void = "FROM point WHERE series_id IN (SELECT id FROM series WHERE run_id = ?) AND step > ? AND attempt < ?"
    parameters = (batch.run.id, step, attempt)
    cut = say(connection, f"SELECT series_id, min(step) {void} GROUP BY series_id", parameters).all()
    say(connection, f"DELETE {void}", parameters)
    for series_id, first in cut:
        refresh(connection, series_id, first, None)


def _points(batch: _Batch, record: SpoolRecord) -> None:
    step, wall = _whole(record["step"], _STEPS, "step"), _seconds(record["wall"], "wall")
    values = {_text(name): spool.encode_number(spool.decode_number(value)) for name, value in record["values"].items()}
    for name, value in values.items():
        batch.points[name].append((step, value, wall, batch.run.attempt))


def _facts(batch: _Batch, record: SpoolRecord) -> None:
    batch.run.facts = {**batch.run.facts, **_object(record["values"])}


def _event(batch: _Batch, record: SpoolRecord) -> None:
    batch.event(_time(record["at"]), _text(record["level"]), _text(record["text"]))


def _artifact(batch: _Batch, record: SpoolRecord) -> None:
    run, kind, path = batch.run, _text(record["kind"]), _text(record["path"])
    connection = batch.session.connection()
    connection.execute(
        upsert(connection, Artifact).values(run_id=run.id, kind=kind, path=path).on_conflict_do_nothing()
    )
    if kind == "split":
        relative = posixpath.normpath(posixpath.join(run.id, path))
        row = upsert(connection, StoredSplit).values(data_hash=run.data_hash, dataset=run.dataset, path=relative)
        connection.execute(row.on_conflict_do_update(index_elements=["data_hash"], set_={"path": relative}))


def _result(batch: _Batch, record: SpoolRecord) -> None:
    batch.run.result = _object(record["values"])


def _end(batch: _Batch, record: SpoolRecord) -> None:
    run, at = batch.run, _time(record["at"])
    status, reason, detail = RunStatus(record["status"]), _text(record["reason"]), _text(record.get("detail", ""))
    if batch.event(at, "state", f"{status}: {reason}" if reason else status):
        run.status, run.reason, run.detail, run.ended = status, reason, detail, at


_HANDLERS: dict[str, Callable[[_Batch, SpoolRecord], None]] = {
    "start": _start,
    "resume": _resume,
    "points": _points,
    "facts": _facts,
    "event": _event,
    "artifact": _artifact,
    "result": _result,
    "end": _end,
}


def _write_points(batch: _Batch) -> None:
    """Write the gathered points (the last value given for a step wins) and the roll-ups over them."""
    connection = batch.session.connection()
    for name, points in batch.points.items():
        series_id = _series_id(connection, batch.run.id, name)
        put_points(connection, series_id, points)
        steps = [point[0] for point in points]
        refresh(connection, series_id, min(steps), max(steps))
    batch.points.clear()


def _series_id(connection: Connection, run_id: str, name: str) -> int:
    of_name = "SELECT id FROM series WHERE run_id = ? AND name = ?"
    series_id = say(connection, of_name, (run_id, name)).scalar()
    if series_id is None:
        say(connection, "INSERT INTO series (run_id, name) VALUES (?, ?)", (run_id, name))
        series_id = say(connection, of_name, (run_id, name)).scalar_one()
    return int(series_id)
