"""The SQLite file: opened, made, migrated, and shared by many processes.

WAL, so that readers never wait for a writer; every write is one `BEGIN IMMEDIATE` transaction, so
that writers queue at its start, where the busy timeout holds, and never fail half-way.

Runs, events and the like are rows of SQLModel classes (`Store.read`, `Store.write`); points are read through a
connection of the standard library (`Store.rows`), so that who only draws curves never imports SQLAlchemy.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.files import DEFAULT_STORE, replacing, store_path
from engine.spool import RunFolder, only_finite

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlmodel import Session

HEAD = "0004"
"""The schema of `tables`: the newest revision in `migrations/versions`."""

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_S = 30.0
"""How long a write waits for another process's write, and anything for a file that is locked, in seconds."""


class StoreError(UserError):
    """The store cannot be read or written just now: locked, full, read-only or damaged."""


@dataclass(frozen=True)
class Store:
    """An open store. `files` holds one folder per run."""

    path: Path
    read_only: bool
    wait_s: float

    @cached_property
    def engine(self) -> Engine:
        """SQLAlchemy's, made when it is first needed."""
        return _engine(self.path, self.wait_s, read_only=self.read_only)

    @property
    def files(self) -> Path:
        """`experiments.files` beside `experiments.db`."""
        return self.path.with_suffix(".files")

    def folder(self, run_id: str) -> RunFolder:
        """The folder of a run. Raises StoreError for a name that leads elsewhere: what is deleted goes by it."""
        if run_id in ("", ".", "..") or "/" in run_id or "\0" in run_id:
            raise StoreError(f"{self.path}: holds {run_id!r}, which is no run; it is damaged or was tampered with")
        return RunFolder(self.files / run_id)

    @property
    def size(self) -> int:
        """Bytes on disk, with the write-ahead log."""
        return sum(file.stat().st_size for file in (self.path, _wal(self.path)) if file.exists())

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one consistent state. Raises StoreError."""
        from sqlmodel import Session

        with _translated(self.path, self.wait_s), Session(self.engine) as session:
            yield session

    @contextmanager
    def rows(self) -> Iterator[sqlite3.Connection]:
        """A plain connection that sees one consistent state. Raises StoreError."""
        with (
            _translated(self.path, self.wait_s),
            closing(connect(self.path, self.wait_s, read_only=True)) as connection,
        ):
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session inside one `BEGIN IMMEDIATE` transaction, committed at the end of the block and
        rolled back by an exception. Raises StoreError."""
        if self.read_only:
            raise StoreError(f"{self.path}: opened for reading only")
        from sqlmodel import Session

        with _translated(self.path, self.wait_s), Session(_immediate(self.engine), expire_on_commit=False) as session:
            session.connection()
            yield session
            session.commit()


def open_store(url: str | Path | None = None, *, read_only: bool = False, wait_s: float | None = None) -> Store:
    """Open the store at a path (or `sqlite:///path`), by default $TFLLMER_DB or ./experiments.db.

    A missing store is made, an older one migrated after a backup beside it. With `read_only` nothing
    is made and the file is opened with SQLite's `mode=ro`. `wait_s` (default BUSY_S) is how long a lock is waited
    for. Raises UserError where it is no store of
    ours, is newer than this program, or cannot be opened.
    """
    path, wait_s = store_path(url), BUSY_S if wait_s is None else wait_s
    if path.is_dir():
        raise UserError(f"{path}: is a folder, not a store; name a file, for instance {path / DEFAULT_STORE}")
    if not path.exists():
        if read_only:
            raise UserError(f"{path}: no such store; `tfllmer run` makes one, --db or $TFLLMER_DB names another")
        if not path.parent.is_dir():
            raise UserError(f"{path}: the folder {path.parent} does not exist; make it, or name another with --db")
    with _translated(path, wait_s):
        if not read_only:
            _prepare(path)
        if (revision := _revision_at(path, wait_s)) != HEAD:
            _migrate(path, revision)
    return Store(path, read_only, wait_s)


def schema_of(url: str | Path | None = None) -> str:
    """The schema of a store as it is on disk, without opening (and so migrating) it. Raises UserError."""
    path = store_path(url)
    if not path.is_file():
        raise UserError(f"{path}: no such store; --db or $TFLLMER_DB names another")
    with _translated(path, BUSY_S):
        return _revision_at(path, BUSY_S)


# ------------------------------------------------------------------------------------ connections


def connect(path: Path, wait_s: float, *, read_only: bool) -> sqlite3.Connection:
    """A connection without transactions of its own: they begin where we say so."""
    mode = "ro" if read_only else "rwc"
    if read_only and not os.access(path.parent, os.W_OK) and not _wal(path).exists():
        mode = "ro&immutable=1"  # readers share a file beside the store, which they cannot make here
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=wait_s,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.create_function("metric_value", 3, partial(_metric_value, path.with_suffix(".files")))
    return connection


def _metric_value(files: Path, name: str, run_id: str, counts: str | None) -> float | None:
    """In SQL: a metric that a run's result does not hold by its name, from its counts of ranks or its files."""
    from engine.metrics import from_row

    folder = RunFolder(files / run_id)
    return from_row(name, counts, folder.ranks, folder.top)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _engine(path: Path, wait_s: float, *, read_only: bool, foreign_keys: bool = True) -> Engine:
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import QueuePool

    def connected() -> sqlite3.Connection:
        connection = connect(path, wait_s, read_only=read_only)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        return connection

    engine = create_engine("sqlite://", creator=connected, poolclass=QueuePool, json_serializer=_json)
    event.listen(engine, "begin", _begin)
    return engine


def _json(document: Any) -> str:
    """What is not finite becomes null: SQLite's functions refuse a document with NaN in it, and with it the query."""
    return json.dumps(only_finite(document))


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _immediate(engine: Engine) -> Engine:
    return engine.execution_options(immediate=True)


@contextmanager
def _translated(path: Path, wait_s: float) -> Iterator[None]:
    """Errors of SQLite that are nobody's programming error, as one line."""
    try:
        yield
    except Exception as error:
        cause = getattr(error, "orig", error)  # SQLAlchemy wraps the error that it was given
        ours = isinstance(cause, sqlite3.IntegrityError | sqlite3.ProgrammingError)
        if ours or not isinstance(cause, sqlite3.DatabaseError):
            raise
        raise StoreError(f"{path}: {_meaning(str(cause), wait_s)}") from error


def _meaning(message: str, wait_s: float) -> str:
    """What SQLite's message means for a person, and what to do."""
    messages = {
        "file is not a database": "is not a SQLite file; name another store with --db or $TFLLMER_DB",
        "database is locked": f"another program has kept it locked for {wait_s:g} s; end that program and try again",
        "readonly database": "cannot be written: no permission for the file or its folder",
        "unable to open database file": "cannot be opened: no permission for file or folder, or a read-only disk",
        "database or disk is full": "the disk is full; make room and try again",
        "malformed": "is damaged (database disk image is malformed); put a backup in its place",
        "disk I/O error": "the disk reports an I/O error; see that it is mounted, healthy and not full",
    }
    return next((meaning for part, meaning in messages.items() if part in message), message)


# ------------------------------------------------------------------------------------ the schema


def _revision_at(path: Path, wait_s: float) -> str:
    with closing(connect(path, wait_s, read_only=True)) as connection:
        revision = _revision(connection)
    if revision is None:
        raise UserError(f"{path}: is a SQLite file, but not a store of tfllmer; name another with --db or $TFLLMER_DB")
    return revision


def _revision(connection: sqlite3.Connection) -> str | None:
    """The stamped revision; None where the file was not made by us."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def _prepare(path: Path) -> None:
    """Switch the file to WAL and make the tables where it is empty. Safe when several processes do it at once."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))  # SQLite's own 0644 would keep a group out
    with closing(connect(path, BUSY_S, read_only=False)) as connection:
        empty = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
        if not empty and _revision(connection) is None:
            return  # somebody else's file: leave it as it is
        _use_wal(connection)
    if empty:
        from engine.store.core.tables import Run

        engine = _engine(path, BUSY_S, read_only=False)
        with _immediate(engine).begin() as connection_:
            if connection_.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").first() is None:
                Run.metadata.create_all(connection_)
                _stamp(connection_)
        engine.dispose()


def _stamp(connection: Connection) -> None:
    """What alembic's `stamp` does, without the time that importing alembic takes."""
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
        " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))


def _use_wal(connection: sqlite3.Connection) -> None:
    """The switch does not heed the busy timeout, so it is tried until it has passed."""
    give_up = time.monotonic() + BUSY_S
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        with suppress(sqlite3.OperationalError):
            if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal":
                return
        if time.monotonic() > give_up:
            raise sqlite3.OperationalError("database is locked")
        time.sleep(0.02)


def _migrate(path: Path, revision: str) -> None:
    """Bring an older store to HEAD in one transaction, after a backup beside it."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    if revision not in {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}:
        raise UserError(
            f"{path}: was made by a newer tfllmer (schema {revision}, this one knows {HEAD}); update tfllmer to open it"
        )
    engine = _engine(path, BUSY_S, read_only=False, foreign_keys=False)  # rebuilding a table must not cascade
    with _immediate(engine).begin() as connection:
        revision_now = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        if revision_now == revision:  # else another process was faster
            backup(
                path, path.with_name(f"{path.stem}.{revision}-{datetime.now(UTC):%Y%m%dT%H%M%S}.backup{path.suffix}")
            )
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)
    engine.dispose()


def backup(path: Path, target: Path) -> None:
    """Copy the last committed state, while others read and write, by way of a file beside the target.
    Raises StoreError where the target cannot be written."""
    with (
        replacing(target) as beside,
        _translated(target, BUSY_S),
        closing(connect(path, BUSY_S, read_only=True)) as source,
        closing(sqlite3.connect(beside)) as copy,
    ):
        source.backup(copy)


def vacuum(path: Path) -> None:
    """Give free pages back to the disk, and the write-ahead log; writers wait meanwhile. Raises StoreError."""
    with _translated(path, BUSY_S), closing(connect(path, BUSY_S, read_only=False)) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA optimize")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
