"""Connections to the SQLite file: patient where it is locked, open to Ctrl-C, and with errors of one line.

WAL, so that readers never wait for a writer. SQLite sleeps where it waits for a lock, and no signal is heard
meanwhile, so it is given `_NAP_S` at a time and the waiting is done here. While it computes, it looks up
every few milliseconds: Ctrl-C ends a long statement too.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from engine.errors import UserError
from engine.files import replacing
from engine.store.core.documents import document
from engine.store.dialects.sql import Sql

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

BUSY_S = 30.0
"""How long a write waits for another process's write, and anything for a file that is locked, in seconds."""
_NAP_S = 0.1
_STEPS = 200_000
"""Of SQLite's machine between two looks at signals: a few milliseconds."""
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

T = TypeVar("T")


class StoreError(UserError):
    """The store cannot be read or written just now: locked, full, read-only or damaged."""


class StoreUnreachableError(StoreError):
    """The server does not answer, or there is no such database (any more)."""


class StoreLostError(StoreError):
    """The file that was opened is gone, replaced or damaged: waiting does not help, `tfllmer db rebuild` does."""


# ------------------------------------------------------------------------------------ opened


class SqliteRows(sqlite3.Connection):
    """The standard library's connection; it takes pieces of SQL as well as text."""

    def execute(self, query: str | Sql, values: Sequence[Any] = (), /) -> sqlite3.Cursor:  # type: ignore[override]
        if isinstance(query, Sql):
            return super().execute(query.text, values or query.values)
        return super().execute(query, values)


def connect(path: Path, wait_s: float, *, read_only: bool) -> SqliteRows:
    """A connection without transactions of its own: they begin where we say so (`begin`).

    One for reading changes nothing. Where nobody has the file open and its folder can be written, it is opened as a
    writer would, since such a one takes its files beside the store (-wal, -shm) away again; elsewhere with `mode=ro`,
    which leaves them, or, where they cannot be made, as a file that nobody changes."""
    mode = _reading_mode(path) if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=min(wait_s, _NAP_S),
        isolation_level=None,
        check_same_thread=False,
        factory=SqliteRows,
    )
    if read_only:
        connection.execute("PRAGMA query_only=ON")
    connection.text_factory = _text
    connection.create_function("row_length", 9, row_length, deterministic=True)
    connection.create_function("metric_value", 3, partial(metric_value, path.with_suffix(".files")))
    connection.set_progress_handler(_look_up, _STEPS)
    return connection


def _reading_mode(path: Path) -> str:
    if wal(path).exists():
        return "ro"
    return "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro&immutable=1"


def _look_up() -> int:
    """Gives Python its turn, so that a signal that has come is heard; an exception ends the statement."""
    return 0


def row_length(  # noqa: PLR0917
    measured: float | None,
    mean: float | None,
    cv: float | None,
    setting: float | str | None,
    width: float | str | None,
    init: str | None,
    init_sd: float | None,
    inject: str | None,
    inject_sd: float | None,
) -> float | None:
    """In SQL: how long a run's raw initial rows are, from its facts and its settings."""
    from engine.spec.row_lengths import given_row_length, initial_row_length

    columns = int(width) if isinstance(width, int | float) else 0
    given = given_row_length(setting, init=init, init_sd=init_sd, inject=inject, inject_sd=inject_sd, width=columns)
    return initial_row_length(inject=inject, measured=measured, given=given, mean=mean, cv=cv)


def metric_value(files: Path, name: str, run_id: str, counts: str | None) -> float | None:
    """In SQL: a metric that a run's result does not hold by its name, from its counts of ranks or its files; None where
    these cannot be read, as an error would end the whole query."""
    from engine.metrics import from_row
    from engine.spool import RunFolder

    folder = RunFolder(files / run_id)
    try:
        return from_row(name, counts, folder.ranks, folder.top)
    except (ArithmeticError, LookupError, OSError, TypeError, UserError, ValueError):
        return None


def _text(stored: bytes) -> str:
    """Text that is not UTF-8 would end the whole query."""
    return stored.decode(errors="backslashreplace")


def wal(path: Path) -> Path:
    """The write-ahead log of a database."""
    return path.with_name(path.name + "-wal")


def engine_of(
    path: Path, wait_s: float, *, read_only: bool, foreign_keys: bool = True, watched: bool = False
) -> Engine:
    """SQLAlchemy's; a transaction of it takes the write lock at once where it is `immediate`. With `watched` each notes
    which runs it changes."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import QueuePool

    from engine.store.core.folders import watch_changes

    def connected() -> sqlite3.Connection:
        connection = connect(path, wait_s, read_only=read_only)
        patiently(partial(connection.execute, "PRAGMA synchronous=NORMAL"), wait_s)  # it reads the schema
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        if watched:
            patiently(lambda: watch_changes(connection), wait_s)
        return connection

    def begun(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        begin(driver, "IMMEDIATE" if connection.get_execution_options().get("immediate", False) else "", wait_s)

    engine = create_engine(
        "sqlite://", creator=connected, poolclass=QueuePool, json_serializer=json_text_of, json_deserializer=document
    )
    event.listen(engine, "begin", begun)
    return engine


def json_text_of(value: Any) -> str:
    """What is not finite becomes null: databases refuse a document with NaN in it, and with it the query."""
    from engine.spool import only_finite

    return json.dumps(only_finite(value))


def immediate(engine: Engine) -> Engine:
    """The same; its transactions take the write lock at once."""
    return engine.execution_options(immediate=True)


# ------------------------------------------------------------------------------------ waited for


def begin(connection: sqlite3.Connection, how: Literal["", "IMMEDIATE"], wait_s: float) -> None:
    """Begin a transaction that waits for nothing any more: one for reading has taken its look at the file."""

    def begun() -> None:
        connection.execute(f"BEGIN {how}")
        if not how:
            try:
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    patiently(begun, wait_s)


def patiently(action: Callable[[], T], wait_s: float) -> T:
    """What the action gives, tried again while the file is locked. Ctrl-C is heard between two tries."""
    give_up = time.monotonic() + wait_s
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() >= give_up:
                raise
        time.sleep(0.005)


def is_locked(error: sqlite3.OperationalError) -> bool:
    """Whether waiting may help."""
    return error.sqlite_errorcode & 0xFF in _LOCKED


# ------------------------------------------------------------------------------------ errors


@contextmanager
def translated(path: Path, wait_s: float) -> Iterator[None]:
    """Errors of SQLite that are nobody's programming error, as one line; Ctrl-C as what it is."""
    try:
        yield
    except Exception as error:
        cause = getattr(error, "orig", error)  # SQLAlchemy wraps the error that it was given
        ours = isinstance(cause, sqlite3.IntegrityError | sqlite3.ProgrammingError)
        if ours or not isinstance(cause, sqlite3.DatabaseError):
            raise
        if str(cause) == "interrupted":
            raise KeyboardInterrupt from None
        kind = StoreLostError if _is_damage(str(cause)) else StoreError
        message = _message(path, str(cause))
        raise kind(f"{path}: {_meaning(message, wait_s)}") from error


_ROOM = 1 << 16
"""Bytes that SQLite wants for the file by which processes share a database; less is an I/O error to it."""


def _message(path: Path, message: str) -> str:
    """What is really the matter where SQLite names another thing."""
    if _is_full(path, message):
        return "database or disk is full"
    if _is_damage(message) and _is_another_kind(path):  # read through the write-ahead log of the store that was there
        return "file is not a database"
    return message


def _is_another_kind(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(_HEADER)) not in (b"", _HEADER)
    return False


_HEADER = b"SQLite format 3\0"


def _is_full(path: Path, message: str) -> bool:
    """Whether the disk is what SQLite stumbled over, which it says by the name of the call that failed."""
    if not any(part in message for part in ("disk I/O error", "unable to open database file")):
        return False
    with suppress(OSError):
        room = shutil.disk_usage(path.parent)  # /proc and its like have none at all
        return os.access(path.parent, os.W_OK) and room.total > 0 and room.free < _ROOM
    return False


def _is_damage(message: str) -> bool:
    return "disk image is malformed" in message


def _meaning(message: str, wait_s: float) -> str:
    """What SQLite's message means for a person, and what to do."""
    messages = {
        "file is not a database": "is not a SQLite file; name another store with --db or $TFLLMER_DB (where it was"
        " one, `tfllmer db rebuild` makes it anew from the folders of its runs)",
        "database is locked": f"another program has kept it locked for {wait_s:g} s; end that program and try again",
        "readonly database": "cannot be written: no permission for the file or its folder",
        "unable to open database file": "cannot be opened: no permission for file or folder, or a read-only disk",
        "database or disk is full": "the disk is full; make room and try again",
        "disk image is malformed": "is damaged (database disk image is malformed); `tfllmer db rebuild` makes it"
        " anew from the folders of its runs, `tfllmer db restore BACKUP` puts a backup in its place",
        "disk I/O error": "the disk reports an I/O error; see that it is mounted, healthy and not full",
    }
    return next((meaning for part, meaning in messages.items() if part in message), message)


# ------------------------------------------------------------------------------------ the whole file


def backup(path: Path, target: Path) -> None:
    """Copy the last committed state, while others read and write, by way of a file beside the target.
    Raises StoreError where the target cannot be written."""
    with (
        replacing(target) as beside,
        translated(target, BUSY_S),
        closing(connect(path, BUSY_S, read_only=True)) as source,
        closing(sqlite3.connect(beside)) as copy,
    ):
        begin(source, "", BUSY_S)  # what others write meanwhile is not in it, and does not make it start again
        source.backup(copy, pages=2000, progress=lambda *_: None)  # the call gives Ctrl-C its turn


def vacuum(path: Path) -> None:
    """Give free pages back to the disk, and the write-ahead log; writers wait meanwhile. Raises StoreError."""
    with translated(path, BUSY_S), closing(connect(path, BUSY_S, read_only=False)) as connection:
        for statement in ("VACUUM", "PRAGMA optimize", "PRAGMA wal_checkpoint(TRUNCATE)"):
            patiently(partial(connection.execute, statement), BUSY_S)
