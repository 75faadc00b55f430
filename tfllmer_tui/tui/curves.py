"""From stored series to what a chart draws: axis, smoothing, spread over seeds. Arrays only, no widget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from tfllmer_tui.view.chart import ChartSeries, FloatArray, Mark, ReferenceLine

if TYPE_CHECKING:
    from engine.store.curves.traces import Trace

Axis: TypeAlias = Literal["step", "epoch", "minutes"]
AXES: tuple[Axis, ...] = ("epoch", "step", "minutes")
SMOOTHING = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)


@dataclass(frozen=True)
class Curve:
    """One run's series with the place of its colour. `config` names the configuration that seeds share."""

    run: str
    name: str
    color: int
    trace: Trace
    config: str = ""


@dataclass(frozen=True)
class Look:
    """How curves are looked at; shared by all charts of a screen."""

    axis: Axis = "epoch"
    smoothing: float = 0.0
    log_x: bool = False
    log_y: bool = False
    bands: bool = False
    whole: bool = False
    """The y axis shows every value; else it leaves out what would squeeze the rest."""


@dataclass(frozen=True)
class Plot:
    """A chart's content: what is drawn, which colour each series has, and what a crosshair reads."""

    series: tuple[ChartSeries, ...] = ()
    colors: tuple[int, ...] = ()
    marks: tuple[Mark, ...] = ()
    lines: tuple[ReferenceLine, ...] = ()
    x_name: str = "epoch"
    points: int = 0
    last: tuple[float | None, ...] = ()
    """The last value of each series as it was measured, however it is drawn; of a band's mean, the mean of them."""

    def __post_init__(self) -> None:
        if not self.last:
            object.__setattr__(self, "last", tuple(_last(series.y) for series in self.series))


def plot(curves: Sequence[Curve], look: Look, lines: Sequence[ReferenceLine] = ()) -> Plot:
    """The curves as they are looked at: smoothed ones in front of the ghosts of the raw ones, or one mean per
    configuration with a band of one standard deviation over its seeds."""
    known = not curves or any(np.isfinite(along(curve.trace, look.axis)).any() for curve in curves)
    axis = look.axis if known else "step"
    if look.bands:
        return _banded(curves, replace(look, axis=axis), lines)
    front: list[tuple[ChartSeries, int]] = []
    ghosts: list[tuple[ChartSeries, int]] = []
    marks: list[Mark] = []
    for place, curve in enumerate(curves):
        x, trace = along(curve.trace, axis), curve.trace
        raw_x, raw_y = envelope(x, trace)
        dash = curve.color // 7
        if look.smoothing:
            ghosts.append((ChartSeries(curve.name, raw_x, raw_y, faint=True), curve.color))
            front.append((ChartSeries(curve.name, x, smooth(trace.mean, look.smoothing), dash=dash), curve.color))
        else:
            front.append((ChartSeries(curve.name, raw_x, raw_y, dash=dash), curve.color))
        marks += [Mark(float(x[i]), "×", place) for i in trace.gaps.tolist() if math.isfinite(x[i])]
        marks += [Mark(float(x[i]), "↻", place) for i in trace.restarts.tolist() if math.isfinite(x[i])]
    drawn = [*front, *ghosts]
    return Plot(
        tuple(series for series, _ in drawn),
        tuple(color for _, color in drawn),
        tuple(marks),
        tuple(lines),
        axis,
        sum(curve.trace.points for curve in curves),
        (*(curve.trace.last for curve in curves), *(None for _ in ghosts)),
    )


def _banded(curves: Sequence[Curve], look: Look, lines: Sequence[ReferenceLine]) -> Plot:
    """Means in front, bands behind; a configuration with one run is that run."""
    by_config: dict[str, list[Curve]] = {}
    for curve in curves:
        by_config.setdefault(curve.config or curve.run, []).append(curve)
    front: list[tuple[ChartSeries, int]] = []
    bands: list[tuple[ChartSeries, int]] = []
    last: list[float | None] = []
    for members in by_config.values():
        first = members[0]
        xs = [along(member.trace, look.axis) for member in members]
        ys = [smooth(member.trace.mean, look.smoothing) for member in members]
        grid = np.unique(np.concatenate([x[np.isfinite(x)] for x in xs]))
        stacked = np.array([_on(grid, x, y) for x, y in zip(xs, ys, strict=True)]).reshape(len(members), -1)
        count = np.isfinite(stacked).sum(axis=0)
        complete = count == count.max(initial=0)  # where all seeds are: a run that is behind must not bend the mean
        grid, stacked = grid[complete], stacked[:, complete]
        mean = stacked.mean(axis=0) if len(grid) else grid
        ends = [_on(grid[-1:], x, member.trace.mean) for x, member in zip(xs, members, strict=True)]
        last.append(_last(np.mean(ends, axis=0)) if len(members) > 1 else first.trace.last)
        name = first.name if len(members) == 1 else f"{first.name} ({len(members)} seeds)"
        front.append((ChartSeries(name, grid, mean, dash=first.color // 7), first.color))
        if len(members) > 1:
            sd = stacked.std(axis=0, ddof=1) if len(grid) else grid
            bands.append((ChartSeries(name, grid, mean - sd, high=mean + sd), first.color))
    drawn = [*front, *bands]
    points = sum(curve.trace.points for curve in curves)
    return Plot(
        tuple(series for series, _ in drawn),
        tuple(curve for _, curve in drawn),
        (),
        tuple(lines),
        look.axis,
        points,
        (*last, *(None for _ in bands)),
    )


def _last(values: FloatArray) -> float | None:
    """The last finite one."""
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else None


def _on(grid: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        return np.full(len(grid), np.nan)
    return np.asarray(np.interp(grid, x[good], y[good], left=np.nan, right=np.nan))


def along(trace: Trace, axis: Axis) -> FloatArray:
    """The places of a trace on an axis."""
    return {"step": trace.steps, "epoch": trace.epochs, "minutes": trace.minutes}[axis]


def envelope(x: FloatArray, trace: Trace) -> tuple[FloatArray, FloatArray]:
    """x and y with the minimum and the maximum of each place behind one another, and NaN at gaps."""
    if trace.low is trace.high:
        return x, trace.mean
    y = np.stack([trace.low, trace.high], axis=1)
    y[trace.gaps, 1] = np.nan
    return np.repeat(x, 2), y.ravel()


def smooth(values: FloatArray, weight: float) -> FloatArray:
    """Exponential moving average s_i = (w s_{i-1} + y_i) with the bias of its start divided out:
    s_i / sum_j w^j. Values that are not finite stay as they are and are passed over."""
    good = np.isfinite(values)
    if not weight or not good.any():
        return values
    total, weights, averages = 0.0, 0.0, []
    for value in values[good].tolist():
        total, weights = weight * total + value, weight * weights + 1
        averages.append(total / weights)
    smoothed = np.full(len(values), np.nan)
    smoothed[good] = averages
    return smoothed


def value_at(series: ChartSeries, x: float) -> float | None:
    """The value of the place nearest to x; None outside the curve or where it has none."""
    if not len(series.x) or not series.x[0] <= x <= series.x[-1]:
        near = len(series.x) and min(abs(x - series.x[0]), abs(x - series.x[-1])) < 1e-9
        if not near:
            return None
    at = int(np.clip(np.searchsorted(series.x, x), 0, len(series.x) - 1))
    if at and abs(series.x[at - 1] - x) <= abs(series.x[at] - x):
        at -= 1
    value = float(series.y[at])
    return value if math.isfinite(value) else None
