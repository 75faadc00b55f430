"""A series as a chart shows it: few enough places, with spread, gaps, restarts and its place on every x axis."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.store.core.database import Store
from engine.store.curves.curves import FloatArray, Window, series_in, window_in
from engine.store.dialects.pieces import IS_FINITE, listed
from engine.store.dialects.sql import RowReader, sql

EXACT = 4096
"""A series of at most so many points is read whole; a longer one in about so many buckets, minimum to maximum."""


@dataclass(frozen=True)
class Trace:
    """A series of one run, ascending in steps: float64 arrays [n] unless said otherwise.

    steps:            optimiser steps; the middle of a bucket where points are gathered
    low, mean, high:  of the finite values there; nan where there is none
    epochs, minutes:  the same places counted in epochs, and in minutes since the run's first point;
                      nan where that is not known
    gaps:             [g] places in `steps` at which a value was not finite
    restarts:         [r] first places of later attempts
    points:           how many points this stands for
    last:             the last finite value of the whole series; None where there is none
    """

    steps: FloatArray
    low: FloatArray
    mean: FloatArray
    high: FloatArray
    epochs: FloatArray
    minutes: FloatArray
    gaps: npt.NDArray[np.int64]
    restarts: npt.NDArray[np.int64]
    points: int
    last: float | None


def trace(  # noqa: PLR0917
    store: Store, run_id: str, name: str, lo: int | None = None, hi: int | None = None, buckets: int = EXACT // 4
) -> Trace:
    """The points with lo <= step < hi of a series of a run; empty where it has reported none yet."""
    with store.rows() as connection:
        return _trace(connection, run_id, name, lo, hi, buckets)


def _trace(  # noqa: PLR0917
    connection: RowReader, run_id: str, name: str, lo: int | None, hi: int | None, buckets: int
) -> Trace:
    row = connection.execute(
        "SELECT id, (SELECT coalesce(sum(count), 0) FROM rollup WHERE series_id = series.id AND size = 262144)"
        " FROM series WHERE run_id = ? AND name = ?",
        (run_id, name),
    ).fetchone()
    series_id, points = (int(row[0]), int(row[1])) if row else (-1, 0)
    bounds = _attempts(connection, series_id)
    if points <= EXACT and lo is None and hi is None:
        raw = series_in(connection, run_id, name)
        steps, wall, bad = raw.steps, raw.wall, ~np.isfinite(raw.values)
        low = mean = high = np.where(bad, np.nan, raw.values)
    else:
        window = window_in(connection, run_id, name, lo, hi, buckets)
        filled = window.count > 0
        steps = _middles(window)[filled]
        low, mean, high, bad = (
            window.min[filled],
            window.mean[filled],
            window.max[filled],
            window.nan[filled] > 0,
        )
        wall = _walls(connection, series_id, window.edges[:-1][filled])
    return Trace(
        steps=steps,
        low=low,
        mean=mean,
        high=high,
        epochs=_epochs(connection, run_id, steps),
        minutes=(wall - _begin(connection, run_id)) / 60,
        gaps=np.flatnonzero(bad),
        restarts=np.unique(np.searchsorted(steps, bounds)[np.searchsorted(steps, bounds) < len(steps)]),
        points=points,
        last=_last(connection, series_id),
    )


def _last(connection: RowReader, series_id: int) -> float | None:
    newest = sql("SELECT value FROM point WHERE series_id = {} AND {} ORDER BY step DESC LIMIT 1", series_id, IS_FINITE)
    row = connection.execute(newest).fetchone()
    return None if row is None else float(row[0])


def _middles(window: Window) -> FloatArray:
    return np.asarray((window.edges[:-1] + window.edges[1:] - 1) / 2, dtype=np.float64)


def _attempts(connection: RowReader, series_id: int) -> list[int]:
    """First steps of the attempts after the first. Attempts ascend with steps, so they are searched for by halving."""

    def at(step: int) -> tuple[int, int] | None:
        query = "SELECT step, attempt FROM point WHERE series_id = ? AND step >= ? ORDER BY step LIMIT 1"
        row = connection.execute(query, (series_id, step)).fetchone()
        return (int(row[0]), int(row[1])) if row else None

    query = "SELECT step, attempt FROM point WHERE series_id = ? ORDER BY step DESC LIMIT 1"
    first, last = at(0), connection.execute(query, (series_id,)).fetchone()
    starts: list[int] = []
    while first is not None and last is not None and first[1] < last[1]:
        attempt = first[1]
        step = bisect_right(range(int(last[0]) + 1), attempt, lo=first[0], key=lambda step: (at(step) or last)[1])
        first = at(step)
        starts.append(step if first is None else first[0])
    return starts


def _walls(connection: RowReader, series_id: int, steps: npt.NDArray[np.int64]) -> FloatArray:
    """When the first point at or behind each step was reported."""
    first = "SELECT wall FROM point WHERE series_id = {} AND step >= asked.value ORDER BY step LIMIT 1"
    query = sql(f"SELECT ({first}) FROM {{}} ORDER BY asked.key", series_id, listed(steps.tolist()))
    return np.array([np.nan if wall is None else wall for (wall,) in connection.execute(query)], dtype=np.float64)


def _begin(connection: RowReader, run_id: str) -> float:
    """The wall time of the run's first point."""
    (first,) = connection.execute(
        "SELECT min(wall) FROM (SELECT (SELECT wall FROM point WHERE series_id = series.id ORDER BY step LIMIT 1)"
        " AS wall FROM series WHERE run_id = ?) AS firsts",
        (run_id,),
    ).fetchone()
    return float(first or np.nan)


def _epochs(connection: RowReader, run_id: str, steps: FloatArray) -> FloatArray:
    """Steps as epochs, straight between the places where the run has said its epoch, and on behind the last."""
    window = window_in(connection, run_id, "epoch", None, None, EXACT)
    filled = np.isfinite(window.mean)
    at, epochs = _middles(window)[filled], window.mean[filled]
    if not len(at):
        return np.full(len(steps), np.nan)
    result = np.interp(steps, at, epochs)
    if len(at) > 1:
        pace = (epochs[-1] - epochs[-2]) / (at[-1] - at[-2])
        behind = steps > at[-1]
        result[behind] = epochs[-1] + pace * (steps[behind] - at[-1])
    return np.asarray(result)
