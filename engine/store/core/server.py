"""A store in a database of a PostgreSQL server: its tables, its lock, its notices of change.

A write takes the store's lock as the first thing that it does, exclusive where it reads before it changes something
(`Store.write`), shared where single statements settle who gets what: claims, spools, heartbeats.
"""

from __future__ import annotations

import math
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import UserError
from engine.files import ServerAddress, make_folder, path_of, write_text
from engine.store.core.folders import WATCHED, keep_all
from engine.store.core.places import MARKER
from engine.store.core.postgres import PostgresRows, borrowed, connect, driven, engine_of, translated
from engine.store.core.schema import HEAD, migrations, newer, older, stamp, upgrade
from engine.store.core.times import stored_time
from engine.store.dialects.pieces import BINARY, NOW
from engine.store.dialects.sql import RowReader, run, sql

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection, Engine

CHANNEL = "tfllmer"
_LATE_S = 5.0
"""How often the server is asked for changes that nobody told of."""


# ------------------------------------------------------------------------------------ tables


def _conform(connection: psycopg.Connection[Any]) -> None:
    """Give columns the types that SQLite has anyway: whole numbers of any size, text in the order of its bytes; and
    documents a binary form beside their text."""
    columns = connection.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " JOIN information_schema.tables USING (table_schema, table_name)"  # an extension's view is left alone
        " WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND table_name <> 'alembic_version'"
        " AND (data_type = 'integer' OR"
        " (data_type IN ('character varying', 'text') AND collation_name IS DISTINCT FROM 'C'))"
        " ORDER BY table_name"
    ).fetchall()
    changes: dict[str, list[str]] = {}
    for table, column, kind in columns:
        to = "bigint" if kind == "integer" else 'varchar COLLATE "C"'
        changes.setdefault(table, []).append(f'ALTER COLUMN "{column}" TYPE {to}')
    for table, each in changes.items():
        connection.execute(f'ALTER TABLE "{table}" {", ".join(each)}')
    made = [f"ADD COLUMN IF NOT EXISTS {name} jsonb GENERATED ALWAYS AS ({of}) STORED" for name, of in BINARY.items()]
    kept = [f"ALTER COLUMN {name} SET STORAGE MAIN" for name in BINARY]  # in the row, not in a table beside it
    connection.execute(f"ALTER TABLE run {', '.join(made)}")
    connection.execute(f"ALTER TABLE run {', '.join(kept)}")


def _watch(connection: psycopg.Connection[Any]) -> None:
    """Triggers that note, in a table of the writing connection, which rows a transaction changes (`folders`)."""
    connection.execute(
        "CREATE OR REPLACE FUNCTION tfllmer_note() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE k text; BEGIN"
        " IF current_setting('tfllmer.watched', true) IS DISTINCT FROM 'on' THEN RETURN NULL; END IF;"
        " IF TG_OP = 'DELETE' THEN EXECUTE format('SELECT ($1).%I', TG_ARGV[1]) USING OLD INTO k;"
        " ELSE EXECUTE format('SELECT ($1).%I', TG_ARGV[1]) USING NEW INTO k; END IF;"
        " INSERT INTO pg_temp.changed_rows VALUES (TG_ARGV[0], k) ON CONFLICT DO NOTHING; RETURN NULL; END $$"
    )
    for n, (kind, column, what, table, when) in enumerate(WATCHED):
        condition = f" WHEN ({when})" if when else ""
        connection.execute(
            f"CREATE OR REPLACE TRIGGER tfllmer_watch_{n} AFTER {what} ON {table} FOR EACH ROW{condition}"
            f" EXECUTE FUNCTION tfllmer_note('{kind}', '{column}')"
        )


# ------------------------------------------------------------------------------------ the database of a store

_LOCK = "SELECT pg_advisory_xact_lock{shared}(hashtext('tfllmer'), hashtext(current_schema()))"
_LOCK_AND_NOTIFY = f"{_LOCK}, pg_notify('{CHANNEL}', current_schema())"
"""Who looks on hears of it at the commit, wherever in the transaction it was said."""
_LOOKING: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_SETTINGS = "CREATE TABLE store_setting (name varchar PRIMARY KEY, value varchar NOT NULL)"
"""What a file's name tells of a store in a file: which store it is, and where the folders of its runs are."""


class Opened(Protocol):
    """A store, as far as its server needs to know it."""

    @property
    def wait_s(self) -> float: ...

    @property
    def files(self) -> Path: ...

    @property
    def engine(self) -> Engine: ...


@dataclass(frozen=True)
class PostgresServer:
    """A store in a database of a server; `identity` was drawn when it was made."""

    address: ServerAddress
    identity: str

    def __str__(self) -> str:
        return str(self.address)

    def engine(self, wait_s: float, *, read_only: bool, watched: bool) -> Engine:
        return engine_of(self.address, wait_s, watched=watched and not read_only)

    def translated(self, wait_s: float) -> AbstractContextManager[None]:
        return translated(self.address, wait_s)

    def require(self) -> None:
        """A server says by itself that a database is gone."""

    @contextmanager
    def rows(self, store: Opened) -> Iterator[RowReader]:
        with borrowed(store.engine) as connection:
            yield PostgresRows(connection, store.files)

    def now(self, store: Opened) -> datetime:
        with self.translated(store.wait_s), self.rows(store) as rows:
            return stored_time(rows.execute(sql("SELECT {}", NOW)).fetchone()[0])

    def reading(self, engine: Engine) -> Engine:
        return engine.execution_options(**_LOOKING)

    def writing(self, engine: Engine) -> Engine:
        return engine

    def begin_writing(self, connection: Connection, *, alone: bool) -> None:
        run(connection, _LOCK_AND_NOTIFY.format(shared="" if alone else "_shared"))

    def watch(self, store: Opened) -> ServerWatch:
        with self.translated(store.wait_s):
            return ServerWatch(self.address, store)

    def make_files(self, files: Path) -> Path:
        """The folder of the runs, made and marked as this store's. Raises UserError where it is another's."""
        _require_marked(files, self.identity)
        make_folder(files)
        if not (files / MARKER).exists():
            with suppress(UserError):
                write_text(files / MARKER, f"{self.identity}\n")
        return files

    @property
    def environment(self) -> dict[str, str]:
        return self.address.environment

    @property
    def size(self) -> int:
        """Bytes of its tables and indices."""
        query = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relkind = 'r'"
        with translated(self.address, 1.0), closing(connect(self.address, 1.0)) as connection:
            row = connection.execute(f"{query} AND relnamespace = CAST(current_schema() AS regnamespace)").fetchone()
        return int(row[0]) if row else 0


class ServerWatch:
    """Told of changes by the server (LISTEN); of what was written by hand, or through a pooler that passes no notices
    on, it learns by asking every few seconds."""

    def __init__(self, address: ServerAddress, store: Opened) -> None:
        self._connection = connect(address, store.wait_s, autocommit=True)
        self._address, self._wait_s = address, store.wait_s
        self.rows: RowReader = PostgresRows(self._connection, store.files, address)
        self._count, self._asked, self._snapshot = 0, -math.inf, ""
        self._connection.execute(f"LISTEN {CHANNEL}")
        self._schema = self._asked_of("SELECT current_schema()")

    def version(self) -> int:
        with translated(self._address, self._wait_s):
            for notice in self._connection.notifies(timeout=0):
                self._count += notice.payload == self._schema
            if time.monotonic() - self._asked >= _LATE_S:
                self._asked = time.monotonic()
                now = self._asked_of("SELECT CAST(pg_current_snapshot() AS text)")
                self._count += now != self._snapshot
                self._snapshot = now
        return self._count

    def _asked_of(self, query: str) -> str:
        row = self._connection.execute(query).fetchone()
        return "" if row is None else str(row[0])

    def begin(self) -> None:
        self.rows.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def end(self) -> None:
        self.rows.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


# ------------------------------------------------------------------------------------ opened


def holds_store(address: ServerAddress, wait_s: float) -> bool:
    """Whether a store is there. Raises StoreError."""
    return _revision(address, wait_s) is not None


def revision_at(address: ServerAddress, wait_s: float) -> str:
    """The schema of the store that is there. Raises UserError where there is none."""
    revision = _revision(address, wait_s)
    if revision is None:
        raise UserError(f"{address}: no such store; `tfllmer run` makes one, --db or $TFLLMER_DB names another")
    return revision


def _revision(address: ServerAddress, wait_s: float) -> str | None:
    with translated(address, wait_s), closing(connect(address, wait_s)) as connection:
        return _revision_of(connection)


def _revision_of(connection: psycopg.Connection[Any]) -> str | None:
    there = "SELECT to_regclass(quote_ident(current_schema()) || '.store_setting') IS NOT NULL"
    row = connection.execute(there).fetchone()
    if row is None or not row[0]:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def open_server(address: ServerAddress, wait_s: float, *, read_only: bool) -> tuple[PostgresServer, Path]:
    """The store of a database and the folder of its runs: made where the database is empty, brought to HEAD where it is
    older. With `read_only` nothing is made or changed. Raises UserError."""
    revision = _revision(address, wait_s)
    if revision != HEAD:
        if read_only:
            revision = revision_at(address, wait_s)
            raise UserError(newer(address, revision) if revision > HEAD else older(address, revision))
        _prepare(address, wait_s)
    with translated(address, wait_s), closing(connect(address, wait_s)) as connection:
        server, files = PostgresServer(address, _setting(connection, "identity")), _files_of(connection)
    _require_marked(files, server.identity)
    return server, files


def _setting(connection: psycopg.Connection[Any], name: str) -> str:
    row = connection.execute("SELECT value FROM store_setting WHERE name = %s", (name,)).fetchone()
    return "" if row is None else str(row[0])


def _files_of(connection: psycopg.Connection[Any]) -> Path:
    return _chosen_files() or Path(_setting(connection, "files"))


def _chosen_files() -> Path | None:
    chosen = os.environ.get("TFLLMER_FILES")
    return path_of(chosen).resolve() if chosen else None


def _prepare(address: ServerAddress, wait_s: float) -> None:
    """Make the tables, or bring them to HEAD, in one transaction; one process does it, others find it done."""
    from engine.store.core.tables import Run

    engine = engine_of(address, wait_s)
    try:
        with translated(address, wait_s), engine.begin() as connection:
            run(connection, _LOCK.format(shared=""))
            revision = _revision_of(driven(connection))
            if revision is None:
                _require_empty(connection, address)
                Run.metadata.create_all(connection)
                stamp(connection)
                _settle(connection, address)
            elif revision != HEAD:
                upgrade(connection, migrations(address, revision))
                keep_all(connection, _files_of(driven(connection)))
            _conform(driven(connection))
            _watch(driven(connection))
    finally:
        engine.dispose()


def _require_empty(connection: Connection, address: ServerAddress) -> None:
    tables = (
        "SELECT count(*) FROM information_schema.tables"
        " WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"
    )
    if run(connection, tables).scalar_one():
        raise UserError(f"{address}: holds other tables and no store; give it a database of its own (createdb NAME)")


def _settle(connection: Connection, address: ServerAddress) -> None:
    """Where the folders of runs are kept: $TFLLMER_FILES, else beside where it is made, under the database's name."""
    files = _chosen_files() or Path.cwd() / f"{re.sub(r'[^0-9A-Za-z._-]', '_', address.database)}.files"
    identity = f"store {uuid.uuid4()}"
    _require_marked(files, identity)
    run(connection, _SETTINGS)
    rows = [("identity", identity), ("files", str(files))]
    run(connection, "INSERT INTO store_setting (name, value) VALUES (?, ?)", rows)


def _require_marked(files: Path, identity: str) -> None:
    """Raises UserError where the folder of runs is another store's."""
    try:
        named = (files / MARKER).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return
    if named and named != identity:
        raise UserError(f"{files}: holds the runs of another store; name a folder for this one's with $TFLLMER_FILES")
