"""A whole store from one database into another, whichever kinds they are: rows as they stand, and the runs' folders.

Rows travel in one form, as SQLite has them, and are counted and digested on both sides before anything is committed.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

from sqlalchemy import JSON, Boolean, Column, Connection, Integer, Table

from engine.errors import UserError
from engine.files import StoreAddress, store_address
from engine.spool import encode_number
from engine.store.core.database import Store, open_store
from engine.store.core.documents import fit_for_postgres
from engine.store.core.places import MARKER
from engine.store.core.sqlite_file import SqliteFile
from engine.store.core.tables import Run, UTCDateTime, point
from engine.store.dialects.sql import RowReader, run

_AT_ONCE = 20_000
_LEFT = (MARKER, "*.lock", "worker*.log", ".*")
"""Of a folder of runs what belongs to the place, not to the store."""


@dataclass(frozen=True)
class CopiedTable:
    """Rows of a table, and a digest of them in the order of their keys."""

    rows: int
    sha256: str


@dataclass(frozen=True)
class CopiedStore:
    """What both stores have now."""

    source: str
    target: str
    files: Path
    tables: dict[str, CopiedTable]


Row: TypeAlias = tuple[Any, ...]
Progress: TypeAlias = Callable[[int, int], None]
"""Told how many rows of how many have been done; each is done twice, as it is read again from where it came to."""


def copy_store(source: str | StoreAddress, target: str | StoreAddress, progress: Progress | None = None) -> CopiedStore:
    """Copy everything into a store that is empty or is made by this; the source may be in use, and stays. All or
    nothing. Raises UserError where the target holds something, or has not become the same."""
    if store_address(source) == store_address(target):
        raise UserError(f"{store_address(source)}: cannot be copied to itself")
    from_, to = open_store(source, read_only=True), replace(open_store(target), keeps=False)
    if from_.files == to.files:
        raise UserError(f"{to.files}: both stores would have the folders of their runs here; set $TFLLMER_FILES")
    _require_empty(to)
    copies: list[Path] = []
    try:
        with from_.rows() as rows, to.write() as session:
            rows.execute(f"SELECT 1 FROM {Run.__tablename__} LIMIT 1").fetchone()  # what is read is of this moment
            copies = _copy_files(from_.files, to.make_files())  # later than the rows: spools only grow
            connection = session.connection()
            tables = {}
            tell = _counted(rows, progress)
            for table in Run.metadata.sorted_tables:
                with _into(table, connection, to) as put:
                    source_digest = _digest(_stored(table, rows, from_), tell, put)
                target_digest = _digest(_stored(table, _reader(connection, to), to), tell)
                if source_digest != target_digest:
                    raise UserError(
                        f"{to.name}: {table.name} has not become the same ({source_digest.rows} rows, then "
                        f"{target_digest.rows}); nothing was copied; see `tfllmer db check --db {from_.name}`"
                    )
                tables[table.name] = target_digest
            _settle_numbers(connection, to)
    except BaseException:
        _remove(copies)
        raise
    finally:
        to.engine.dispose()
    return CopiedStore(from_.name, to.name, to.files, tables)


def _require_empty(store: Store) -> None:
    with store.rows() as rows:
        for table in Run.metadata.sorted_tables:
            if rows.execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchone() is not None:
                raise UserError(f"{store.name}: holds something already ({table.name}); copy into an empty store")
    if store.files.is_dir() and any(path.name != MARKER for path in store.files.iterdir()):
        raise UserError(f"{store.files}: holds something already; name an empty folder")


def _copy_files(source: Path, target: Path) -> list[Path]:
    """What was made."""
    copies: list[Path] = []
    folders = sorted(source.iterdir()) if source.is_dir() else []
    left = shutil.ignore_patterns(*_LEFT)(str(source), [path.name for path in folders])
    try:
        for path in folders:
            if path.name not in left:
                copies.append(target / path.name)
                (shutil.copytree if path.is_dir() else shutil.copy2)(path, copies[-1])
    except OSError as error:
        _remove(copies)
        raise UserError(f"{target}: the folders of the runs cannot be copied: {error}") from error
    return copies


def _remove(made: Sequence[Path]) -> None:
    for path in made:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


# ------------------------------------------------------------------------------------ rows


def _counted(rows: RowReader, progress: Progress | None) -> Callable[[int], None]:
    """What is told of rows that were done."""
    if progress is None:
        return lambda count: None
    counts = (rows.execute(f'SELECT count(*) FROM "{table.name}"').fetchone() for table in Run.metadata.sorted_tables)
    done, of = 0, 2 * sum(int(count) for (count,) in counts)

    def tell(count: int) -> None:
        nonlocal done
        done += count
        progress(done, of)

    return tell


def _digest(
    pieces: Iterator[list[Row]], tell: Callable[[int], None], put: Callable[[list[Row]], None] | None = None
) -> CopiedTable:
    """Of the rows, on the way of which they are put somewhere."""
    digest, count = hashlib.sha256(), 0
    for piece in pieces:
        if put is not None:
            put(piece)
        digest.update(repr(piece).encode())
        count += len(piece)
        tell(len(piece))
    return CopiedTable(count, digest.hexdigest())


def _reader(connection: Connection, store: Store) -> RowReader:
    """The rows that a transaction has written so far."""
    if isinstance(store.backend, SqliteFile):
        return cast(RowReader, connection.connection.driver_connection)
    from engine.store.core.postgres import PostgresRows, driven

    return PostgresRows(driven(connection), store.files)


def _stored(table: Table, rows: RowReader, store: Store) -> Iterator[list[Row]]:
    """The rows in the order of their keys, in their common form, a piece at a time."""
    is_file = isinstance(store.backend, SqliteFile)
    names = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key.columns]
    listed = ", ".join(f'"{name}"' if is_file else _common_form(table.columns[name]) for name in names)
    order, marks = ", ".join(f'"{key}"' for key in keys), ", ".join("?" for _ in keys)
    places = [names.index(key) for key in keys]
    documents = [place for place, column in enumerate(table.columns) if isinstance(column.type, JSON)]
    last: Row = ()
    while True:
        after = f"WHERE ({order}) > ({marks})" if last else ""
        query = f'SELECT {listed} FROM "{table.name}" {after} ORDER BY {order} LIMIT {_AT_ONCE}'
        stored = rows.execute(query, last).fetchall()
        piece = list(map(_plain_point if table is point else _plain, stored))
        if documents:
            piece = [_fit(row, documents) for row in piece]
        if piece:
            yield piece
            last = tuple(piece[-1][place] for place in places)
        if len(piece) < _AT_ONCE:
            return


def _common_form(column: Column[Any]) -> str:
    """Of a column in PostgreSQL: as SQLite has it."""
    name, kind = f'"{column.name}"', column.type
    if isinstance(kind, JSON):
        return f"CAST({name} AS text)"
    if isinstance(kind, UTCDateTime):
        return f"to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US')"
    return f"CAST({name} AS integer)" if isinstance(kind, Boolean) else name


def _plain(row: Row) -> Row:
    return tuple(map(_value, row))


def _fit(row: Row, documents: list[int]) -> Row:
    fit = {place: fit_for_postgres(row[place]) for place in documents if isinstance(row[place], str)}
    return tuple(fit.get(place, value) for place, value in enumerate(row))


def _plain_point(row: Row) -> Row:
    """Most are plain already, and there are millions of them."""
    value, wall = row[2], row[3]
    return row if type(value) is type(wall) is float and value and value - value == wall - wall == 0.0 else _plain(row)


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return (value or 0.0) if math.isfinite(value) else encode_number(value)  # SQLite knows no -0.0
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


# ------------------------------------------------------------------------------------ put


@contextmanager
def _into(table: Table, connection: Connection, store: Store) -> Iterator[Callable[[list[Row]], None]]:
    """What puts rows into the table."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    if isinstance(store.backend, SqliteFile):
        insert = f'INSERT INTO "{table.name}" ({names}) VALUES ({", ".join("?" for _ in table.columns)})'
        yield lambda piece: connection.connection.cursor().executemany(insert, piece)
        return
    from engine.store.core.postgres import driven

    flags = [place for place, column in enumerate(table.columns) if isinstance(column.type, Boolean)]
    with (
        _held(table, store),
        _checked_at_once(table, connection),
        driven(connection).cursor() as cursor,
        cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy,
    ):

        def put(piece: list[Row]) -> None:
            if table is point:  # numbers, which need no quoting
                copy.write("".join([f"{i}\t{step}\t{value}\t{wall}\t{at}\n" for i, step, value, wall, at in piece]))
                return
            for row in piece:
                copy.write_row([bool(value) if n in flags else value for n, value in enumerate(row)] if flags else row)

        yield put


@contextmanager
def _checked_at_once(table: Table, connection: Connection) -> Iterator[None]:
    """References of the table are checked in one query when it is full, not one by one."""
    named = f"FROM pg_constraint WHERE contype = 'f' AND conrelid = CAST('\"{table.name}\"' AS regclass)"
    references = run(connection, f"SELECT quote_ident(conname), pg_get_constraintdef(oid) {named}").all()
    for name, _ in references:
        run(connection, f'ALTER TABLE "{table.name}" DROP CONSTRAINT {name}')
    yield
    for name, definition in references:
        run(connection, f'ALTER TABLE "{table.name}" ADD CONSTRAINT {name} {definition}')


@contextmanager
def _held(table: Table, store: Store) -> Iterator[None]:
    """A file may hold anything in any column, a server may not."""
    from engine.store.core.postgres import driver

    try:
        yield
    except driver().DataError as error:
        message = str(error).splitlines()[0]
        raise UserError(
            f"{store.name}: a row of {table.name} cannot be held there ({message}); nothing was copied"
        ) from error


def _settle_numbers(connection: Connection, store: Store) -> None:
    """A server counts on from its own numbers, which rows that came with theirs have not moved."""
    if not isinstance(store.backend, SqliteFile):
        for table in Run.metadata.sorted_tables:
            if isinstance(next(iter(table.primary_key.columns)).type, Integer) and "id" in table.primary_key.columns:
                sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
                run(connection, f'SELECT setval({sequence}, max(id)) FROM "{table.name}" HAVING max(id) IS NOT NULL')
