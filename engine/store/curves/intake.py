"""From a run's spool into the tables, every record exactly once.

The rows and the byte offset behind the last record are committed in one transaction, whose first
statement moves the offset from where this process read: if another process was faster, nothing is
applied and reading starts again from the new offset.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session, select

from engine import spool
from engine.records import RunStatus
from engine.store.core.database import Store
from engine.store.core.tables import Artifact, Event, Run, StoredSplit
from engine.store.curves.rollups import refresh
from engine.store.runs import unknown_run

BLOCK = 1 << 20
"""Bytes of spool per transaction: other writers wait for tens of milliseconds at most."""

SpoolRecord: TypeAlias = dict[str, Any]


def ingest(store: Store, run_id: str) -> int:
    """Bring the tables up to date with the run's spool; the number of records applied by this call.

    Any number of processes may do this at once, whether the run is alive or not. A record that makes
    no sense becomes a warning among the run's events. Raises UserError for an unknown run and
    StoreError where the store cannot be written (nothing is lost then: the next call goes on).
    """
    path = store.folder(run_id).spool
    applied = 0
    while True:
        with store.read() as session:
            offset = session.exec(select(Run.spool_offset).where(Run.id == run_id)).first()
        if offset is None:
            raise unknown_run(store, run_id)
        records, end = spool.read_records(path, offset, BLOCK)
        if end == offset:
            return applied
        with store.write() as session:
            move = "UPDATE run SET spool_offset = ? WHERE id = ? AND spool_offset = ?"
            if session.connection().exec_driver_sql(move, (end, run_id, offset)).rowcount:
                _apply(session, run_id, records)
                applied += len(records)


@dataclass
class _Batch:
    """The records of one transaction on their way into the tables."""

    session: Session
    run: Run
    points: dict[str, list[tuple[int, float | str, float, int]]] = field(default_factory=lambda: defaultdict(list))

    def event(self, at: datetime, level: str, text: str) -> None:
        self.session.add(Event(run_id=self.run.id, at=at, level=level, text=text))


def _apply(session: Session, run_id: str, records: list[SpoolRecord]) -> None:
    batch = _Batch(session, session.get_one(Run, run_id))
    for record in records:
        try:
            if (handler := _HANDLERS.get(record["r"])) is not None:
                handler(batch, record)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            text = _text(f"a record of the spool makes no sense and was skipped: {error!r}")
            batch.event(datetime.now(UTC), "warning", text)
    _write_points(batch)


def _text(value: object) -> str:
    """A string that SQLite takes: file names that are not UTF-8 come as lone surrogates."""
    return str(value).encode(errors="backslashreplace").decode()


# ------------------------------------------------------------------------------------ one handler per kind of record


def _start(batch: _Batch, record: SpoolRecord) -> None:
    attempt, pid, pid_start = int(record["attempt"]), int(record["pid"]), float(record["pid_start"])
    run, at = batch.run, datetime.fromisoformat(record["at"])
    run.attempt, run.pid, run.pid_start = attempt, pid, pid_start
    run.status, run.reason, run.detail, run.ended, run.result = RunStatus.RUNNING, "", "", None, None
    run.started = run.started or at
    batch.event(at, "state", f"running (attempt {attempt})")


def _resume(batch: _Batch, record: SpoolRecord) -> None:
    """Points of older attempts behind the step never happened."""
    attempt, step = int(record["attempt"]), int(record["step"])
    _write_points(batch)
    connection = batch.session.connection()
    void = "FROM point WHERE series_id IN (SELECT id FROM series WHERE run_id = ?) AND step > ? AND attempt < ?"
    parameters = (batch.run.id, step, attempt)
    cut = connection.exec_driver_sql(f"SELECT series_id, min(step) {void} GROUP BY series_id", parameters).all()
    connection.exec_driver_sql(f"DELETE {void}", parameters)
    for series_id, first in cut:
        refresh(connection, series_id, first, None)


def _points(batch: _Batch, record: SpoolRecord) -> None:
    step, wall = int(record["step"]), float(record["wall"])
    if not 0 <= step < 1 << 40:
        raise ValueError(f"step {step}")
    values = {_text(name): spool.encode_number(spool.decode_number(value)) for name, value in record["values"].items()}
    for name, value in values.items():
        batch.points[name].append((step, value, wall, batch.run.attempt))


def _facts(batch: _Batch, record: SpoolRecord) -> None:
    batch.run.facts = {**batch.run.facts, **record["values"]}


def _event(batch: _Batch, record: SpoolRecord) -> None:
    batch.event(datetime.fromisoformat(record["at"]), _text(record["level"]), _text(record["text"]))


def _artifact(batch: _Batch, record: SpoolRecord) -> None:
    run, kind, path = batch.run, _text(record["kind"]), _text(record["path"])
    connection = batch.session.connection()
    connection.execute(insert(Artifact).values(run_id=run.id, kind=kind, path=path).on_conflict_do_nothing())
    if kind == "split":
        inside = posixpath.normpath(posixpath.join(run.id, path))
        row = insert(StoredSplit).values(data_hash=run.data_hash, dataset=run.dataset, path=inside)
        connection.execute(row.on_conflict_do_update(index_elements=["data_hash"], set_={"path": inside}))


def _result(batch: _Batch, record: SpoolRecord) -> None:
    batch.run.result = dict(record["values"])


def _end(batch: _Batch, record: SpoolRecord) -> None:
    run, at = batch.run, datetime.fromisoformat(record["at"])
    status, reason, detail = RunStatus(record["status"]), _text(record["reason"]), _text(record.get("detail", ""))
    run.status, run.reason, run.detail, run.ended = status, reason, detail, at
    batch.event(at, "state", f"{status}: {reason}" if reason else status)


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
        connection.exec_driver_sql(
            "INSERT INTO point (series_id, step, value, wall, attempt) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (series_id, step) DO UPDATE SET"
            " value = excluded.value, wall = excluded.wall, attempt = excluded.attempt",
            [(series_id, *point) for point in points],
        )
        steps = [point[0] for point in points]
        refresh(connection, series_id, min(steps), max(steps))
    batch.points.clear()


def _series_id(connection: Connection, run_id: str, name: str) -> int:
    of_name = "SELECT id FROM series WHERE run_id = ? AND name = ?"
    series_id = connection.exec_driver_sql(of_name, (run_id, name)).scalar()
    if series_id is None:
        connection.exec_driver_sql("INSERT INTO series (run_id, name) VALUES (?, ?)", (run_id, name))
        series_id = connection.exec_driver_sql(of_name, (run_id, name)).scalar_one()
    return int(series_id)
