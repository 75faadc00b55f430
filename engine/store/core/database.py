"""The SQLite file: opened, made, migrated, and shared by many processes.

Every write is one `BEGIN IMMEDIATE` transaction, so that writers queue at its start, where they wait, and never fail
half-way. What a write changes of a run is kept in the run's folder too (`folders`), before it is committed.

Runs, events and the like are rows of SQLModel classes (`Store.read`, `Store.write`); points are read through a
connection of the standard library (`Store.rows`), so that who only draws curves never imports SQLAlchemy.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.errors import UserError
from engine.files import DEFAULT_STORE, ServerAddress, StoreAddress, store_address
from engine.spool import RunFolder
from engine.store.core import places
from engine.store.core.connections import (
    BUSY_S,
    StoreError,
    backup,
    connect,
    engine_of,
    immediate,
    is_locked,
    patiently,
    translated,
)
from engine.store.core.schema import HEAD, migrations, newer, older, stamp, upgrade
from engine.store.core.sqlite_file import SqliteFile
from engine.store.dialects.sql import RowReader

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlmodel import Session


class Backend(Protocol):
    """Where a store's tables are, and how they are spoken to; its text is what people call it."""

    def engine(self, wait_s: float, *, read_only: bool, watched: bool) -> Engine: ...

    def translated(self, wait_s: float) -> AbstractContextManager[None]:
        """Errors of the database as StoreError."""
        ...

    def require(self) -> None:
        """Raises StoreLostError where it is not what was opened."""
        ...

    def rows(self, store: Store) -> AbstractContextManager[RowReader]: ...

    def now(self, store: Store) -> datetime: ...

    def reading(self, engine: Engine) -> Engine:
        """Whose transactions see one consistent state."""
        ...

    def writing(self, engine: Engine) -> Engine: ...

    def begin_writing(self, connection: Connection, *, alone: bool) -> None:
        """Wait until nobody else writes; with `alone` false only until nobody writes `alone`. Those who look on are
        told at the commit."""
        ...

    def watch(self, store: Store) -> Watch: ...

    def make_files(self, files: Path) -> Path: ...

    @property
    def environment(self) -> dict[str, str]:
        """What a process that opens it by its name needs beside that."""
        ...

    @property
    def size(self) -> int: ...


class Watch(Protocol):
    """A connection of one's own that reads, and hears of changes."""

    @property
    def rows(self) -> RowReader: ...

    def version(self) -> int:
        """Another number after every change."""
        ...

    def begin(self) -> None:
        """See one consistent state from now on."""
        ...

    def end(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Store:
    """An open store. `files` holds one folder per run; what is written of runs is kept in their folders too unless
    `keeps` is false."""

    backend: Backend
    read_only: bool
    wait_s: float
    files: Path
    keeps: bool = True

    @property
    def name(self) -> str:
        """What messages call it; never with a password."""
        return str(self.backend)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that is to open it by its `name`."""
        return {**os.environ, **self.backend.environment}

    @property
    def path(self) -> Path:
        """Its file. Raises UserError where it is on a server."""
        if isinstance(self.backend, SqliteFile):
            return self.backend.path
        raise UserError(f"{self.name}: is on a server and no file; its server has tools for that (pg_dump, vacuumdb)")

    def now(self) -> datetime:
        """The present moment by the clock that all who use the store share: the server's; for a file this machine's.
        Raises StoreError."""
        return self.backend.now(self)

    @cached_property
    def engine(self) -> Engine:
        """SQLAlchemy's, made when it is first needed."""
        return self.backend.engine(self.wait_s, read_only=self.read_only, watched=self.keeps and not self.read_only)

    def waiting(self, wait_s: float) -> Store:
        """The same store; a lock is waited for so long."""
        return replace(self, wait_s=wait_s)

    def folder(self, run_id: str) -> RunFolder:
        """The folder of a run. Raises StoreError for a name that leads elsewhere: what is deleted goes by it."""
        if run_id in ("", ".", "..") or "/" in run_id or "\0" in run_id:
            raise StoreError(f"{self.name}: holds {run_id!r}, which is no run; it is damaged or was tampered with")
        return RunFolder(self.files / run_id)

    def make_files(self) -> Path:
        """The folder of the runs, made where it is missing. Raises UserError where it is another database's."""
        return self.backend.make_files(self.files)

    @property
    def size(self) -> int:
        """Bytes on disk, with the write-ahead log of a file."""
        return self.backend.size

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one consistent state. Raises StoreError."""
        from sqlmodel import Session

        with self.backend.translated(self.wait_s):
            self.require()
            with Session(self.backend.reading(self.engine)) as session:
                yield session

    @contextmanager
    def rows(self) -> Iterator[RowReader]:
        """A plain connection that sees one consistent state. Raises StoreError."""
        with self.backend.translated(self.wait_s):
            self.require()
            with self.backend.rows(self) as rows:
                yield rows

    @contextmanager
    def write(self, *, alone: bool = True) -> Iterator[Session]:
        """A session inside one transaction, committed at the end of the block and rolled back by an exception. No
        other write happens meanwhile; with `alone` false, where each statement by itself settles who gets what, a
        server may do several such at once. Raises StoreError."""
        if self.read_only:
            raise StoreError(f"{self.name}: opened for reading only")
        from sqlmodel import Session

        from engine.store.core.folders import keep_changes

        with self.backend.translated(self.wait_s):
            self.require()
            with Session(self.backend.writing(self.engine), expire_on_commit=False) as session:
                self.backend.begin_writing(session.connection(), alone=alone)
                yield session
                session.flush()
                if self.keeps:
                    keep_changes(session.connection(), self.files)
                session.commit()
            self.require()  # what was written into a file that is gone was not written

    def require(self) -> None:
        """Raises StoreLostError where the file at the path is not the one that was opened."""
        self.backend.require()


def open_store(url: str | StoreAddress | None = None, *, read_only: bool = False, wait_s: float | None = None) -> Store:
    """Open the store at a path (or `sqlite:///path`), by default $TFLLMER_DB or ./experiments.db.

    A missing store is made, an older one migrated after a backup beside it. With `read_only` nothing is made, migrated
    or changed. `wait_s` (default BUSY_S) is how long a lock is waited for. Raises UserError where it is no store of
    ours, is newer than this program (read-only: or older), has lost its database, or cannot be opened.
    """
    address, wait_s = store_address(url), BUSY_S if wait_s is None else wait_s
    if isinstance(address, ServerAddress):
        from engine.store.core.server import open_server

        server, files = open_server(address, wait_s, read_only=read_only)
        return Store(server, read_only, wait_s, files)
    path = address
    if path.is_dir():
        raise UserError(f"{path}: is a folder, not a store; name a file, for instance {path / DEFAULT_STORE}")
    runs = places.holds_runs(path)  # before anything else: who makes runs has made the tables
    if not path.exists():
        if runs:
            raise UserError(places.lost_database(path))
        if read_only:
            raise UserError(f"{path}: no such store; `tfllmer run` makes one, --db or $TFLLMER_DB names another")
        if not path.parent.is_dir():
            raise UserError(f"{path}: the folder {path.parent} does not exist; make it, or name another with --db")
    if not read_only:
        places.check_disk(path)
        places.check_files(path)
    with translated(path, wait_s):
        if not read_only:
            _prepare(path, wait_s, runs=runs)
        if (revision := _revision_at(path, wait_s, runs=runs)) != HEAD:
            if read_only:
                raise UserError(newer(path, revision) if revision > HEAD else older(path, revision))
            _migrate(path, revision, wait_s)
        file = SqliteFile.of(path)
    return Store(file, read_only, wait_s, places.files_of(path))


def existing_store(url: str | StoreAddress | None = None, *, wait_s: float | None = None) -> Store:
    """`open_store` for those who change what is there: a store that is not there is not made. Raises UserError."""
    address = store_address(url)
    if not store_exists(address):
        open_store(url, read_only=True)  # says what is missing
    return open_store(url, wait_s=wait_s)


def store_exists(address: StoreAddress) -> bool:
    """Whether there is something at the address. Raises StoreError where a server does not answer."""
    if isinstance(address, ServerAddress):
        from engine.store.core.server import holds_store

        return holds_store(address, BUSY_S)
    return address.exists()


def schema_of(url: str | StoreAddress | None = None) -> str:
    """The schema of a store as it is on disk, without opening (and so migrating) it. Raises UserError."""
    address = store_address(url)
    if isinstance(address, ServerAddress):
        from engine.store.core.server import revision_at

        return revision_at(address, BUSY_S)
    path = address
    if not path.is_file():
        raise UserError(
            places.lost_database(path)
            if places.holds_runs(path)
            else f"{path}: no such store; --db or $TFLLMER_DB names another"
        )
    with translated(path, BUSY_S):
        return _revision_at(path, BUSY_S, runs=False)


# ------------------------------------------------------------------------------------ the schema


def _revision_at(path: Path, wait_s: float, *, runs: bool) -> str:
    with closing(connect(path, wait_s, read_only=True)) as connection:
        revision, empty = patiently(lambda: (_revision(connection), _is_empty(connection)), wait_s)
    if revision is None:
        if empty and runs:
            raise UserError(places.lost_database(path))
        raise UserError(f"{path}: is a SQLite file, but not a store of tfllmer; name another with --db or $TFLLMER_DB")
    return revision


def _revision(connection: sqlite3.Connection) -> str | None:
    """The stamped revision; None where the file was not made by us."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


def _prepare(path: Path, wait_s: float, *, runs: bool) -> None:
    """Switch the file to WAL and make the tables where it is empty. Safe when several processes do it at once. Raises
    UserError where there are `runs` whose database this was."""
    if not path.exists():
        with suppress(OSError):  # SQLite says what is wrong; its own 0644 would keep a group out
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
    with closing(connect(path, wait_s, read_only=False)) as connection:
        empty = patiently(lambda: _is_empty(connection), wait_s)
        if empty and runs:
            raise UserError(places.lost_database(path))
        if not empty and patiently(lambda: _revision(connection), wait_s) is None:
            return  # somebody else's file: leave it as it is
        _use_wal(connection, wait_s)
    if empty:
        from engine.store.core.tables import Run

        engine = engine_of(path, wait_s, read_only=False)
        with immediate(engine).begin() as connection_:
            if connection_.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").first() is None:
                Run.metadata.create_all(connection_)
                stamp(connection_)
        engine.dispose()


def _use_wal(connection: sqlite3.Connection, wait_s: float) -> None:
    """The switch does not heed the busy timeout, so it is tried until it has passed."""
    give_up = time.monotonic() + wait_s
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal":
                return
        except sqlite3.OperationalError as error:
            if not is_locked(error):
                raise  # a full disk stays full
        if time.monotonic() > give_up:
            raise sqlite3.OperationalError("database is locked")
        time.sleep(0.02)


def make_database(path: Path) -> None:
    """A database without rows. Raises StoreError."""
    with translated(path, BUSY_S):
        _prepare(path, BUSY_S, runs=False)


def bring_up_to_date(path: Path, revision: str, wait_s: float) -> None:
    """Bring a copy of an older database to HEAD, as it is. Raises UserError where it is newer."""
    if revision != HEAD:
        with translated(path, wait_s):
            _migrate(path, revision, wait_s, copies=False)


def _migrate(path: Path, revision: str, wait_s: float, *, copies: bool = True) -> None:
    """Bring an older store to HEAD in one transaction, after a backup beside it (`copies`); then the folders of its
    runs keep what their rows have."""
    from engine.store.core.folders import keep_all

    config = migrations(path, revision)
    engine = engine_of(path, wait_s, read_only=False, foreign_keys=False)  # rebuilding a table must not cascade
    with immediate(engine).begin() as connection:
        revision_now = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        if revision_now == revision:  # else another process was faster
            if copies:
                at = f"{revision}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
                backup(path, path.with_name(f"{path.stem}.{at}.backup{path.suffix}"))
            upgrade(connection, config)
            if copies:
                keep_all(connection, places.files_of(path))
    engine.dispose()
