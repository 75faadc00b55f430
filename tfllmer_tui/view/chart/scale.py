"""Curves as both axes scale them, and the part of the values that an axis shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfllmer_tui.view.chart.picture import ChartSeries
from tfllmer_tui.view.chart.reduce import FloatArray

LIMIT = 1e300
"""Beyond it, differences overflow."""
GAIN = 1.8
"""A focus leaves values out of sight only where the rest then has so many times its room."""
_SAMPLES = 64


@dataclass(frozen=True)
class ScaledCurve:
    """A curve with ascending x, both axes as they are scaled, and NaN for what cannot be drawn."""

    x: FloatArray
    y: FloatArray
    high: FloatArray | None


def scaled_curve(series: ChartSeries, log_x: bool, log_y: bool) -> ScaledCurve:
    """A series in the order of x and in the axes' units."""
    x = np.asarray(series.x, dtype=np.float64)
    ys = [np.asarray(y, dtype=np.float64) for y in (series.y, series.high) if y is not None]
    if log_x:
        x = np.log10(x, out=np.full(len(x), np.nan), where=(x > 0) & (x <= LIMIT))
    if len(x) and not (np.all(x[1:] >= x[:-1]) and x[0] >= -LIMIT and x[-1] <= LIMIT):
        known = np.abs(x) <= LIMIT
        order = np.flatnonzero(known)[np.argsort(x[known], kind="stable")]
        x, ys = x[order], [y[order] for y in ys]
    ys = [_drawable(y, log_y) for y in ys]
    return ScaledCurve(x, ys[0], ys[1] if len(ys) > 1 else None)


def _drawable(y: FloatArray, log_y: bool) -> FloatArray:
    if log_y:
        return np.asarray(np.log10(y, out=np.full(len(y), np.nan), where=(y > 0) & (y <= LIMIT)))
    if len(y) and not (y.min() >= -LIMIT and y.max() <= LIMIT):  # also where either is NaN
        return np.where(np.abs(y) <= LIMIT, y, np.nan)
    return y


def scaled(value: float, log: bool) -> float:
    """A value in an axis's units; NaN where the axis has no place for it."""
    if not abs(value) <= LIMIT or (log and value <= 0):
        return math.nan
    return math.log10(value) if log else float(value)


def scaled_range(ends: tuple[float, float] | None, log: bool) -> tuple[float, float] | None:
    """Both ends in an axis's units, in order; None where either has no place on it."""
    if ends is None:
        return None
    lo, hi = scaled(min(ends), log), scaled(max(ends), log)
    return widened(lo, hi) if math.isfinite(lo) and math.isfinite(hi) else None


def x_extent(xs: Sequence[FloatArray], x_range: tuple[float, float] | None) -> tuple[float, float]:
    """The ends of the x axis: those asked for, else the data's."""
    if x_range is not None:
        return x_range
    filled = [x for x in xs if len(x)]
    lo = min((float(x.min()) for x in filled), default=0.0)
    hi = max((float(x.max()) for x in filled), default=1.0)
    return widened(lo, lo + 1.0 if lo == hi else hi)  # a curve that begins: the rest of it comes to the right


def y_extent(
    curves: Sequence[ScaledCurve],
    x_lo: float,
    x_hi: float,
    levels: Sequence[float],
    focus: Sequence[ScaledCurve] | None,
) -> tuple[float, float]:
    """The values to show: all of the curves within the x axis, or what `focused` leaves of them, and the reference
    lines that at most double that."""
    lows, highs = [], []
    for curve in curves:
        window = slice(np.searchsorted(curve.x, x_lo, side="left"), np.searchsorted(curve.x, x_hi, side="right"))
        for y in (curve.y, curve.high):
            visible = y[window] if y is not None else np.zeros(0)
            if len(visible) and math.isnan(visible.min()):
                visible = visible[np.isfinite(visible)]
            if len(visible):
                lows.append(float(visible.min()))
                highs.append(float(visible.max()))
    known = [level for level in levels if math.isfinite(level)]
    if not lows:
        return widened(min(known, default=0.0), max(known, default=1.0))
    lo, hi = min(lows), max(highs)
    if focus is not None:
        lo, hi = focused(focus, x_lo, x_hi, lo, hi)
    reach = hi - lo
    for level in known:
        if lo == hi or lo - reach <= level <= hi + reach:
            lo, hi = min(lo, level), max(hi, level)
    return widened(lo, hi)


def focused(curves: Sequence[ScaledCurve], x_lo: float, x_hi: float, lo: float, hi: float) -> tuple[float, float]:
    """The part of [lo, hi] in which the curves are most of the time, each counting alike: from the 10 % to the 90 %
    quantile of the values at evenly spaced places and one and a half times that beyond, and where every curve is in
    its later half. All of [lo, hi] where little is gained. Curves that fall or rise steadily are shown whole; the first
    epochs of one that starts far away are not."""
    pooled, later = [], []
    for curve in curves:
        y = curve.y if curve.high is None else (curve.y + curve.high) / 2
        first, last = max(curve.x[0], x_lo) if len(curve.x) else 0.0, min(curve.x[-1], x_hi) if len(curve.x) else -1.0
        if first > last:
            continue
        at = np.searchsorted(curve.x, np.linspace(first, last, _SAMPLES))
        values = y[np.minimum(at, len(y) - 1)]
        half = values[_SAMPLES // 2 :]
        if np.isfinite(half).any():
            later.append(float(np.median(half[np.isfinite(half)])))
        pooled.append(values[np.isfinite(values)])
    values = np.concatenate(pooled) if pooled else np.zeros(0)
    if not later:
        return lo, hi
    low, high = np.quantile(values, (0.1, 0.9)).tolist()
    reach = 1.5 * (high - low)
    low, high = max(lo, min(low - reach, *later)), min(hi, max(high + reach, *later))
    return (low, high) if high > low and hi - lo >= GAIN * (high - low) else (lo, hi)


def widened(lo: float, hi: float) -> tuple[float, float]:
    """The range, widened where it is (nearly) a point."""
    size = max(abs(lo), abs(hi))
    if hi - lo > max(1e-9 * size, 1e-290):
        return lo, hi
    pad = 0.05 * size if size > 1e-280 else 0.5
    return lo - pad, hi + pad
