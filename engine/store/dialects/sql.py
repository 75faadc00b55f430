"""Pieces of SQL with the values that are bound to them: what lists, filters and sort keys are put together from.

A piece that the two databases spell differently holds both spellings; what is put together of such pieces does too.
Whoever reads rows this way needs no SQLAlchemy, whose import takes longer than any list does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult

Spelling: TypeAlias = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Sql:
    """An expression, a condition or a query, as SQLite has it; `values` go with its question marks, in their order.
    `postgres` is the same for PostgreSQL, where that differs."""

    text: str
    values: tuple[Any, ...] = ()
    postgres: Spelling | None = None

    @property
    def for_postgres(self) -> Spelling:
        return self.postgres if self.postgres is not None else (self.text, self.values)

    def __str__(self) -> str:
        raise TypeError("a piece of SQL goes into a template of `sql`, never into a string")


def both(sqlite: Sql, postgres: Sql) -> Sql:
    """One piece of two spellings."""
    return Sql(sqlite.text, sqlite.values, postgres.for_postgres)


def sql(template: str, *parts: Any) -> Sql:
    """The template with each `{}` replaced by a piece of SQL, or by a question mark for a value that is bound."""
    text, values = _filled(template, parts, postgres=False)
    if any(isinstance(part, Sql) and part.postgres is not None for part in parts):
        return Sql(text, values, _filled(template, parts, postgres=True))
    return Sql(text, values)


def _filled(template: str, parts: Sequence[Any], *, postgres: bool) -> Spelling:
    first, *others = template.split("{}")
    text, values = [first], list[Any]()
    for part, after in zip(parts, others, strict=True):
        if isinstance(part, Sql):
            words, bound = part.for_postgres if postgres else (part.text, part.values)
            text.append(words)
            values += bound
        else:
            text.append("?")
            values.append(part)
        text.append(after)
    return "".join(text), tuple(values)


def joined(separator: str, pieces: Iterable[Sql]) -> Sql:
    """The pieces with the separator between them, as ` AND ` or `, `."""
    parts = list(pieces)
    return sql(separator.join("{}" for _ in parts), *parts)


def column(name: str) -> Sql:
    """A column of `run`."""
    return Sql(f"run.{name}")


# ------------------------------------------------------------------------------------ said to a database


class Cursor(Protocol):
    """The rows of an answer."""

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class RowReader(Protocol):
    """A plain connection that reads: question marks stand for values, whichever database answers."""

    def execute(self, query: str | Sql, values: Sequence[Any] = (), /) -> Cursor: ...


def run(connection: Connection, query: str | Sql, values: Sequence[Any] = ()) -> CursorResult[*tuple[Any, ...]]:
    """Through a connection of SQLAlchemy, in the words of its database; `values` may be a list of rows of them."""
    if connection.dialect.name == "postgresql":
        text, own = query.for_postgres if isinstance(query, Sql) else (query, ())
        text = postgres_marks(text)
    else:
        text, own = (query.text, query.values) if isinstance(query, Sql) else (query, ())
    given = values or own
    return connection.exec_driver_sql(text, given if isinstance(given, list) else tuple(given))


@lru_cache(maxsize=1024)
def postgres_marks(text: str) -> str:
    """Question marks as psycopg writes them."""
    return text.replace("%", "%%").replace("?", "%s")
