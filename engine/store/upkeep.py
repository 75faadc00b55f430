"""The store looked over and kept in order: is anything damaged, missing, behind or left over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil
from sqlalchemy import Connection

from engine.errors import UserError
from engine.records import RunStatus
from engine.store.core.database import Store, backup, vacuum
from engine.store.curves.intake import ingest
from engine.store.curves.rollups import SIZES, SUMMARY, refresh
from engine.store.runs import missing_files

_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_CELL = "series_id, size, cell, count, nan, total, min, max"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be."""

    kind: Literal["damaged", "reference", "no files", "no folder", "behind", "spool cut", "orphan folder", "roll-ups"]
    run: str | None
    problem: str
    """One line: what it is, and what to do."""


def check(store: Store) -> list[Finding]:
    """SQLite's integrity check and foreign keys; runs without their folder; spools that hold more than the
    tables, or less; folders without a run; roll-ups that differ from their points. Reads every page and every
    point. Raises StoreError where the file cannot be read at all."""
    with store.read() as session:
        connection = session.connection()
        damage = [Finding("damaged", None, text) for text in _integrity(connection)]
        if damage:  # what a damaged file says of its rows means nothing
            return damage
        findings = [*_references(connection), *_rollups(connection)]
    return [*findings, *_folders(store)]


def repair(store: Store) -> int:
    """Mend what can be mended without guessing: read spools that are ahead, compute roll-ups anew. How many
    findings it dealt with."""
    findings = check(store)
    for finding in findings:
        if finding.kind == "behind" and finding.run:
            ingest(store, finding.run)
    stale = {finding.run for finding in findings if finding.kind == "roll-ups"}
    for run_id in sorted(run for run in stale if run):
        with store.write() as session:
            connection = session.connection()
            for (series_id,) in connection.exec_driver_sql("SELECT id FROM series WHERE run_id = ?", (run_id,)).all():
                refresh(connection, series_id, 0, None)
    return sum(finding.kind in ("behind", "roll-ups") for finding in findings)


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
    """SQLite's quick check, which reads every page once but compares no index. Raises StoreError."""
    with store.read() as session:
        return bool(session.connection().exec_driver_sql("PRAGMA quick_check(1)").scalar() == "ok")


def network_disk(path: Path) -> str | None:
    """The type of the file system that a path lies on, where that is one over the network, on which several
    hosts do not see each other's locks; else None."""
    holders = [p for p in psutil.disk_partitions(all=True) if path.resolve().is_relative_to(p.mountpoint)]
    kind = max(holders, key=lambda p: len(p.mountpoint)).fstype.lower() if holders else ""
    return kind if kind.startswith(_NETWORK) else None


_NETWORK = (
    *("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p", "ncpfs", "pvfs", "orangefs"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.juicefs", "davfs"),
)


def _integrity(connection: Connection) -> list[str]:
    lines = connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars().all()
    return [f"integrity check: {line}; put a backup in its place" for line in lines if line != "ok"]


def _references(connection: Connection) -> Iterator[Finding]:
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check").all()[:20]:
        yield Finding("reference", None, f"{table} row {row} names a {parent} that is not there")


def _rollups(connection: Connection) -> Iterator[Finding]:
    """Every cell is computed anew and compared; sums of the same numbers in the same order are equal."""
    wrong: dict[str, str] = {}
    below = 1
    for size in SIZES:
        if below == 1:
            fresh = f"SELECT series_id, {size}, step / {size} AS cell, {SUMMARY} FROM point GROUP BY series_id, cell"
        else:
            fresh = (
                f"SELECT series_id, {size}, cell / {size // below} AS wide, sum(count), sum(nan), total(total),"
                f" min(min), max(max) FROM rollup WHERE size = {below} GROUP BY series_id, wide"
            )
        stored = f"SELECT {_CELL} FROM rollup WHERE size = {size}"
        for one, other in ((fresh, stored), (stored, fresh)):
            differ = (
                f"SELECT DISTINCT run_id, name FROM (SELECT * FROM ({one}) EXCEPT SELECT * FROM ({other})) AS d"
                " JOIN series ON series.id = d.series_id LIMIT 100"
            )
            wrong |= {str(run): str(name) for run, name in connection.exec_driver_sql(differ)}
        below = size
    for run, name in wrong.items():
        yield Finding(
            "roll-ups", run, f"{run}: the roll-ups of {name} differ from its points; `tfllmer db check --fix`"
        )


def _folders(store: Store) -> Iterator[Finding]:
    with store.read() as session:
        rows = session.connection().exec_driver_sql("SELECT id, status, spool_offset FROM run").all()
    ids = {str(run_id) for run_id, *_ in rows}
    if why := missing_files(store):
        yield Finding("no files", None, why)
        return
    for run_id, status, offset in rows:
        folder = store.folder(run_id)
        if not folder.root.is_dir():
            yield Finding("no folder", run_id, f"{run_id} ({status}): its folder {folder.root} is gone")
            continue
        size = folder.spool.stat().st_size if folder.spool.exists() else 0
        if size < offset:
            yield Finding(
                "spool cut",
                run_id,
                f"{run_id}: {folder.spool} has {size} bytes, but {offset} were read from it; what was read is kept",
            )
        elif status != RunStatus.RUNNING and size > offset and size - offset > _torn(store, run_id, offset):
            yield Finding(
                "behind",
                run_id,
                f"{run_id} ({status}): {size - offset} bytes of its spool are not read yet; `tfllmer db check --fix`",
            )
    if store.files.is_dir():
        for path in sorted(store.files.iterdir()):
            if _ULID.fullmatch(path.name) and path.name not in ids:
                yield Finding("orphan folder", None, f"{path}: belongs to no run of this store; remove it by hand")


def _torn(store: Store, run_id: str, offset: int) -> int:
    """Bytes behind the last complete line: the line in which a process was killed is never read."""
    with open(store.folder(run_id).spool, "rb") as file:
        file.seek(offset)
        rest = file.read()
    return len(rest) - (rest.rfind(b"\n") + 1)
