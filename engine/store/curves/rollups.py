"""Roll-ups: count, sum, extremes of the points in cells of 64, 4096 and 262144 steps.

They are kept as points come in, so that a window of a long series is computed from few rows. A cell
is always computed anew from what lies under it, never added to: a point that is written again or
taken back leaves no trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

SIZES = (64, 4096, 262144)
"""Steps per cell, level by level."""

SUMMARY = (
    "count(*), sum(typeof(value) = 'text'), total(CASE typeof(value) WHEN 'real' THEN value END),"
    " min(CASE typeof(value) WHEN 'real' THEN value END), max(CASE typeof(value) WHEN 'real' THEN value END)"
)
"""Points into (count, nan, total, min, max); numbers that are not finite are text (see `tables.point`)."""


def refresh(connection: Connection, series_id: int, first: int, last: int | None) -> None:
    """Recompute every cell of the series that holds a step from `first` to `last`, or to the end."""
    below = 1
    for size in SIZES:
        low = first // size
        high = last // size if last is not None else (1 << 62) // size
        if last is None:  # points were taken back: cells may have lost all of theirs
            connection.exec_driver_sql(
                "DELETE FROM rollup WHERE series_id = ? AND size = ? AND cell >= ?", (series_id, size, low)
            )
        if below == 1:
            select = f"SELECT series_id, ?, step / ?, {SUMMARY} FROM point WHERE series_id = ? AND step BETWEEN ? AND ?"
            parameters: tuple[int, ...] = (size, size, series_id, low * size, (high + 1) * size - 1)
        else:
            factor = size // below
            select = (
                "SELECT series_id, ?, cell / ?, sum(count), sum(nan), total(total), min(min), max(max) FROM rollup"
                " WHERE series_id = ? AND size = ? AND cell BETWEEN ? AND ?"
            )
            parameters = (size, factor, series_id, below, low * factor, (high + 1) * factor - 1)
        connection.exec_driver_sql(f"INSERT OR REPLACE INTO rollup {select} GROUP BY 1, 2, 3", parameters)
        below = size
