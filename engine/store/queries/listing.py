"""Runs in lists.

A list of thousands reads only the columns it shows: specification and facts, the large documents, stay where they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

from engine.bounds import parse_json
from engine.metrics import SELECTION
from engine.records import CurvePoint, NoteRecord, RunRecord, RunResult, RunStatus, best_epoch
from engine.records.decoding import mapping
from engine.store.core.database import Store
from engine.store.core.documents import DamagedDocument, document
from engine.store.core.numbers import stored_number
from engine.store.core.origin import ARCHIVE
from engine.store.core.times import NEVER, stored_time
from engine.store.dialects.pieces import DAMAGE, among, array_of, json_flag, json_text, limited, objects_of, read_once
from engine.store.dialects.sql import RowReader, Sql, both, column, joined, sql
from engine.store.finding import unknown_run

if TYPE_CHECKING:  # it describes every field there is, which a plain list does not need
    from engine.store.queries.filter_fields import Field

_NEWEST_FIRST = Sql("run.created DESC, run.id DESC")


def list_records(
    store: Store,
    where: Sql | None = None,
    *,
    order: Sequence[Sql] = (),
    limit: int | None = None,
    trashed: bool | None = False,
    **wanted: str | None,
) -> list[RunRecord]:
    """The records of the runs that meet a condition (`filters`) and have exactly the `wanted` columns where they are
    not None; newest first, or in an order. `trashed` lists the trash instead, None both."""
    chosen = _listed(Sql("run.id"), where, wanted, order, limit, trashed=trashed)
    with store.rows() as connection:
        ids = [run_id for (run_id,) in connection.execute(chosen)]  # first, so that sorting carries no wide rows
        records = _records(connection, ids)
        return [records[run_id] for run_id in ids]


def list_values(
    store: Store,
    fields: Sequence[Field],
    where: Sql | None = None,
    *,
    order: Sequence[Sql] = (),
    limit: int | None = None,
    trashed: bool | None = False,
    **wanted: str | None,
) -> list[tuple[Any, ...]]:
    """Chosen fields of the same runs, one tuple per run: its id, then a value per field (an age in seconds)."""
    columns = joined(", ", [column("id"), *map(_shown_of, fields)])
    query = _listed(columns, where, wanted, order, limit, trashed=trashed)
    converters = {i: converter for i, field in enumerate(fields, 1) if (converter := _converter(field)) is not None}
    with store.rows() as connection:
        rows = connection.execute(query)
        if not converters:
            return list(rows)
        return [
            tuple(
                converters[i](value) if i in converters and value is not None else value for i, value in enumerate(row)
            )
            for row in rows
        ]


def count_runs(store: Store, where: Sql | None = None, *, trashed: bool | None = False, **wanted: str | None) -> int:
    """How many runs such a list has without its limit."""
    with store.rows() as connection:
        ((count,),) = connection.execute(_chosen(Sql("count(*)"), where, wanted, trashed=trashed))
        return int(count)


class Identified(Protocol):
    """Whatever is one of the runs."""

    @property
    def id(self) -> str: ...


def record(store: Store, run: Identified) -> RunRecord:
    """What is known of the run; its tags and notes too. Raises UserError where it is not there any more."""
    with store.rows() as connection:
        records = _records(connection, [run.id])
    if run.id not in records:
        raise unknown_run(store, run.id)
    return records[run.id]


# ------------------------------------------------------------------------------------ queries


def _listed(
    columns: Sql,
    where: Sql | None,
    wanted: Mapping[str, str | None],
    order: Sequence[Sql] = (),
    limit: int | None = None,
    *,
    trashed: bool | None,
) -> Sql:
    by = joined(", ", [*order, _NEWEST_FIRST])
    return limited(sql("{} ORDER BY {}", _chosen(columns, where, wanted, trashed=trashed), by), limit)


def _chosen(columns: Sql, where: Sql | None, wanted: Mapping[str, str | None], *, trashed: bool | None) -> Sql:
    conditions = [] if trashed is None else [Sql(f"run.trashed IS {'NOT ' if trashed else ''}NULL")]
    conditions += [sql("{} = {}", column(name), value) for name, value in wanted.items() if value is not None]
    conditions += [] if where is None else [where]
    return read_once(columns, sql("WHERE {}", joined(" AND ", conditions or [Sql("TRUE")])))


_OWN = (
    *("id", "status", "reason", "method", "ablation", "arm", "dataset", "backbone", "embedding", "seed"),
    *("config_hash", "spec_hash", "created", "started", "trashed", "overrides", "data_hash", "attempt", "result"),
)
_MADE = {
    "tags": array_of("name", "tag WHERE run_id = run.id", "name"),
    "notes": objects_of(("at", "text"), "note WHERE run_id = run.id", "id"),
    "mask_seen": json_flag("run.spec", "evaluate", "mask_seen"),
    "first_note": json_text("run.spec", "note"),
    "damage": sql("({})", DAMAGE),
    "archive": ARCHIVE,
}
_COLUMNS = joined(", ", [*map(column, _OWN), *_MADE.values()])


def _records(connection: RowReader, ids: Sequence[str]) -> dict[str, RunRecord]:
    """What is known of these runs, by id."""
    rows = connection.execute(sql("SELECT {} FROM run WHERE {}", _COLUMNS, among("run.id", ids))).fetchall()
    named = [dict(zip((*_OWN, *_MADE), row, strict=True)) for row in rows]
    return {row["id"]: _decoded(connection, row) for row in named}


def _shown_of(field: Field) -> Sql:
    """The value of a number that may be a word instead is text to PostgreSQL."""
    return field.expression if field.word is None else both(field.expression, field.word)


def _converter(field: Field) -> Callable[[Any], Any] | None:
    """What makes of a stored value the one that is shown."""
    if field.word is not None:
        return _setting
    return RunStatus.decode if field.name == "status" else _SHOWN.get(field.kind)


def _setting(value: object) -> object:
    """A number, also where it came as text; a word as it is."""
    try:
        return parse_json(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _age(created: object) -> float:
    return (datetime.now(UTC) - stored_time(created)).total_seconds()


def _iso(at: object) -> str:
    return stored_time(at).isoformat(timespec="seconds")


_SHOWN: dict[str, Callable[[Any], Any]] = {"time": _iso, "age": _age, "flag": bool}


# ------------------------------------------------------------------------------------ decoding


def _decoded(connection: RowReader, row: Mapping[str, Any]) -> RunRecord:
    why, result = row["damage"] or "", RunResult()
    created, started, trashed = (_time(row[name]) for name in ("created", "started", "trashed"))
    overrides, reached = (None if row[name] is None else document(row[name]) for name in ("overrides", "result"))
    if reached is not None:
        result = RunResult.decode(reached)
    elif row["attempt"]:
        result = _so_far(connection, row["id"], started)
    documents = {"settings": overrides, "result": reached}
    unreadable = [name for name, each in documents.items() if isinstance(each, DamagedDocument)]
    if unreadable and not why:
        why = f"its {unreadable[0]} cannot be read"
    return RunRecord(
        id=row["id"],
        status=RunStatus.decode(row["status"]),
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
        created=created,
        trashed=trashed,
        tags=tuple(_listed_in(row["tags"])),
        notes=tuple(_notes(row, created)),
        overrides=mapping(overrides),
        mask_seen=bool(row["mask_seen"]),
        result=result,
        damage=why,
        archive=row["archive"],
    )


def _time(stored: object) -> datetime | None:
    return None if stored is None else stored_time(stored)


def _notes(row: Mapping[str, Any], created: datetime | None) -> Iterator[NoteRecord]:
    """The note that the run was started with, and those written since."""
    if row["first_note"]:
        yield NoteRecord(created or NEVER, row["first_note"])
    for note in _listed_in(row["notes"]):
        yield NoteRecord(stored_time(note["at"]), note["text"])


def _listed_in(array: str) -> list[Any]:
    return parse_json(array) if array != "[]" else []  # most runs have neither tags nor notes


def _so_far(connection: RowReader, run_id: str, started: datetime | None) -> RunResult:
    """How far a run without a result is, from its series."""
    newest = "(SELECT {} FROM point WHERE series_id = series.id ORDER BY step DESC LIMIT 1)"
    last = {
        str(name): (int(series_id), value, wall)
        for name, series_id, value, wall in connection.execute(
            f"SELECT name, id, {newest.format('value')}, {newest.format('wall')} FROM series WHERE run_id = ?",
            (run_id,),
        )
    }
    names = {last[name][0]: name for name in sorted(last) if name == "train_ce" or name.startswith("valid.")}
    measured = defaultdict[str, list[tuple[int, float | None]]](list)
    """(epoch, value) in the order of steps; the series that are measured once an epoch are short."""
    if names and "epoch" in last:
        points = "SELECT p.series_id, e.value, p.value FROM point p JOIN point e ON e.step = p.step"
        of_names = f"WHERE e.series_id = ? AND p.series_id IN ({','.join('?' * len(names))})"
        rows = connection.execute(f"{points} {of_names} ORDER BY p.series_id, p.step", (last["epoch"][0], *names))
        for series_id, epoch, value in rows:
            if isfinite(at := stored_number(epoch)):
                measured[names[series_id]].append((round(at), _number(stored_number(value))))
    train_ce = measured.pop("train_ce", [])
    best = best_epoch(dict(measured.get(f"valid.{SELECTION}", [])))
    valid = {name: dict(measured[name]).get(best) for name in sorted(measured)} if best is not None else {}
    walls = [stored_number(wall) for _, _, wall in last.values() if wall is not None]
    return RunResult(
        epochs=max((epoch for epoch, _ in train_ce), default=None),
        best_epoch=best,
        train_ce=tuple(CurvePoint(epoch, value) for epoch, value in train_ce),
        valid={name.removeprefix("valid."): value for name, value in valid.items() if value is not None},
        wall_s=_number(round(max(walls) - started.timestamp(), 3)) if walls and started else None,
        targets_per_s=_number(stored_number(last["targets_per_s"][1])) if "targets_per_s" in last else None,
    )


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
