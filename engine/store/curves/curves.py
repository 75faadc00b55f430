"""The numbers of a run over its steps: whole series, and windows for charts."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan

import numpy as np
import numpy.typing as npt

from engine.store.core.database import Store
from engine.store.core.numbers import stored_number
from engine.store.curves.rollups import SIZES
from engine.store.dialects.sql import RowReader

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Series:
    """All points of one name in the order of steps: three float64 arrays [n]. `wall` is Unix seconds."""

    steps: FloatArray
    values: FloatArray
    wall: FloatArray


@dataclass(frozen=True)
class Window:
    """A series in buckets: bucket i holds the points with edges[i] <= step < edges[i + 1].

    `edges` is int64 [buckets + 1]. `count` (all points) and `nan` (those not finite) are int64
    [buckets]; `min`, `mean` and `max` are float64 [buckets] over the finite points, nan where there are none.
    """

    edges: IntArray
    count: IntArray
    nan: IntArray
    min: FloatArray
    mean: FloatArray
    max: FloatArray


def series_names(store: Store, run_id: str) -> list[str]:
    """The names under which the run has reported numbers so far, sorted."""
    with store.rows() as connection:
        return [
            name for (name,) in connection.execute("SELECT name FROM series WHERE run_id = ? ORDER BY 1", (run_id,))
        ]


def series(store: Store, run_id: str, name: str) -> Series:
    """Every point, exactly as reported (nan and infinities included); empty where there is none yet."""
    with store.rows() as connection:
        return series_in(connection, run_id, name)


def series_in(connection: RowReader, run_id: str, name: str) -> Series:
    """`series` through a connection."""
    rows = connection.execute(
        "SELECT step, value, wall FROM point"
        " WHERE series_id = (SELECT id FROM series WHERE run_id = ? AND name = ?) ORDER BY step",
        (run_id, name),
    )
    table = np.array(
        [(step, stored_number(value), stored_number(wall)) for step, value, wall in rows], dtype=np.float64
    )
    steps, values, wall = table.reshape(-1, 3).T
    return Series(steps.copy(), values.copy(), wall.copy())


def window(  # noqa: PLR0917
    store: Store, run_id: str, name: str, lo: int | None, hi: int | None, buckets: int
) -> Window:
    """The points with lo <= step < hi in `buckets` buckets of about equal width.

    `lo` and `hi` default to the first step and behind the last. Statistics are exact for the edges
    that are returned; inner edges lie where roll-ups end, at most half a bucket from equal spacing,
    and fewer than `buckets` come back where the range has fewer steps. The rows read depend on
    `buckets`, not on the length of the series.
    """
    if buckets < 1:
        raise ValueError(f"a window needs at least one bucket, not {buckets}")
    with store.rows() as connection:
        return window_in(connection, run_id, name, lo, hi, buckets)


def window_in(  # noqa: PLR0917
    connection: RowReader, run_id: str, name: str, lo: int | None, hi: int | None, buckets: int
) -> Window:
    """`window` through a connection."""
    row = connection.execute(
        "SELECT id, (SELECT min(step) FROM point WHERE series_id = series.id),"
        " (SELECT max(step) FROM point WHERE series_id = series.id) FROM series WHERE run_id = ? AND name = ?",
        (run_id, name),
    ).fetchone()
    series_id, first, last = row or (None, None, None)
    lo = lo if lo is not None else first or 0
    hi = max(lo, hi if hi is not None else (last + 1 if last is not None else lo))
    buckets = max(1, min(buckets, hi - lo))
    size = max((s for s in (1, *SIZES) if 2 * s * buckets <= hi - lo), default=1)
    even = lo + (hi - lo) * np.arange(buckets + 1) // buckets
    edges = (even + size // 2) // size * size
    edges[0], edges[-1] = lo, hi
    return _reduce(edges, _cells(connection, series_id, size, lo, hi))


def _cells(connection: RowReader, series_id: int | None, size: int, lo: int, hi: int) -> FloatArray:
    """Rows (first step, count, nan, total, min, max) that make up [lo, hi): cells of `size` steps as
    far as they fit, finer ones and single points before and after; read at once, since a server is asked from afar."""
    queries: list[str] = []
    values: list[int | None] = []
    for piece, start, stop in _pieces(lo, hi, [each for each in reversed(SIZES) if each <= size]):
        queries.append(_POINTS if piece == 1 else _CELLS)
        values += [series_id, start, stop] if piece == 1 else [series_id, piece, start // piece, stop // piece]
    rows: list[tuple[float, ...]] = []
    for first, count, *values_of_cell in connection.execute(" UNION ALL ".join(queries), values) if queries else []:
        if count:
            rows.append((first, count, *map(_cell_number, values_of_cell)))
            continue
        value = stored_number(values_of_cell[1])
        rows.append((first, 1, 0, value, value, value) if isfinite(value) else (first, 1, 1, 0, nan, nan))
    return np.array(rows, dtype=np.float64).reshape(-1, 6)


_CELLS = (
    "SELECT cell * size, count, nan, total, min, max FROM rollup"
    " WHERE series_id = ? AND size = ? AND cell >= ? AND cell < ?"
)
_POINTS = "SELECT step, 0, 0, value, NULL, NULL FROM point WHERE series_id = ? AND step >= ? AND step < ?"
"""With the count of none, as no cell has."""


def _cell_number(stored: object) -> float:
    return nan if stored is None else stored_number(stored)


def _pieces(lo: int, hi: int, sizes: list[int]) -> list[tuple[int, int, int]]:
    """[lo, hi) as (size, start, stop), every start and stop a multiple of its size, coarse where possible."""
    if lo >= hi or not sizes:
        return [(1, lo, hi)] if lo < hi else []
    size, *finer = sizes
    start, stop = -(-lo // size) * size, hi // size * size
    if start >= stop:
        return _pieces(lo, hi, finer)
    return [*_pieces(lo, start, finer), (size, start, stop), *_pieces(stop, hi, finer)]


def _reduce(edges: IntArray, cells: FloatArray) -> Window:
    buckets = len(edges) - 1
    step, count, bad, total, low, high = cells.T
    bucket = np.searchsorted(edges, step, side="right") - 1

    def add(values: FloatArray) -> FloatArray:
        return np.bincount(bucket, weights=values, minlength=buckets).astype(np.float64)

    minimum, maximum = np.full(buckets, np.nan), np.full(buckets, np.nan)
    np.fmin.at(minimum, bucket, low)
    np.fmax.at(maximum, bucket, high)
    counts, nans = add(count).astype(np.int64), add(bad).astype(np.int64)
    finite = counts - nans
    mean = np.divide(add(total), finite, out=np.full(buckets, np.nan), where=finite > 0)
    return Window(edges, counts, nans, minimum, mean, maximum)
