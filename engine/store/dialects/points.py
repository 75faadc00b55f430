"""Points on their way into their table: one statement for many, the last value given for a step wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from engine.store.dialects.sql import run

if TYPE_CHECKING:
    from sqlalchemy import Connection

Point: TypeAlias = tuple[int, float | str, float, int]
"""Step, value (a word where it is not finite), wall, attempt."""

_NEW = (
    " ON CONFLICT (series_id, step) DO UPDATE SET"
    " value = excluded.value, wall = excluded.wall, attempt = excluded.attempt"
)


def put_points(connection: Connection, series_id: int, points: Sequence[Point]) -> None:
    """Insert or replace them."""
    if connection.dialect.name != "postgresql":
        values = "INSERT INTO point (series_id, step, value, wall, attempt) VALUES (?, ?, ?, ?, ?)"
        run(connection, values + _NEW, [(series_id, *point) for point in points])
        return
    last = {point[0]: point for point in points}.values()  # one statement changes no row twice
    steps, numbers, walls, attempts = (list(column) for column in zip(*last, strict=True))
    rows = (
        "INSERT INTO point (series_id, step, value, wall, attempt) SELECT CAST(? AS bigint), * FROM"
        " unnest(CAST(? AS bigint[]), CAST(? AS float8[]), CAST(? AS float8[]), CAST(? AS bigint[]))"
    )
    run(connection, rows + _NEW, (series_id, steps, [float(number) for number in numbers], walls, attempts))
