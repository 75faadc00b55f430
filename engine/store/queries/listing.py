"""Runs in lists.

A list of thousands reads only the columns it shows: specification and facts, the large documents, stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Select, func, true
from sqlmodel import col, select

from engine.bounds import parse_json
from engine.metrics import SELECTION
from engine.records import CurvePoint, NoteRecord, RunRecord, RunResult, best_epoch
from engine.records.decoding import mapping
from engine.store.core.damage import damage, sound_document
from engine.store.core.database import Store
from engine.store.core.documents import DamagedDocument
from engine.store.core.tables import Note, Run, Tag
from engine.store.core.times import stored_time
from engine.store.curves.curves import stored_number

if TYPE_CHECKING:  # they describe every field there is, which a plain list does not need
    from engine.store.queries.filter_fields import Expression, Field

_NEWEST_FIRST = (col(Run.created).desc(), col(Run.id).desc())


def list_runs(
    store: Store,
    *,
    dataset: str | None = None,
    backbone: str | None = None,
    arm: str | None = None,
    status: str | None = None,
    limit: int | None = None,
) -> list[Run]:
    """Runs that are not in the trash, newest first, with exactly these values where they are given."""
    values = {"dataset": dataset, "backbone": backbone, "arm": arm, "status": status}
    query = select(Run).where(col(Run.trashed).is_(None), _equal(values)).order_by(*_NEWEST_FIRST).limit(limit)
    with store.read() as session:
        return list(session.exec(query))


def list_records(
    store: Store,
    where: ColumnElement[bool] | None = None,
    *,
    order: Sequence[Expression] = (),
    limit: int | None = None,
    trashed: bool | None = False,
    **wanted: str | None,
) -> list[RunRecord]:
    """The records (`record`) of the runs that meet a condition (`filters`) and have exactly the `wanted`
    columns where they are not None; newest first, or in an order. `trashed` lists the trash instead, None both."""
    chosen = _listed(select(col(Run.id)), where, wanted, trashed=trashed).order_by(*order, *_NEWEST_FIRST).limit(limit)
    wide = _listed(select(*_COLUMNS), where, wanted, trashed=trashed)
    with store.read() as session:
        connection = session.connection()
        ids = list(connection.execute(chosen).scalars())  # first, so that sorting carries no wide rows
        if limit is not None:
            wide = select(*_COLUMNS).where(col(Run.id).in_(ids))
        rows = {row.id: row._asdict() for row in connection.execute(wide)}
        return [_decoded(connection, rows[run_id]) for run_id in ids]


def list_values(
    store: Store,
    fields: Sequence[Field],
    where: ColumnElement[bool] | None = None,
    *,
    order: Sequence[Expression] = (),
    limit: int | None = None,
    trashed: bool | None = False,
    **wanted: str | None,
) -> list[tuple[Any, ...]]:
    """Chosen fields of the same runs, one tuple per run: its id, then a value per field (an age in seconds)."""
    columns: Select[Any] = select(col(Run.id), *(f.expression.label(f"f{i}") for i, f in enumerate(fields)))
    query = _listed(columns, where, wanted, trashed=trashed).order_by(*order, *_NEWEST_FIRST).limit(limit)
    converters = {i: _SHOWN[field.kind] for i, field in enumerate(fields, 1) if field.kind in _SHOWN}
    with store.read() as session:
        rows = session.connection().execute(query)
        if not converters:
            return [tuple(row) for row in rows]
        return [
            tuple(
                converters[i](value) if i in converters and value is not None else value for i, value in enumerate(row)
            )
            for row in rows
        ]


def count_runs(
    store: Store, where: ColumnElement[bool] | None = None, *, trashed: bool | None = False, **wanted: str | None
) -> int:
    """How many runs such a list has without its limit."""
    query = _listed(select(func.count()).select_from(Run), where, wanted, trashed=trashed)
    with store.read() as session:
        return int(session.connection().execute(query).scalar_one())


def record(store: Store, run: Run) -> RunRecord:
    """What is known of the run; its tags and notes too."""
    with store.read() as session:
        connection = session.connection()
        made = connection.execute(select(*_MADE).select_from(Run).where(col(Run.id) == run.id)).mappings().one()
        own = {column.key: getattr(run, column.key) for column in _OWN}
        return _decoded(connection, own | dict(made))


# ------------------------------------------------------------------------------------ queries


def _equal(values: Mapping[str, str | None]) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = true()
    for name, value in values.items():
        if value is not None:
            condition &= getattr(Run, name) == value
    return condition


def _listed(
    query: Select[Any], where: ColumnElement[bool] | None, values: Mapping[str, str | None], *, trashed: bool | None
) -> Select[Any]:
    removed = col(Run.trashed)
    here = true() if trashed is None else removed.is_not(None) if trashed else removed.is_(None)
    return query.where(here, _equal(values), true() if where is None else where)


_OWN: tuple[Any, ...] = (
    *(Run.id, Run.status, Run.reason, Run.method, Run.ablation, Run.arm, Run.dataset, Run.backbone, Run.embedding),
    *(Run.seed, Run.config_hash, Run.spec_hash, Run.created, Run.started, Run.trashed, Run.overrides, Run.data_hash),
    *(Run.attempt, Run.result),
)
_its_tags = select(Tag.name).where(col(Tag.run_id) == col(Run.id)).order_by(Tag.name).correlate(Run).subquery()
_its_notes = (
    select(func.json_object("at", Note.at, "text", Note.text).label("note"))
    .where(col(Note.run_id) == col(Run.id))
    .order_by(col(Note.id))
    .correlate(Run)
    .subquery()
)
_TAGS = select(func.json_group_array(_its_tags.c.name)).scalar_subquery()
_NOTES = select(func.json_group_array(func.json(_its_notes.c.note))).scalar_subquery()
_MADE: tuple[Any, ...] = (
    _TAGS.label("tags"),
    _NOTES.label("notes"),
    func.json_extract(sound_document(col(Run.spec)), "$.evaluate.mask_seen").label("mask_seen"),
    func.json_extract(sound_document(col(Run.spec)), "$.note").label("first_note"),
    damage().label("damage"),
)
_COLUMNS = (*_OWN, *_MADE)


def _age(created: datetime) -> float:
    return (datetime.now(UTC) - created).total_seconds()


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


_SHOWN: dict[str, Callable[[Any], Any]] = {"time": _iso, "age": _age, "flag": bool}


# ------------------------------------------------------------------------------------ decoding


def _decoded(connection: Connection, row: Mapping[str, Any]) -> RunRecord:
    why, result = row["damage"] or "", RunResult()
    if row["result"] is not None:
        result = RunResult.decode(row["result"])
    elif row["attempt"]:
        result = _so_far(connection, row["id"], row["started"])
    documents = {"settings": row["overrides"], "result": row["result"]}
    unreadable = [name for name, each in documents.items() if isinstance(each, DamagedDocument)]
    if unreadable and not why:
        why = f"its {unreadable[0]} cannot be read"
    return RunRecord(
        id=row["id"],
        status=row["status"],
        method=row["method"],
        ablation=row["ablation"],
        dataset=row["dataset"],
        backbone=row["backbone"],
        embedding=row["embedding"],
        seed=row["seed"],
        config_hash=row["config_hash"],
        spec_hash=row["spec_hash"],
        data_hash=row["data_hash"],
        reason=row["reason"],
        created=row["created"],
        trashed=row["trashed"],
        tags=tuple(_listed_in(row["tags"])),
        notes=tuple(_notes(row)),
        overrides=mapping(row["overrides"]),
        mask_seen=bool(row["mask_seen"]),
        result=result,
        damage=why,
    )


def _notes(row: Mapping[str, Any]) -> Iterator[NoteRecord]:
    """The note that the run was started with, and those written since."""
    if row["first_note"]:
        yield NoteRecord(row["created"], row["first_note"])
    for note in _listed_in(row["notes"]):
        yield NoteRecord(_utc(note["at"]), note["text"])


def _listed_in(array: str) -> list[Any]:
    return parse_json(array) if array != "[]" else []  # most runs have neither tags nor notes


def _utc(stored: str) -> datetime:
    """A time inside a JSON document of SQLite's."""
    return stored_time(stored)


def _so_far(connection: Connection, run_id: str, started: datetime | None) -> RunResult:
    """How far a run without a result is, from its series."""
    query = connection.exec_driver_sql
    named = query("SELECT name, id FROM series WHERE run_id = ?", (run_id,))
    ids = {str(name): int(series_id) for name, series_id in named}

    def by_epoch(name: str) -> list[tuple[int, float | None]]:
        """(epoch, value) in the order of steps; the series that are measured once an epoch are short."""
        rows = query(
            "SELECT e.value, p.value FROM point p JOIN point e ON e.step = p.step"
            " WHERE p.series_id = ? AND e.series_id = ? ORDER BY p.step",
            (ids.get(name), ids.get("epoch")),
        )
        known = [(stored_number(epoch), _number(stored_number(value))) for epoch, value in rows]
        return [(round(epoch), value) for epoch, value in known if isfinite(epoch)]

    last = {
        name: query("SELECT value, wall FROM point WHERE series_id = ? ORDER BY step DESC LIMIT 1", (series_id,)).one()
        for name, series_id in ids.items()
    }
    train_ce = by_epoch("train_ce")
    best = best_epoch(dict(by_epoch(f"valid.{SELECTION}")))
    measured = {name.removeprefix("valid."): dict(by_epoch(name)) for name in sorted(ids) if name.startswith("valid.")}
    valid = {name: None if best is None else values.get(best) for name, values in measured.items()}
    walls = [stored_number(wall) for _, wall in last.values()]
    return RunResult(
        epochs=max((epoch for epoch, _ in train_ce), default=None),
        best_epoch=best,
        train_ce=tuple(CurvePoint(epoch, value) for epoch, value in train_ce),
        valid={name: value for name, value in valid.items() if value is not None},
        wall_s=_number(round(max(walls) - started.timestamp(), 3)) if walls and started else None,
        targets_per_s=_number(stored_number(last["targets_per_s"][0])) if "targets_per_s" in last else None,
    )


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
