"""Line charts in a terminal: braille dots, or plain characters where there are none.

`draw` is a plain function from arrays to a grid of characters; `Chart` shows that grid through Rich,
and a widget can take it row by row (`Picture.runs`). A series of any length is first reduced to its
minimum and maximum per column of dots, so spikes stay visible and a million points take milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

COLORS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#f0e442", "#0072b2")
"""Okabe and Ito's colours, which colour-blind people can tell apart; series take them in this order."""

BLANK, AXIS, LABEL, REFERENCE, SERIES = 0, 1, 2, 3, 4
"""Inks: what a character belongs to. SERIES + i is series i."""

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BRAILLE = np.array([" ", *(chr(0x2800 + code) for code in range(1, 256))])
_LETTERS = "*+xo#@%"
_DASHES = ((1,), (1, 1, 1, 1, 0, 0), (1, 0), (1, 1, 1, 1, 0, 1, 0))  # besides colour: solid, dashed, dotted, dash-dot
_LIMIT = 1e300  # beyond it, differences overflow


@dataclass(frozen=True)
class Series:
    """A named curve: x and y [n] of equal length; y that is not finite leaves a gap."""

    name: str
    x: FloatArray
    y: FloatArray


@dataclass(frozen=True)
class Line:
    """A horizontal line to compare with. Where it is too far away to show beside the curves, an arrow
    at the edge says where it is."""

    name: str
    y: float


@dataclass(frozen=True)
class Picture:
    """A grid of characters.

    chars: [height, width] one character each, "" behind a character that is two columns wide
    inks:  [height, width] what each belongs to: BLANK, AXIS, LABEL, REFERENCE or SERIES + i
    """

    chars: npt.NDArray[np.str_]
    inks: npt.NDArray[np.int64]

    def runs(self, row: int) -> list[tuple[str, int]]:
        """One row as pieces of text of one ink each."""
        inks = self.inks[row]
        starts = [0, *(np.flatnonzero(np.diff(inks)) + 1).tolist(), len(inks)]
        return [("".join(self.chars[row, a:b]), int(inks[a])) for a, b in pairwise(starts) if a < b]

    def __str__(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self.chars)


def style_of(ink: int) -> str:
    """The Rich style of an ink."""
    if ink >= SERIES:
        return COLORS[(ink - SERIES) % len(COLORS)]
    return {AXIS: "bright_black", LABEL: "default", REFERENCE: "bright_black"}.get(ink, "")


# ------------------------------------------------------------------------------------ reduction


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


def _rows_of(y: FloatArray, lo: float, hi: float, rows: int) -> FloatArray:
    """Row of dots (0 = top), not rounded."""
    return np.asarray(np.clip((hi - y) / (hi - lo), 0, 1) * (rows - 1))


def _trace(curve: Columns, lo: float, hi: float, columns: int, rows: int) -> tuple[BoolArray, IntArray]:
    """Dots [rows, columns] of the curve over values [lo, hi], and the columns that stand alone."""
    k = len(curve.index)
    if not k:
        return np.zeros((rows, columns), dtype=np.bool_), np.zeros(0, dtype=np.int64)
    first, last = _rows_of(curve.first, lo, hi, rows), _rows_of(curve.last, lo, hi, rows)
    enter, leave = np.full(columns, np.nan), np.full(columns, np.nan)
    enter[curve.index], leave[curve.index] = first, last
    top, bottom = np.full(columns, np.nan), np.full(columns, np.nan)
    top[curve.index], bottom[curve.index] = _rows_of(curve.high, lo, hi, rows), _rows_of(curve.low, lo, hi, rows)

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
    return (row >= upper) & (row <= lower), np.flatnonzero(alone)


# ------------------------------------------------------------------------------------ ticks


def nice_ticks(lo: float, hi: float, most: int) -> tuple[FloatArray, float]:
    """Multiples of 1, 2 or 5 times a power of ten within [lo, hi], at most `most` of them (but try for
    one), and their distance."""
    span = (hi - lo) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(span))
    for factor in (1, 2, 5, 10, 20, 50):
        step = factor * power
        first, last = math.ceil(lo / step - 1e-9), math.floor(hi / step + 1e-9)
        if last - first + 1 <= max(most, 1):
            break
    return np.arange(first, last + 1, dtype=np.float64) * step, step


def tick_labels(ticks: FloatArray, step: float) -> list[str]:
    """Short labels that tell neighbouring ticks apart: 5.4, 20k, 1.5e+09."""
    largest = float(np.max(np.abs(ticks), initial=0))
    if largest >= 1e6 or (0 < largest < 1e-3):
        digits = max(0, math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9))
        return [
            f"{tick:.{min(digits, 9)}e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e") for tick in ticks
        ]
    if largest >= 1e4 and step >= 100:
        decimals = 0 if step >= 1000 else 1
        return [f"{tick / 1000:.{decimals}f}k" if tick else "0" for tick in ticks]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{tick + 0.0:.{decimals}f}" for tick in ticks]


def _log_ticks(lo: float, hi: float, most: int) -> tuple[FloatArray, list[str]]:
    """Positions (log10) and labels: powers of ten, or round numbers where the range holds less than two."""
    powers = np.arange(math.ceil(lo - 1e-9), math.floor(hi + 1e-9) + 1)
    if len(powers) >= 2:
        powers = powers[:: -(-len(powers) // max(most, 1))]
        return powers.astype(np.float64), [f"{10.0**p:g}" if -4 <= p <= 5 else f"1e{p}" for p in powers.tolist()]
    ticks, step = nice_ticks(10**lo, 10**hi, most)
    ticks = ticks[ticks > 0]
    return np.log10(ticks), tick_labels(ticks, step)


# ------------------------------------------------------------------------------------ drawing


@dataclass
class _Canvas:
    chars: npt.NDArray[np.str_]
    inks: npt.NDArray[np.int64]

    def write(self, row: int, column: int, text: str, ink: int) -> int:
        """Write from `column` on, cut at the right edge; returns the column behind it."""
        for char in text:
            wide = cell_len(char)
            if not char.isprintable() or wide == 0:
                char, wide = "?", 1  # noqa: PLW2901
            if column + wide > self.chars.shape[1]:
                break
            self.chars[row, column : column + wide] = [char, ""][:wide]
            self.inks[row, column : column + wide] = ink
            column += wide
        return column


def draw(
    series: Sequence[Series],
    width: int,
    height: int,
    *,
    lines: Sequence[Line] = (),
    x_range: tuple[float, float] | None = None,
    x_name: str = "",
    log_y: bool = False,
    ascii_only: bool = False,
) -> Picture:
    """Draw curves into a grid of `height` x `width` characters.

    x_range fixes the ends of the x axis (the data's otherwise). With log_y, values that are not
    positive leave gaps. From 7 rows on the first row is a legend; axes need 20 x 5, below that there
    are only curves. Never fails on account of sizes or values.
    """
    width, height = max(width, 0), max(height, 0)
    canvas = _Canvas(np.full((height, width), " ", dtype="<U1"), np.zeros((height, width), dtype=np.int64))
    if not width or not height:
        return Picture(canvas.chars, canvas.inks)
    curves = [_usable(s, log_y) for s in series]
    levels = [(line.name, _level(line.y, log_y)) for line in lines]
    x_lo, x_hi = _ends([x for x, _ in curves], x_range)
    y_lo, y_hi = _extent(curves, x_lo, x_hi, [level for _, level in levels])

    framed = width >= 20 and height >= 5
    head, foot = int(framed and height >= 7 and any(s.name for s in series)), 2 if framed else 0
    rows = height - head - foot
    most = max(2, (rows + 1) // 2)
    if log_y:
        ticks, labels = _log_ticks(y_lo, y_hi, most)
    else:
        ticks, step = nice_ticks(y_lo, y_hi, most)
        labels = tick_labels(ticks, step)
    margin = min(max(map(len, labels), default=0), width // 3) + 2 if framed else 0
    area = _Area(head, margin, rows, width - margin, y_lo, y_hi, ascii_only)

    area.references(canvas, levels)
    area.curves(canvas, [reduce_columns(x, y, x_lo, x_hi, area.dots_wide) for x, y in curves])
    area.reference_names(canvas, levels, lines)
    if framed:
        area.y_axis(canvas, ticks, labels)
        area.x_axis(canvas, x_lo, x_hi, x_name)
    if head:
        _legend(canvas, [s.name for s in series], margin, ascii_only)
    return Picture(canvas.chars, canvas.inks)


def _usable(series: Series, log_y: bool) -> tuple[FloatArray, FloatArray]:
    """Ascending x, and y as it is scaled, with what cannot be drawn as NaN."""
    x, y = np.asarray(series.x, dtype=np.float64), np.asarray(series.y, dtype=np.float64)
    if len(x) and not (np.all(x[1:] >= x[:-1]) and x[0] >= -_LIMIT and x[-1] <= _LIMIT):
        known = np.abs(x) <= _LIMIT
        x, y = x[known], y[known]
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    if log_y:
        return x, np.log10(y, out=np.full(len(y), np.nan), where=(y > 0) & (y <= _LIMIT))
    if len(y) and not (y.min() >= -_LIMIT and y.max() <= _LIMIT):  # also where either is NaN
        y = np.where(np.abs(y) <= _LIMIT, y, np.nan)
    return x, y


def _level(y: float, log_y: bool) -> float:
    if not abs(y) <= _LIMIT or (log_y and y <= 0):
        return math.nan
    return math.log10(y) if log_y else float(y)


def _ends(xs: Sequence[FloatArray], x_range: tuple[float, float] | None) -> tuple[float, float]:
    if x_range is not None and max(map(abs, x_range)) <= _LIMIT:
        return _spread(min(x_range), max(x_range))
    filled = [x for x in xs if len(x)]
    return _spread(
        min((float(x.min()) for x in filled), default=0.0), max((float(x.max()) for x in filled), default=1.0)
    )


def _extent(
    curves: Sequence[tuple[FloatArray, FloatArray]], x_lo: float, x_hi: float, levels: Sequence[float]
) -> tuple[float, float]:
    """The values to show: all of the curves within the x axis, and the reference lines that at most
    double that."""
    lows, highs = [], []
    for x, y in curves:
        seen = y[np.searchsorted(x, x_lo, side="left") : np.searchsorted(x, x_hi, side="right")]
        if len(seen) and math.isnan(seen.min()):
            seen = seen[np.isfinite(seen)]
        if len(seen):
            lows.append(float(seen.min()))
            highs.append(float(seen.max()))
    known = [level for level in levels if math.isfinite(level)]
    if not lows:
        return _spread(min(known, default=0.0), max(known, default=1.0))
    lo, hi = min(lows), max(highs)
    reach = hi - lo
    for level in known:
        if lo == hi or lo - reach <= level <= hi + reach:
            lo, hi = min(lo, level), max(hi, level)
    return _spread(lo, hi)


def _spread(lo: float, hi: float) -> tuple[float, float]:
    """The range, widened where it is (nearly) a point."""
    size = max(abs(lo), abs(hi))
    if hi - lo > max(1e-9 * size, 1e-290):
        return lo, hi
    pad = 0.05 * size if size > 1e-280 else 0.5
    return lo - pad, hi + pad


@dataclass(frozen=True)
class _Area:
    """Where the curves are: a rectangle of the canvas, and its scale."""

    top: int
    left: int
    rows: int
    columns: int
    lo: float
    hi: float
    ascii_only: bool

    @property
    def dots_wide(self) -> int:
        return self.columns if self.ascii_only else 2 * self.columns

    @property
    def dots_high(self) -> int:
        return self.rows if self.ascii_only else 4 * self.rows

    def row_of(self, y: float) -> int:
        """The row of the canvas at which a value is."""
        dot = round(float(_rows_of(np.array(y), self.lo, self.hi, self.dots_high)))
        return self.top + dot * self.rows // self.dots_high

    def _part(self, grid: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return grid[self.top : self.top + self.rows, self.left : self.left + self.columns]

    def _characters(self, dots: BoolArray, letter: str) -> npt.NDArray[np.str_]:
        if self.ascii_only:
            return np.where(dots, letter, " ")
        codes = np.einsum("rica,ia->rc", dots.reshape(self.rows, 4, self.columns, 2).astype(np.int64), _DOTS)
        return np.asarray(_BRAILLE[codes])

    def curves(self, canvas: _Canvas, curves: Sequence[Columns]) -> None:
        """The first series is on top: it gives the colour where several meet."""
        chars, inks = self._part(canvas.chars), self._part(canvas.inks)
        together = np.zeros((self.dots_high, self.dots_wide), dtype=np.bool_)
        for i in reversed(range(len(curves))):
            dots, alone = _trace(curves[i], self.lo, self.hi, self.dots_wide, self.dots_high)
            lonely = np.zeros(self.dots_wide, dtype=np.bool_)
            lonely[alone] = True
            dash = np.resize(np.array(_DASHES[0 if self.ascii_only else i % len(_DASHES)]), self.dots_wide) == 1
            together |= dots & (dash | lonely)
            own = self._characters(dots & (dash | lonely), _LETTERS[i % len(_LETTERS)])
            shown = own != " "
            chars[shown] = own[shown] if self.ascii_only else self._characters(together, "")[shown]
            inks[shown] = SERIES + i
            if not self.ascii_only:  # a single dot is too faint for a single value
                row, column = np.nonzero(dots & lonely)
                chars[row // 4, column // 2] = "•"

    def references(self, canvas: _Canvas, levels: Sequence[tuple[str, float]]) -> None:
        for _, level in levels:
            if self.lo <= level <= self.hi:
                dots = np.zeros((self.dots_high, self.dots_wide), dtype=np.bool_)
                dots[round(float(_rows_of(np.array(level), self.lo, self.hi, self.dots_high))), ::2] = True
                own = self._characters(dots, "-")
                shown = own != " "
                self._part(canvas.chars)[shown] = own[shown]
                self._part(canvas.inks)[shown] = REFERENCE

    def reference_names(self, canvas: _Canvas, levels: Sequence[tuple[str, float]], lines: Sequence[Line]) -> None:
        """Each name beside its line, where the fewest dots of curves are in the way; an arrow in front
        where the line is out of sight."""
        for (name, level), line in zip(levels, lines, strict=True):
            if not math.isfinite(level):
                continue
            arrow = ("^ " if self.ascii_only else "↑ ") if level > self.hi else ""
            arrow = ("v " if self.ascii_only else "↓ ") if level < self.lo else arrow
            text = f" {arrow}{name} {line.y:.4g} "
            size = cell_len(text)
            if size > self.columns or self.rows < 2:
                continue
            row = self.row_of(level)
            near = [row] if arrow else [row - 1, row + 1]
            places = [
                (int(np.count_nonzero(canvas.inks[r, c : c + size] >= LABEL)), order, r, c)
                for order, (c, r) in enumerate(
                    (c, r) for c in (self.left + self.columns - size, self.left) for r in near
                )
                if self.top <= r < self.top + self.rows
            ]
            hidden, _, r, c = min(places)
            if hidden < size // 2:
                canvas.write(r, c, text, LABEL)

    def y_axis(self, canvas: _Canvas, ticks: FloatArray, labels: Sequence[str]) -> None:
        bar, tick_mark = ("|", "+") if self.ascii_only else ("│", "┤")
        room = self.left - 1
        canvas.chars[self.top : self.top + self.rows, room] = bar
        canvas.inks[self.top : self.top + self.rows, room] = AXIS
        taken = set()
        for tick, label in zip(ticks.tolist(), labels, strict=True):
            row = self.row_of(tick)
            if row not in taken:
                taken.add(row)
                short = label[: room - 1]
                canvas.write(row, room - 1 - len(short), short, LABEL)
                canvas.write(row, room, tick_mark, AXIS)

    def x_axis(self, canvas: _Canvas, lo: float, hi: float, name: str) -> None:
        corner, bar, tick_mark = ("+", "-", "+") if self.ascii_only else ("└", "─", "┬")
        row = self.top + self.rows
        canvas.write(row, self.left - 1, corner + bar * self.columns, AXIS)
        ticks, step = nice_ticks(lo, hi, max(3, self.columns // 8))
        end, behind, room, last = canvas.chars.shape[1], 0, 0, 0
        for tick, label in zip(ticks.tolist(), tick_labels(ticks, step), strict=True):
            column = self.left + min(int((tick - lo) / (hi - lo) * self.columns), self.columns - 1)
            start = max(min(column - len(label) // 2, end - len(label)), 0)
            canvas.write(row, column, tick_mark, AXIS)
            if start >= behind:
                room, behind = behind, canvas.write(row + 1, start, label, LABEL) + 1
                last = start
        if name and room and last - room > cell_len(name):
            canvas.write(row + 1, last - cell_len(name) - 1, name, AXIS)


def _legend(canvas: _Canvas, names: Sequence[str], left: int, ascii_only: bool) -> None:
    column = left
    for i, name in enumerate(names):
        dash = np.resize(np.array(_DASHES[i % len(_DASHES)]), 6).reshape(3, 2)
        sample = _LETTERS[i % len(_LETTERS)] if ascii_only else "".join(_BRAILLE[dash @ _DOTS[1]])
        if column + cell_len(sample) + 1 + cell_len(name) > canvas.chars.shape[1] and i:
            canvas.write(0, canvas.chars.shape[1] - 1, "+" if ascii_only else "…", LABEL)
            return
        column = canvas.write(0, column, sample, SERIES + i)
        column = canvas.write(0, column, f" {name}", LABEL) + 3


@dataclass(frozen=True)
class Chart:
    """The drawing as a Rich renderable: as wide as there is room, `height` rows."""

    series: Sequence[Series]
    height: int = 14
    lines: Sequence[Line] = ()
    x_range: tuple[float, float] | None = None
    x_name: str = ""
    log_y: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        picture = draw(
            self.series,
            options.max_width,
            options.height or self.height,
            lines=self.lines,
            x_range=self.x_range,
            x_name=self.x_name,
            log_y=self.log_y,
            ascii_only=options.ascii_only,
        )
        for row in range(len(picture.chars)):
            for text, ink in picture.runs(row):
                yield Segment(text, Style.parse(style_of(ink)))
            yield Segment.line()
