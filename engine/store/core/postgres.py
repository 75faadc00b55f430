"""Connections to a PostgreSQL server through psycopg: patient where something is locked, with errors of one line."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from engine.bounds import parse_json
from engine.errors import UserError
from engine.files import ServerAddress
from engine.store.core.connections import StoreError, StoreUnreachableError, json_text_of, metric_value, row_length
from engine.store.core.documents import document, fit_for_postgres
from engine.store.dialects.pieces import Computed
from engine.store.dialects.sql import Cursor, Sql, postgres_marks

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection, Engine

_CONNECT_S = 10
_FRESH_S = 2.0
"""A connection that was in use so lately is not asked whether the server is still there."""


def driver() -> Any:
    """psycopg. Raises UserError where it is not installed."""
    try:
        import psycopg
    except ImportError:
        raise UserError("a store on a PostgreSQL server needs psycopg: pip install 'tfllmer[postgresql]'") from None
    return psycopg


def connect(address: ServerAddress, wait_s: float, *, autocommit: bool = False) -> psycopg.Connection[Any]:
    """A connection that waits so long for a lock. Who logs in, and how, is as libpq has it: the URL, PGPASSWORD,
    ~/.pgpass, PGSSLMODE and so on."""
    given = {
        "user": address.user,
        "host": address.host,
        "port": address.port,
        "password": address.password,
        "dbname": address.database,
        "application_name": "tfllmer",
        "connect_timeout": _CONNECT_S,
        **dict(address.options),
    }
    connection: psycopg.Connection[Any] = driver().connect(
        **{name: value for name, value in given.items() if value is not None}, autocommit=True
    )
    _adapt(connection)
    connection.execute(f"SET lock_timeout = {max(1, round(wait_s * 1000))}")
    connection.execute("SET jit = off")  # it takes longer than our queries do
    connection.execute("SET client_min_messages = warning")
    connection.autocommit = autocommit
    return connection


def _adapt(connection: psycopg.Connection[Any]) -> None:
    """Text that PostgreSQL would refuse is told by what it stands for; documents come decoded."""
    import psycopg
    from psycopg.types.json import set_json_dumps, set_json_loads
    from psycopg.types.string import StrDumperUnknown

    class TakenText(StrDumperUnknown):
        def dump(self, obj: str) -> bytes:
            return obj.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="backslashreplace")

    class AllAtOnce(psycopg.Cursor[Any]):
        """A loop over its rows takes them one by one otherwise, each through Python."""

        def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # nobody asks a loop for its cursor
            return iter(self.fetchall())

    connection.cursor_factory = AllAtOnce
    connection.adapters.register_dumper(str, TakenText)
    set_json_dumps(_encoded, connection)  # SQLAlchemy does so for connections that it makes itself
    set_json_loads(lambda data: document(bytes(data).decode() if isinstance(data, bytes) else data), connection)


class PostgresRows:
    """A plain connection that reads, in the store's words; `files` holds the folders of the runs."""

    def __init__(self, connection: psycopg.Connection[Any], files: Path, address: ServerAddress | None = None) -> None:
        """With the address, its errors are told by StoreError; else whoever holds it does that."""
        self._connection, self._files, self._address = connection, files, address

    def execute(self, query: str | Sql, values: Sequence[Any] = (), /) -> Cursor:
        text, own = query.for_postgres if isinstance(query, Sql) else (query, ())
        bound = [self._computed(value) if isinstance(value, Computed) else value for value in values or own]
        with nullcontext() if self._address is None else translated(self._address, 0.0):
            return self._connection.execute(postgres_marks(text), bound)

    def _computed(self, asked: Computed) -> str:
        values = {run_id: self._call(asked.function, arguments) for run_id, *arguments in self.execute(asked.rows())}
        return json.dumps({run_id: value for run_id, value in values.items() if value is not None})

    def _call(self, function: str, arguments: Sequence[Any]) -> float | None:
        if function == "metric_value":
            name, run_id, counts = arguments
            return metric_value(self._files, name, run_id, counts)
        measured, mean, cv, *settings = arguments
        read = [None if text is None else parse_json(text) for text in settings]
        return row_length(measured, mean, cv, *read)


@contextmanager
def borrowed(engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the engine's pool without what SQLAlchemy does on top of it, for reading one consistent state."""
    held = engine.raw_connection()
    connection = cast("psycopg.Connection[Any]", held.driver_connection)
    try:
        connection.isolation_level, connection.read_only = driver().IsolationLevel.REPEATABLE_READ, True
        yield connection
    finally:
        with suppress(driver().Error):
            connection.rollback()
            connection.isolation_level = connection.read_only = None
        held.close()


def driven(connection: Connection) -> psycopg.Connection[Any]:
    inner: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    return inner


def engine_of(address: ServerAddress, wait_s: float, *, watched: bool = False) -> Engine:
    """SQLAlchemy's; with `watched` each transaction notes which rows it changes."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import DisconnectionError
    from sqlalchemy.pool import QueuePool

    def connected() -> Any:
        connection = connect(address, wait_s)
        if watched:
            start_watching(connection)
        return connection

    def put_away(connection: Any, record: Any) -> None:
        record.info["since"] = time.monotonic()

    def taken_out(connection: Any, record: Any, proxy: Any) -> None:
        if time.monotonic() - record.info.get("since", math.inf) < _FRESH_S:
            return
        try:
            connection.execute("SELECT 1")
            connection.rollback()
        except driver().Error as error:
            raise DisconnectionError from error  # another connection is taken

    driver()
    engine = create_engine(
        "postgresql+psycopg://",
        creator=connected,
        poolclass=QueuePool,
        json_serializer=_encoded,
        json_deserializer=_decoded,
    )
    event.listen(engine, "checkin", put_away)
    event.listen(engine, "checkout", taken_out)
    return engine


def _encoded(value: Any) -> str:
    return fit_for_postgres(json_text_of(value))


def _decoded(data: Any) -> Any:
    return document(bytes(data).decode() if isinstance(data, bytes | bytearray | memoryview) else data)


def start_watching(connection: psycopg.Connection[Any]) -> None:
    """Note from now on, inside each transaction of this connection, which rows it changes."""
    connection.execute("CREATE TEMP TABLE changed_rows (kind text, key text, PRIMARY KEY (kind, key))")
    connection.execute("SET tfllmer.watched = 'on'")
    connection.commit()


# ------------------------------------------------------------------------------------ errors


@contextmanager
def translated(address: ServerAddress, wait_s: float) -> Iterator[None]:
    """Errors of the server that are nobody's programming error, as one line without the password."""
    try:
        yield
    except Exception as error:
        cause = getattr(error, "orig", error)
        if type(cause).__module__.split(".")[0] != "psycopg":
            raise
        ours = driver().errors
        bug = isinstance(cause, ours.IntegrityError | ours.ProgrammingError | ours.DataError)
        wrong_url = "connection option" in str(cause)
        if bug and not wrong_url and not isinstance(cause, ours.InsufficientPrivilege | ours.InvalidCatalogName):
            raise
        words = _meaning(cause, address, wait_s)
        is_away = isinstance(cause, ours.OperationalError) and (cause.sqlstate or "57P")[:3] in _AWAY
        kind = StoreUnreachableError if is_away else StoreError
        raise kind(f"{address}: {words}") from (None if address.password else error)


def _meaning(error: Any, address: ServerAddress, wait_s: float) -> str:
    known = {
        "55P03": f"another program has kept it locked for {wait_s:g} s; end that program and try again",
        "53100": "the server's disk is full; make room and try again",
        "25006": "the server takes no writes (read-only)",
        "42501": "no permission for that; ask who owns the database",
    }
    message = " ".join(str(error).split())
    if address.password:
        message = message.replace(address.password, "***")
    if (code := error.sqlstate or "") in known:
        return known[code]
    if "authentication failed" in message or "no password supplied" in message:
        return (
            f"the server refuses the login; give the password in PGPASSWORD, ~/.pgpass or the URL ({message[:_SHOWN]})"
        )
    if "connection option" in message and not code:
        return f"the URL has a setting that is none of libpq's: {message[:_SHOWN]}"
    if "does not exist" in message and not code:
        return f"there is no such database or user; createdb makes one ({message[:_SHOWN]})"
    if isinstance(error, driver().OperationalError) and not code:
        return f"the server cannot be reached: {message[:_SHOWN]}"
    return f"the server says: {message[:_SHOWN]}"


_AWAY = ("57P", "080", "3D0")
"""Beginnings of what the server says when it goes, or has no such database; who gets no answer has none."""
_SHOWN = 300
"""Characters of what the server says."""
