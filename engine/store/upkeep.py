"""The store looked over and kept in order: is anything damaged, missing, behind or left over."""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from sqlalchemy import Connection

from engine.errors import UserError
from engine.records import RunStatus
from engine.spool import RunFolder, SpoolMark
from engine.store.bringing_in import bring_in
from engine.store.core.connections import backup, vacuum
from engine.store.core.database import Store
from engine.store.core.folders import document_file, keep_runs, read_document, unkept_runs
from engine.store.core.sqlite_file import SqliteFile
from engine.store.curves.intake import all_records, ingest, read_again
from engine.store.curves.rollups import SIZES, SUMMARY, WIDER, refresh
from engine.store.dialects.pieces import IS_POINT
from engine.store.dialects.sql import Sql, run, sql
from engine.store.finding import missing_files
from engine.store.runs import get_run

_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_CELL = "series_id, size, cell, count, nan, total, min, max"


FindingKind: TypeAlias = Literal[
    "damaged",
    "reference",
    "no files",
    "no folder",
    "behind",
    "spool cut",
    "spool differs",
    "no result",
    "points",
    "damaged run",
    "orphan folder",
    "not kept",
    "roll-ups",
]


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be."""

    kind: FindingKind
    run: str | None
    problem: str
    """One line: what it is, and what to do."""


def check(store: Store) -> list[Finding]:
    """SQLite's integrity check and foreign keys; runs that are damaged, without their folder, or finished without a
    result; spools that hold more than the tables, or less, or something else; folders without a run; roll-ups that
    differ from their points, points from their spool. Reads every page, every spool and every
    point. Raises StoreError where the file cannot be read at all."""
    with store.read() as session:
        connection = session.connection()
        is_file = isinstance(store.backend, SqliteFile)  # a server looks after its own pages and references
        damage = [Finding("damaged", None, text) for text in _integrity(connection)] if is_file else []
        if damage:  # what a damaged file says of its rows means nothing
            return damage
        findings = [*(_references(connection) if is_file else ()), *_rollups(connection), *_damaged(connection)]
        findings += _unkept(connection, store)
    findings += _folders(store)
    damaged = {finding.run for finding in findings}
    return [*findings, *_points(store, damaged)]


def repair(store: Store) -> int:
    """Mend what can be mended without guessing: read spools that are ahead, and those again that the tables differ
    from; compute roll-ups anew. How many findings it dealt with."""
    findings = [each for each in check(store) if each.kind in _MENDED and each.run]
    for finding in findings:
        run_id = finding.run or ""
        if finding.kind == "behind":
            ingest(store, run_id)
        elif finding.kind == "orphan folder":
            bring_in(store, [run_id])
        elif finding.kind == "not kept":
            _keep(store, run_id)
        elif finding.kind == "roll-ups":
            with store.write() as session:
                connection = session.connection()
                mine = "SELECT id FROM series WHERE run_id = ?"
                for (series_id,) in run(connection, mine, (run_id,)).all():
                    refresh(connection, series_id, 0, None)
        else:
            read_again(store, run_id)
    for finding in _points(store, set()):  # points that had gone were told by the roll-ups over them
        read_again(store, finding.run or "")
    return len(findings)


_MENDED = ("behind", "roll-ups", "points", "no result", "orphan folder", "not kept")


def _keep(store: Store, run_id: str) -> None:
    """Of a row and the document in its folder, the one that knows of later changes makes the other."""
    with store.write() as session:
        connection = session.connection()
        folder_is_later = dict(unkept_runs(connection, store.files)).get(run_id)
        if folder_is_later is False:
            keep_runs(connection, store.files, [run_id])
    if folder_is_later:
        bring_in(store, [run_id])


def reclaim(store: Store) -> tuple[int, int]:
    """Give the space that deleted runs left back to the disk; bytes before and after. It needs room for a
    second copy meanwhile. Raises StoreError."""
    before = store.size
    vacuum(store.path)
    return before, store.size


def backup_beside(store: Store, target: Path | None = None) -> Path:
    """Copy the store while others use it, by default beside it under a name with the time. Only the database:
    the folders of runs stay where they are. Raises UserError where the target is there already or cannot be
    written."""
    if target is None:
        target = store.path.with_name(f"{store.path.stem}.{datetime.now(UTC):%Y%m%dT%H%M%S}.backup{store.path.suffix}")
    if target.exists():
        raise UserError(f"{target}: is there already; name another file")
    if not target.parent.is_dir():
        raise UserError(f"{target}: the folder {target.parent} does not exist")
    backup(store.path, target)
    return target


def looks_sound(store: Store) -> bool:
    """SQLite's quick check, which reads every page once but compares no index; a server checks by itself. Raises
    StoreError."""
    if not isinstance(store.backend, SqliteFile):
        return True
    with store.read() as session:
        return bool(run(session.connection(), "PRAGMA quick_check(1)").scalar() == "ok")


def _integrity(connection: Connection) -> list[str]:
    lines = run(connection, "PRAGMA integrity_check(10)").scalars().all()
    return [
        f"integrity check: {line}; `tfllmer db rebuild` makes it anew from the folders of its runs"
        for line in lines
        if line != "ok"
    ]


def _references(connection: Connection) -> Iterator[Finding]:
    for table, row, parent, _ in run(connection, "PRAGMA foreign_key_check").all()[:20]:
        yield Finding("reference", None, f"{table} row {row} names a {parent} that is not there")


def _rollups(connection: Connection) -> Iterator[Finding]:
    """Every cell is computed anew and compared; sums of the same numbers in the same order are equal."""
    wrong: dict[str, str] = {}
    below = 1
    for size in SIZES:
        if below == 1:
            grouped = f"SELECT series_id, {size} AS size, step / {size} AS wide, {{}} FROM point GROUP BY 1, 3"
            fresh = sql(grouped, SUMMARY)
        else:
            grouped = (
                f"SELECT series_id, {size} AS size, cell / {size // below} AS wide, {{}} FROM rollup"
                f" WHERE size = {below} GROUP BY 1, 3"
            )
            fresh = sql(grouped, WIDER)
        stored = Sql(f"SELECT {_CELL} FROM rollup WHERE size = {size}")
        for one, other in ((fresh, stored), (stored, fresh)):
            differ = sql(
                "SELECT DISTINCT run_id, name FROM (SELECT * FROM ({}) AS one EXCEPT SELECT * FROM ({}) AS other) AS d"
                " JOIN series ON series.id = d.series_id LIMIT 100",
                one,
                other,
            )
            wrong |= {str(run_id): str(name) for run_id, name in run(connection, differ)}
        below = size
    for run_id, name in wrong.items():
        yield Finding(
            "roll-ups", run_id, f"{run_id}: the roll-ups of {name} differ from its points; `tfllmer db check --fix`"
        )


def _damaged(connection: Connection) -> Iterator[Finding]:
    for run_id, reason in run(connection, "SELECT id, damage FROM run WHERE damage <> '' ORDER BY id"):
        yield Finding("damaged run", run_id, f"{run_id}: {reason}; `tfllmer clone {run_id}` makes a new run of it")


def _unkept(connection: Connection, store: Store) -> Iterator[Finding]:
    for run_id, _ in unkept_runs(connection, store.files):
        text = f"{run_id}: its folder does not keep what the database says of it, or differs; `tfllmer db check --fix`"
        yield Finding("not kept", run_id, text)


def _orphan(folder: Path) -> Finding:
    """A folder whose run the store does not have: the only copy, if it is one."""
    if (read_document(document_file(folder.parent, folder.name)) or {}).get("deleted") is True:
        return Finding(
            "orphan folder", None, f"{folder}: is left of a run that was deleted for good; remove it by hand"
        )
    if not RunFolder(folder).spec.exists():
        return Finding("orphan folder", None, f"{folder}: has no spec.json, so it is no run; look what it is")
    text = f"{folder}: a run that this store does not have; `tfllmer db check --fix` brings it in"
    return Finding("orphan folder", folder.name, text)


def _folders(store: Store) -> Iterator[Finding]:
    with store.read() as session:
        rows = run(session.connection(), "SELECT id, status FROM run").all()
    ids = {str(run_id) for run_id, _ in rows}
    if why := missing_files(store):
        yield Finding("no files", None, why)
        return
    for run_id, status in rows:
        folder = store.folder(run_id)
        if not folder.root.is_dir():
            yield Finding("no folder", run_id, f"{run_id} ({status}): its folder {folder.root} is gone")
        else:
            yield from _records(store, run_id)
    if store.files.is_dir():
        for path in sorted(store.files.iterdir()):
            if _ULID.fullmatch(path.name) and path.name not in ids:
                yield _orphan(path)


def _records(store: Store, run_id: str) -> Iterator[Finding]:
    """How the spool and what was read of it differ, and whether the result is there."""
    row, spool = get_run(store, run_id), store.folder(run_id).spool
    size, read = spool.stat().st_size if spool.exists() else 0, row.spool_offset
    if size < read:
        text = f"{run_id}: {spool} has {size} bytes, but {read} were read from it; what was read is kept"
        yield Finding("spool cut", run_id, text)
    elif not SpoolMark(read, row.spool_mark).holds_in(spool):
        text = f"{run_id}: {spool} is not what was read from it; what was read is kept"
        yield Finding("spool differs", run_id, text)
    elif row.status != RunStatus.RUNNING and size - read > _torn(spool, read):
        text = f"{run_id} ({row.status}): {size - read} bytes of its spool are not read yet; `tfllmer db check --fix`"
        yield Finding("behind", run_id, text)
    elif row.status == RunStatus.FINISHED and row.result is None and _tells_a_result(spool):
        yield Finding("no result", run_id, f"{run_id}: is finished without its result; `tfllmer db check --fix`")


def _tells_a_result(spool: Path) -> bool:
    return any(record["r"] == "result" for record in all_records(spool))


def _torn(spool: Path, offset: int) -> int:
    """Bytes behind the last complete line: the line in which a process was killed is never read."""
    if not spool.exists():
        return 0
    with open(spool, "rb") as file:
        file.seek(offset)
        tail = file.read()
    return len(tail) - (tail.rfind(b"\n") + 1)


def _points(store: Store, but: Collection[str | None]) -> Iterator[Finding]:
    """Runs whose points are not those of their spool, by the number and the last step of each series."""
    still = "SELECT id FROM run WHERE status <> 'running' AND damage = '' ORDER BY id"
    points = "FROM series JOIN point ON series_id = series.id WHERE run_id = ? GROUP BY name"
    with store.read() as session:
        query = partial(run, session.connection())
        for run_id in query(still).scalars().all():
            spool = store.folder(run_id).spool
            if run_id in but or not spool.exists():
                continue
            stored = {
                name: (count, last)
                for name, count, last in query(sql(f"SELECT name, {{}}, max(step) {points}", _GOOD), (run_id,))
            }
            in_spool = _told(spool)
            if stored != in_spool:
                name = min(name for name in stored.keys() | in_spool.keys() if stored.get(name) != in_spool.get(name))
                (n_stored, _), (n_told, _) = stored.get(name, (0, 0)), in_spool.get(name, (0, 0))
                counts = f"{n_stored} points of {name} are stored, its spool has {n_told}"
                text = f"{run_id}: {counts}; `tfllmer db check --fix`"
                yield Finding("points", run_id, text)


_GOOD = sql("sum(CASE WHEN {} THEN 1 ELSE 0 END)", IS_POINT)
"""Points that hold what a point can."""


def _told(spool: Path) -> dict[str, tuple[int, int]]:
    """How many points each series of a spool has, and at which step the last, after what resumed attempts void."""
    steps: dict[str, array[int]] = {}
    for record in all_records(spool):
        if record["r"] == "points":
            for name in record["values"]:
                steps.setdefault(name, array("q")).append(record["step"])
        elif record["r"] == "resume":
            steps = {name: array("q", [n for n in own if n <= record["step"]]) for name, own in steps.items()}
    return {name: (len(set(own)), max(own)) for name, own in steps.items() if own}
