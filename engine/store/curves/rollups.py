"""Roll-ups: count, sum, extremes of the points in cells of 64, 4096 and 262144 steps.

They are kept as points come in, so that a window of a long series is computed from few rows. A cell
is always computed anew from what lies under it, never added to: a point that is written again or
taken back leaves no trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.store.dialects.pieces import IS_FINITE, total
from engine.store.dialects.sql import run, sql

if TYPE_CHECKING:
    from sqlalchemy import Connection

SIZES = (64, 4096, 262144)
"""Steps per cell, level by level."""

SUMMARY = sql(
    "count(*), sum(CASE WHEN {} THEN 0 ELSE 1 END), {}, min(CASE WHEN {} THEN value END),"
    " max(CASE WHEN {} THEN value END)",
    IS_FINITE,
    total("value", "step", IS_FINITE),
    IS_FINITE,
    IS_FINITE,
)
"""Points into (count, nan, total, min, max)."""

WIDER = sql("sum(count), sum(nan), {}, min(min), max(max)", total("total", "cell"))
"""The same of cells."""

_POINTS = sql(
    "SELECT series_id, CAST(? AS integer), step / CAST(? AS integer), {} FROM point"
    " WHERE series_id = ? AND step BETWEEN ? AND ?",
    SUMMARY,
)
_CELLS = sql(
    "SELECT series_id, CAST(? AS integer), cell / CAST(? AS integer), {} FROM rollup"
    " WHERE series_id = ? AND size = ? AND cell BETWEEN ? AND ?",
    WIDER,
)
_KEPT = (
    "INSERT INTO rollup (series_id, size, cell, count, nan, total, min, max) {} GROUP BY 1, 2, 3"
    " ON CONFLICT (series_id, size, cell) DO UPDATE SET count = excluded.count, nan = excluded.nan,"
    " total = excluded.total, min = excluded.min, max = excluded.max"
)
_FROM_POINTS, _FROM_CELLS = sql(_KEPT, _POINTS), sql(_KEPT, _CELLS)


def refresh(connection: Connection, series_id: int, first: int, last: int | None) -> None:
    """Recompute every cell of the series that holds a step from `first` to `last`, or to the end."""
    below = 1
    for size in SIZES:
        low = first // size
        high = last // size if last is not None else (1 << 62) // size
        if last is None:  # points were taken back: cells may have lost all of theirs
            deletion = "DELETE FROM rollup WHERE series_id = ? AND size = ? AND cell >= ?"
            run(connection, deletion, (series_id, size, low))
        if below == 1:
            run(connection, _FROM_POINTS, (size, size, series_id, low * size, (high + 1) * size - 1))
        else:
            factor = size // below
            steps = (low * factor, (high + 1) * factor - 1)
            run(connection, _FROM_CELLS, (size, factor, series_id, below, *steps))
        below = size
