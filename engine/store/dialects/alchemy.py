"""The same expressions, and the few statements that differ, for queries of SQLAlchemy."""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import NullType, String, TypeEngine

from engine.store.dialects.sql import Sql

Upsert: TypeAlias = sqlite.Insert | postgresql.Insert


class Piece(ColumnElement[Any]):
    """A piece of SQL in the words of the database that it is compiled for."""

    inherit_cache = False

    def __init__(self, words: Sql, type_: TypeEngine[Any]) -> None:
        self.words, self.type = words, type_


def piece(words: Sql, type_: TypeEngine[Any] | None = None) -> ColumnElement[Any]:
    """Of a type, text when left out."""
    return Piece(words, String() if type_ is None else type_)


def untyped(words: Sql) -> ColumnElement[Any]:
    """Of whatever type the database gives it."""
    return Piece(words, NullType())


@compiles(Piece)
def _compiled(element: Piece, compiler: SQLCompiler, **options: Any) -> str:
    postgres = compiler.dialect.name == "postgresql"
    text, values = element.words.for_postgres if postgres else (element.words.text, element.words.values)
    first, *others = text.replace("%", "%%").split("?") if postgres else text.split("?")
    parts = [first]
    for value, after in zip(values, others, strict=True):
        parts += [compiler.process(bindparam(None, value, unique=True), **options), after]
    return "(" + "".join(parts) + ")"


def upsert(connection: Connection, table: Table | type[Any]) -> Upsert:
    """An INSERT that may say what happens where the row is there already."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
