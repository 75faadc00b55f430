"""Curves of any length as columns of dots: minimum and maximum per column, so that spikes stay visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Columns:
    """A curve reduced to the columns that hold any of its points, [k] each.

    index: which column; low, high: extremes; first, last: values at its ends;
    joined: whether the curve runs on from the column before (no gap between).
    """

    index: IntArray
    low: FloatArray
    high: FloatArray
    first: FloatArray
    last: FloatArray
    joined: BoolArray


def reduce_columns(x: FloatArray, y: FloatArray, lo: float, hi: float, columns: int) -> Columns:
    """The curve in `columns` columns over [lo, hi], lo < hi; x must ascend. Points outside are dropped;
    y that is not finite separates what is before it from what is behind, unless all that is in one column."""
    a, b = np.searchsorted(x, lo, side="left"), np.searchsorted(x, hi, side="right")
    x, y = x[a:b], y[a:b]
    good = np.isfinite(y)
    part = np.zeros(0, dtype=np.int64)
    if not good.all():
        part = np.cumsum(~good)[good]
        x, y = x[good], y[good]
    if not len(y):
        empty, none = np.zeros(0), np.zeros(0, dtype=np.int64)
        return Columns(none, empty, empty, empty, empty, none.astype(np.bool_))
    bounds = np.searchsorted(x, lo + (hi - lo) * np.arange(1, columns) / columns, side="left")
    bounds = np.concatenate([[0], bounds, [len(y)]])
    index = np.flatnonzero(np.diff(bounds))
    starts, ends = bounds[index], bounds[index + 1] - 1
    return Columns(
        index=index,
        low=np.minimum.reduceat(y, starts),
        high=np.maximum.reduceat(y, starts),
        first=y[starts],
        last=y[ends],
        joined=np.concatenate([[False], part[starts[1:]] == part[ends[:-1]] if len(part) else np.ones(len(index) - 1)])
        > 0,
    )


@dataclass(frozen=True)
class Dots:
    """A curve as dots.

    dots:         [rows, columns]
    alone:        columns that stand alone
    above, below: [columns] whether the curve is there and no part of it in sight, since it is beyond that edge
    """

    dots: BoolArray
    alone: IntArray
    above: BoolArray
    below: BoolArray


_FAR = 1 << 40  # rows beyond any picture, and well within an integer


def rows_of(y: FloatArray, lo: float, hi: float, rows: int) -> FloatArray:
    """Row of dots (0 = top), not rounded; beyond the edges for values outside of [lo, hi]."""
    return np.asarray(np.clip((hi - y) / (hi - lo) * (rows - 1), -_FAR, _FAR))


def dots_of(curve: Columns, lo: float, hi: float, columns: int, rows: int) -> Dots:
    """The curve over values [lo, hi]."""
    k = len(curve.index)
    if not k:
        never = np.zeros(columns, dtype=np.bool_)
        return Dots(np.zeros((rows, columns), dtype=np.bool_), np.zeros(0, dtype=np.int64), never, never)
    first, last = rows_of(curve.first, lo, hi, rows), rows_of(curve.last, lo, hi, rows)
    enter, leave = np.full(columns, np.nan), np.full(columns, np.nan)
    enter[curve.index], leave[curve.index] = first, last
    top, bottom = np.full(columns, np.nan), np.full(columns, np.nan)
    top[curve.index], bottom[curve.index] = rows_of(curve.high, lo, hi, rows), rows_of(curve.low, lo, hi, rows)

    # columns without points, between two that belong together: straight from the last value to the next
    every = np.arange(columns)
    before = np.searchsorted(curve.index, every, side="right") - 1
    after = np.clip(before + 1, 0, k - 1)
    between = (before >= 0) & (before < k - 1) & curve.joined[after] & np.isnan(enter)
    left, right = curve.index[before[between]], curve.index[after[between]]
    t = (every[between] - left) / (right - left)
    line = last[before[between]] * (1 - t) + first[after[between]] * t
    for edge in (enter, leave, top, bottom):
        edge[between] = line

    drawn = ~np.isnan(enter)
    linked = drawn[:-1] & drawn[1:]
    linked[curve.index[~curve.joined & (curve.index > 0)] - 1] = False
    a = np.where(drawn, leave, 0).round().astype(np.int64)[:-1]
    b = np.where(drawn, enter, 0).round().astype(np.int64)[1:]
    upper = np.where(drawn, top, rows).round().astype(np.int64)
    lower = np.where(drawn, bottom, -1).round().astype(np.int64)
    middle = (a + b) // 2
    down, up = linked & (b > a + 1), linked & (b < a - 1)
    lower[:-1][down] = np.maximum(lower[:-1], middle)[down]
    upper[1:][down] = np.minimum(upper[1:], middle + 1)[down]
    upper[:-1][up] = np.minimum(upper[:-1], middle + 1)[up]
    lower[1:][up] = np.maximum(lower[1:], middle)[up]
    row = np.arange(rows)[:, None]
    alone = ~np.concatenate([[False], linked]) & ~np.concatenate([linked, [False]]) & drawn & (upper == lower)
    return Dots((row >= upper) & (row <= lower), np.flatnonzero(alone), drawn & (lower < 0), drawn & (upper >= rows))
