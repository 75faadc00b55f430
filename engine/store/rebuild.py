"""A database made anew: from the folders of its runs alone, or from a backup and what came after it.

It is made beside the present one and takes its place when it is whole; what was there is kept under another name.
Spools are read as `ingest` always reads them, the rest comes from the documents in the folders (`core.folders`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import UserError
from engine.files import held, store_path
from engine.store.bringing_in import BringingIn, KeptDocuments
from engine.store.core import places
from engine.store.core.connections import BUSY_S, backup, wal
from engine.store.core.database import Store, bring_up_to_date, make_database, schema_of
from engine.store.core.folders import keep_all
from engine.store.core.sqlite_file import SqliteFile
from engine.store.queries.overview import info
from engine.store.upkeep import looks_sound

Progress = Callable[[int, int], None]
"""Is told how many runs of how many are in."""
_AT_ONCE = 100


@dataclass
class Rebuilt:
    """What has been made, and what is not in it."""

    path: Path
    runs: int = 0
    points: int = 0
    former: Path | None = None
    """Where the database lies now that was there before."""
    without_folder: list[str] = field(default_factory=list)
    """Runs that the former database or the backup has, and that have no folder. A backup's are kept as they were in
    it, the former database's are in it alone."""
    problems: list[str] = field(default_factory=list)
    """What could not be brought in, one line each."""


def rebuild(url: str | Path | None = None, progress: Progress | None = None) -> Rebuilt:
    """Make the database anew from the folders of its runs; what is there of the present one is kept beside it. Raises
    UserError where there are no folders, or somebody else is at it."""
    path = store_path(url)
    if not places.holds_runs(path):
        raise UserError(f"{places.files_of(path)}: holds no run, so there is nothing to make a database of")

    def fill(partial: Path) -> Rebuilt:
        former = KeptDocuments.of(path) if path.exists() else KeptDocuments()
        make_database(partial)
        report = _filled(partial, path, former, progress)
        folder_names = {folder.root.name for folder in places.run_folders(places.files_of(path))}
        report.without_folder = sorted(former.ids - folder_names)
        return report

    return _made(path, fill)


def restore(source: Path, url: str | Path | None = None, progress: Progress | None = None) -> Rebuilt:
    """Put a backup in the place of the database, which is kept beside it, and bring in what came later: runs, points,
    tags, notes, the queue, as the folders have them. Raises UserError where it is no backup of a store."""
    path = store_path(url)
    if path.exists() and source.exists() and path.samefile(source):
        raise UserError(f"{source}: is the store itself; name a backup of it")
    revision = schema_of(source)

    def fill(partial: Path) -> Rebuilt:
        backup(source.resolve(), partial)
        bring_up_to_date(partial, revision, BUSY_S)
        return _filled(partial, path, KeptDocuments(), progress)

    return _made(path, fill)


def _made(path: Path, fill: Callable[[Path], Rebuilt]) -> Rebuilt:
    files = places.claim_files(path)
    with held(files / "rebuild.lock") as alone:
        if not alone:
            raise UserError(f"{path}: another process makes it anew just now; wait for it")
        partial = path.with_name(f".{path.name}.rebuild.tmp")
        _remove(partial)
        try:
            report = fill(partial)
            _make_durable(partial)
            report.former = set_aside(path)
            partial.replace(path)
        except BaseException:
            _remove(partial)
            raise
    return report


def _filled(partial: Path, path: Path, former: KeptDocuments, progress: Progress | None) -> Rebuilt:
    files = places.files_of(path)
    store = Store(SqliteFile.of(partial), False, BUSY_S, files, keeps=False)
    report = Rebuilt(path)
    if not looks_sound(store):
        raise UserError(f"{path}: the backup is damaged itself; take another, or make it anew: `tfllmer db rebuild`")
    bringing = BringingIn(store, former)
    bringing.studies_and_diagnoses()
    folders = sorted(places.run_folders(files), key=lambda folder: folder.root.name)
    for start in range(0, len(folders), _AT_ONCE):
        bringing.runs(folders[start : start + _AT_ONCE])
        if progress is not None:
            progress(min(start + _AT_ONCE, len(folders)), len(folders))
    report.without_folder = bringing.give_up_without_folder()
    report.problems = bringing.problems
    holds = info(store)
    report.runs, report.points = sum(holds["runs"].values()) + holds["trash"], holds["points"]
    with store.write() as session:
        keep_all(session.connection(), files)
    store.engine.dispose()
    return report


def set_aside(path: Path) -> Path | None:
    """Give a database, and its write-ahead log, a name that says when it was replaced; None where there was none."""
    at = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    target = path.with_name(f"{path.stem}.{at}.replaced{path.suffix}")
    exists = path.exists()
    if exists:
        path.rename(target)
    with suppress(FileNotFoundError):
        wal(path).rename(wal(target))  # else it would be taken for that of the new one
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    return target if exists else None


def _make_durable(partial: Path) -> None:
    with closing(sqlite3.connect(partial)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _remove(partial: Path) -> None:
    for name in (partial.name, f"{partial.name}-wal", f"{partial.name}-shm", f"{partial.name}-journal"):
        partial.with_name(name).unlink(missing_ok=True)
