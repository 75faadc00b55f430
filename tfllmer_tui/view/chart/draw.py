"""Curves, reference lines and axes into a grid of characters: a plain function of arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len

from tfllmer_tui.view.chart.reduce import BoolArray, Columns, FloatArray, reduce_columns, rows_of, trace
from tfllmer_tui.view.chart.ticks import log_ticks, nice_ticks, tick_labels

BLANK, AXIS, LABEL, REFERENCE, SERIES = 0, 1, 2, 3, 4
"""Inks: what a character belongs to. SERIES + i is series i."""

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BRAILLE = np.array([" ", *(chr(0x2800 + code) for code in range(1, 256))])
_LETTERS = "*+xo#@%"
_DASHES = ((1,), (1, 1, 1, 1, 0, 0), (1, 0), (1, 1, 1, 1, 0, 1, 0))  # besides colour: solid, dashed, dotted, dash-dot
_LIMIT = 1e300  # beyond it, differences overflow

GAIN = 1.8
"""A focus leaves values out of sight only where the rest then has so many times its room."""
_SAMPLES = 64


@dataclass(frozen=True)
class Series:
    """A named curve: x and y [n] of equal length; y that is not finite leaves a gap.

    high:  with it the area between y and high is shown, as a loose pattern (a spread over seeds)
    faint: drawn below all others (the raw curve behind a smoothed one)
    dash:  0 solid, 1 dashed, 2 dotted, 3 dash-dot; by its place among the series when left out
    """

    name: str
    x: FloatArray
    y: FloatArray
    high: FloatArray | None = None
    faint: bool = False
    dash: int | None = None

    @property
    def in_legend(self) -> bool:
        return bool(self.name) and not self.faint and self.high is None


@dataclass(frozen=True)
class Line:
    """A horizontal line to compare with. Where it is too far away to show beside the curves, an arrow
    at the edge says where it is."""

    name: str
    y: float


@dataclass(frozen=True)
class Mark:
    """Something that happened at x to series number `series`: a character on the lowest row."""

    x: float
    char: str
    series: int


@dataclass(frozen=True)
class Frame:
    """Where the curves are in a picture, and which numbers its edges stand for (log10 of them on a log axis)."""

    top: int
    left: int
    rows: int
    columns: int
    x: tuple[float, float]
    y: tuple[float, float]
    log_x: bool = False
    log_y: bool = False

    def x_at(self, column: float) -> float:
        """The x in the middle of a column of characters, counted from the picture's left edge."""
        lo, hi = self.x
        at = lo + (hi - lo) * (column - self.left + 0.5) / max(self.columns, 1)
        return 10.0**at if self.log_x else at

    def column_of(self, x: float) -> int | None:
        """The column of characters that holds x; None where it is out of sight."""
        lo, hi = self.x
        at = (math.log10(x) if x > 0 else math.nan) if self.log_x else x
        if not lo <= at <= hi:
            return None
        return self.left + min(int((at - lo) / (hi - lo) * self.columns), self.columns - 1)


@dataclass(frozen=True)
class Picture:
    """A grid of characters.

    chars: [height, width] one character each, "" behind a character that is two columns wide
    inks:  [height, width] what each belongs to: BLANK, AXIS, LABEL, REFERENCE or SERIES + i
    clipped: whether a curve is in part out of sight
    """

    chars: npt.NDArray[np.str_]
    inks: npt.NDArray[np.int64]
    frame: Frame
    clipped: bool = False

    def runs(self, row: int) -> list[tuple[str, int]]:
        """One row as pieces of text of one ink each."""
        inks = self.inks[row]
        starts = [0, *(np.flatnonzero(np.diff(inks)) + 1).tolist(), len(inks)]
        return [("".join(self.chars[row, a:b]), int(inks[a])) for a, b in pairwise(starts) if a < b]

    def __str__(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self.chars)


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
    marks: Sequence[Mark] = (),
    x_range: tuple[float, float] | None = None,
    focus: bool = False,
    x_name: str = "",
    log_x: bool = False,
    log_y: bool = False,
    ascii_only: bool = False,
    legend: bool = True,
) -> Picture:
    """Draw curves into a grid of `height` x `width` characters.

    x_range fixes the ends of the x axis (the data's otherwise). With `focus` the y axis leaves out what would squeeze
    the rest (`_focused`); arrows at the edge say where a curve is out of sight. On a log axis, values that are not
    positive leave gaps. From 7 rows on the first row is a legend; axes need 20 x 5, below that
    there are only curves. Never fails on account of sizes or values.
    """
    width, height = max(width, 0), max(height, 0)
    canvas = _Canvas(np.full((height, width), " ", dtype="<U1"), np.zeros((height, width), dtype=np.int64))
    if not width or not height:
        return Picture(canvas.chars, canvas.inks, Frame(0, 0, height, width, (0.0, 1.0), (0.0, 1.0)))
    curves = [_usable(s, log_x, log_y) for s in series]
    levels = [(line.name, _scaled(line.y, log_y)) for line in lines]
    x_lo, x_hi = _ends([curve.x for curve in curves], _scaled_range(x_range, log_x))
    shown = [curve for curve, s in zip(curves, series, strict=True) if not s.faint] if focus else None
    y_lo, y_hi = _extent(curves, x_lo, x_hi, [level for _, level in levels], shown)

    framed = width >= 20 and height >= 5
    head = int(legend and framed and height >= 7 and any(s.in_legend for s in series))
    foot = 2 if framed else 0
    rows = height - head - foot
    most = max(2, (rows + 1) // 2)
    if log_y:
        ticks, labels = log_ticks(y_lo, y_hi, most)
    else:
        ticks, step = nice_ticks(y_lo, y_hi, most)
        labels = tick_labels(ticks, step)
    margin = min(max(map(len, labels), default=0), width // 3) + 2 if framed else 0
    frame = Frame(head, margin, rows, width - margin, (x_lo, x_hi), (y_lo, y_hi), log_x, log_y)
    area = _Area(frame, ascii_only)

    area.references(canvas, levels)
    area.behind(canvas, series, curves)
    front = [i for i, s in enumerate(series) if not s.faint and s.high is None]
    clipped = area.curves(
        canvas,
        front,
        [reduce_columns(curves[i].x, curves[i].y, x_lo, x_hi, area.dots_wide) for i in front],
        [series[i].dash for i in front],
    )
    area.marks(canvas, marks)
    area.reference_names(canvas, levels, lines)
    if framed:
        area.y_axis(canvas, ticks, labels)
        area.x_axis(canvas, x_name)
    if head:
        _legend(canvas, series, margin, ascii_only)
    return Picture(canvas.chars, canvas.inks, frame, clipped)


@dataclass(frozen=True)
class _Usable:
    """A curve with ascending x, both axes as they are scaled, and NaN for what cannot be drawn."""

    x: FloatArray
    y: FloatArray
    high: FloatArray | None


def _usable(series: Series, log_x: bool, log_y: bool) -> _Usable:
    x = np.asarray(series.x, dtype=np.float64)
    ys = [np.asarray(y, dtype=np.float64) for y in (series.y, series.high) if y is not None]
    if log_x:
        x = np.log10(x, out=np.full(len(x), np.nan), where=(x > 0) & (x <= _LIMIT))
    if len(x) and not (np.all(x[1:] >= x[:-1]) and x[0] >= -_LIMIT and x[-1] <= _LIMIT):
        known = np.abs(x) <= _LIMIT
        order = np.flatnonzero(known)[np.argsort(x[known], kind="stable")]
        x, ys = x[order], [y[order] for y in ys]
    ys = [_drawable(y, log_y) for y in ys]
    return _Usable(x, ys[0], ys[1] if len(ys) > 1 else None)


def _drawable(y: FloatArray, log_y: bool) -> FloatArray:
    if log_y:
        return np.asarray(np.log10(y, out=np.full(len(y), np.nan), where=(y > 0) & (y <= _LIMIT)))
    if len(y) and not (y.min() >= -_LIMIT and y.max() <= _LIMIT):  # also where either is NaN
        return np.where(np.abs(y) <= _LIMIT, y, np.nan)
    return y


def _scaled(value: float, log: bool) -> float:
    if not abs(value) <= _LIMIT or (log and value <= 0):
        return math.nan
    return math.log10(value) if log else float(value)


def _scaled_range(ends: tuple[float, float] | None, log: bool) -> tuple[float, float] | None:
    if ends is None:
        return None
    lo, hi = _scaled(min(ends), log), _scaled(max(ends), log)
    return _spread(lo, hi) if math.isfinite(lo) and math.isfinite(hi) else None


def _ends(xs: Sequence[FloatArray], x_range: tuple[float, float] | None) -> tuple[float, float]:
    if x_range is not None:
        return x_range
    filled = [x for x in xs if len(x)]
    lo = min((float(x.min()) for x in filled), default=0.0)
    hi = max((float(x.max()) for x in filled), default=1.0)
    return (lo, lo + 1.0) if lo == hi else (lo, hi)  # a curve that begins: the rest of it comes to the right


def _extent(
    curves: Sequence[_Usable], x_lo: float, x_hi: float, levels: Sequence[float], focus: Sequence[_Usable] | None
) -> tuple[float, float]:
    """The values to show: all of the curves within the x axis, or what `_focused` leaves of them, and the reference
    lines that at most double that."""
    lows, highs = [], []
    for curve in curves:
        inside = slice(np.searchsorted(curve.x, x_lo, side="left"), np.searchsorted(curve.x, x_hi, side="right"))
        for y in (curve.y, curve.high):
            seen = y[inside] if y is not None else np.zeros(0)
            if len(seen) and math.isnan(seen.min()):
                seen = seen[np.isfinite(seen)]
            if len(seen):
                lows.append(float(seen.min()))
                highs.append(float(seen.max()))
    known = [level for level in levels if math.isfinite(level)]
    if not lows:
        return _spread(min(known, default=0.0), max(known, default=1.0))
    lo, hi = min(lows), max(highs)
    if focus is not None:
        lo, hi = _focused(focus, x_lo, x_hi, lo, hi)
    reach = hi - lo
    for level in known:
        if lo == hi or lo - reach <= level <= hi + reach:
            lo, hi = min(lo, level), max(hi, level)
    return _spread(lo, hi)


def _focused(curves: Sequence[_Usable], x_lo: float, x_hi: float, lo: float, hi: float) -> tuple[float, float]:
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


def _spread(lo: float, hi: float) -> tuple[float, float]:
    """The range, widened where it is (nearly) a point."""
    size = max(abs(lo), abs(hi))
    if hi - lo > max(1e-9 * size, 1e-290):
        return lo, hi
    pad = 0.05 * size if size > 1e-280 else 0.5
    return lo - pad, hi + pad


@dataclass(frozen=True)
class _Area:
    """The rectangle of the curves, which draws into the canvas."""

    frame: Frame
    ascii_only: bool

    @property
    def dots_wide(self) -> int:
        return self.frame.columns if self.ascii_only else 2 * self.frame.columns

    @property
    def dots_high(self) -> int:
        return self.frame.rows if self.ascii_only else 4 * self.frame.rows

    def _dot_rows(self, y: FloatArray) -> FloatArray:
        return rows_of(y, *self.frame.y, self.dots_high)

    def row_of(self, y: float) -> int:
        """The row of the canvas at which a value is."""
        dot = min(max(round(float(self._dot_rows(np.array(y)))), 0), self.dots_high - 1)
        return self.frame.top + dot * self.frame.rows // self.dots_high

    def _part(self, grid: npt.NDArray[Any]) -> npt.NDArray[Any]:
        f = self.frame
        return grid[f.top : f.top + f.rows, f.left : f.left + f.columns]

    def _characters(self, dots: BoolArray, letter: str) -> npt.NDArray[np.str_]:
        if self.ascii_only:
            return np.where(dots, letter, " ")
        cells = dots.reshape(self.frame.rows, 4, self.frame.columns, 2).astype(np.int64)
        return np.asarray(_BRAILLE[np.einsum("rica,ia->rc", cells, _DOTS)])

    def _put(self, canvas: _Canvas, dots: BoolArray, letter: str, ink: int) -> None:
        own = self._characters(dots, letter)
        shown = own != " "
        self._part(canvas.chars)[shown] = own[shown]
        self._part(canvas.inks)[shown] = ink

    def behind(self, canvas: _Canvas, series: Sequence[Series], curves: Sequence[_Usable]) -> None:
        """Areas first, then faint curves; the first of each is on top."""
        for i in sorted(range(len(series)), key=lambda i: (series[i].high is None, -i)):
            curve = curves[i]
            if curve.high is not None:
                self._put(canvas, self._filled(curve.x, curve.y, curve.high), ".", SERIES + i)
            elif series[i].faint:
                columns = reduce_columns(curve.x, curve.y, *self.frame.x, self.dots_wide)
                faint = trace(columns, *self.frame.y, self.dots_wide, self.dots_high)
                self._put(canvas, faint.dots, ".", SERIES + i)

    def _filled(self, x: FloatArray, low: FloatArray, high: FloatArray) -> BoolArray:
        """Every second dot between the two."""
        dots = np.zeros((self.dots_high, self.dots_wide), dtype=np.bool_)
        known = np.isfinite(low) & np.isfinite(high)
        if not known.any():
            return dots
        x, low, high = x[known], low[known], high[known]
        lo, hi = self.frame.x
        at = lo + (hi - lo) * (np.arange(self.dots_wide) + 0.5) / self.dots_wide
        inside = (at >= x[0]) & (at <= x[-1])
        top, bottom = self._dot_rows(np.interp(at, x, high)).round(), self._dot_rows(np.interp(at, x, low)).round()
        row, column = np.arange(self.dots_high)[:, None], np.arange(self.dots_wide)[None, :]
        return np.asarray((row >= top) & (row <= bottom) & inside & ((row + column) % 2 == 0))

    def curves(
        self, canvas: _Canvas, which: Sequence[int], curves: Sequence[Columns], dashes: Sequence[int | None]
    ) -> bool:
        """The first series is on top: it gives the colour where several meet. Returns whether any is out of sight
        somewhere; an arrow in its colour then stands where it leaves and comes back."""
        chars, inks = self._part(canvas.chars), self._part(canvas.inks)
        together = np.zeros((self.dots_high, self.dots_wide), dtype=np.bool_)
        leaving: list[tuple[int, BoolArray, BoolArray]] = []
        for i, curve, chosen in reversed(list(zip(which, curves, dashes, strict=True))):
            traced = trace(curve, *self.frame.y, self.dots_wide, self.dots_high)
            dots, alone = traced.dots, traced.alone
            if traced.above.any() or traced.below.any():
                leaving.append((i, traced.above, traced.below))
            lonely = np.zeros(self.dots_wide, dtype=np.bool_)
            lonely[alone] = True
            pattern = _DASHES[0 if self.ascii_only else (i if chosen is None else chosen) % len(_DASHES)]
            dash = np.resize(np.array(pattern), self.dots_wide) == 1
            together |= dots & (dash | lonely)
            own = self._characters(dots & (dash | lonely), _LETTERS[i % len(_LETTERS)])
            shown = own != " "
            chars[shown] = own[shown] if self.ascii_only else self._characters(together, "")[shown]
            inks[shown] = SERIES + i
            if not self.ascii_only:  # a single dot is too faint for a single value
                row, column = np.nonzero(dots & lonely)
                chars[row // 4, column // 2] = "•"
        for i, above, below in leaving:
            up, down = "^v" if self.ascii_only else "↑↓"
            for edge, out, arrow in ((0, above, up), (self.frame.rows - 1, below, down)):
                ends = np.unique(_ends_of(out) * self.frame.columns // self.dots_wide)
                chars[edge, ends] = arrow
                inks[edge, ends] = SERIES + i
        return bool(leaving)

    def marks(self, canvas: _Canvas, marks: Sequence[Mark]) -> None:
        for mark in marks:
            column = self.frame.column_of(mark.x)
            if column is not None and self.frame.rows:
                row = self.frame.top + self.frame.rows - 1
                canvas.write(row, column, mark.char, SERIES + mark.series)

    def references(self, canvas: _Canvas, levels: Sequence[tuple[str, float]]) -> None:
        for _, level in levels:
            if self.frame.y[0] <= level <= self.frame.y[1]:
                dots = np.zeros((self.dots_high, self.dots_wide), dtype=np.bool_)
                dots[round(float(self._dot_rows(np.array(level)))), ::2] = True
                self._put(canvas, dots, "-", REFERENCE)

    def reference_names(self, canvas: _Canvas, levels: Sequence[tuple[str, float]], lines: Sequence[Line]) -> None:
        """Each name beside its line, where the fewest dots of curves are in the way; an arrow in front
        where the line is out of sight."""
        f = self.frame
        for (name, level), line in zip(levels, lines, strict=True):
            if not math.isfinite(level):
                continue
            arrow = ("^ " if self.ascii_only else "↑ ") if level > f.y[1] else ""
            arrow = ("v " if self.ascii_only else "↓ ") if level < f.y[0] else arrow
            text = f" {arrow}{name} {line.y:.4g} "
            size = cell_len(text)
            if size > f.columns or f.rows < 2:
                continue
            row = self.row_of(level)
            near = [row] if arrow else [row - 1, row + 1]
            places = [
                (int(np.count_nonzero(canvas.inks[r, c : c + size] >= LABEL)), order, r, c)
                for order, (c, r) in enumerate((c, r) for c in (f.left + f.columns - size, f.left) for r in near)
                if f.top <= r < f.top + f.rows
            ]
            hidden, _, r, c = min(places)
            if hidden < size // 2:
                canvas.write(r, c, text, LABEL)

    def y_axis(self, canvas: _Canvas, ticks: FloatArray, labels: Sequence[str]) -> None:
        bar, tick_mark = ("|", "+") if self.ascii_only else ("│", "┤")
        f = self.frame
        room = f.left - 1
        canvas.chars[f.top : f.top + f.rows, room] = bar
        canvas.inks[f.top : f.top + f.rows, room] = AXIS
        taken = set()
        for tick, label in zip(ticks.tolist(), labels, strict=True):
            row = self.row_of(tick)
            if row not in taken:
                taken.add(row)
                short = label[: room - 1]
                canvas.write(row, room - 1 - len(short), short, LABEL)
                canvas.write(row, room, tick_mark, AXIS)

    def x_axis(self, canvas: _Canvas, name: str) -> None:
        corner, bar, tick_mark = ("+", "-", "+") if self.ascii_only else ("└", "─", "┬")
        f = self.frame
        (lo, hi), row, most = f.x, f.top + f.rows, max(3, f.columns // 8)
        canvas.write(row, f.left - 1, corner + bar * f.columns, AXIS)
        if f.log_x:
            ticks, labels = log_ticks(lo, hi, most)
        else:
            ticks, step = nice_ticks(lo, hi, most)
            labels = tick_labels(ticks, step)
        end, behind, room, last = canvas.chars.shape[1], 0, 0, 0
        for tick, label in zip(ticks.tolist(), labels, strict=True):
            column = f.left + min(int((tick - lo) / (hi - lo) * f.columns), f.columns - 1)
            start = max(min(column - len(label) // 2, end - len(label)), 0)
            canvas.write(row, column, tick_mark, AXIS)
            if start >= behind:
                room, behind = behind, canvas.write(row + 1, start, label, LABEL) + 1
                last = start
        if name and room and last - room > cell_len(name):
            canvas.write(row + 1, last - cell_len(name) - 1, name, AXIS)


def _legend(canvas: _Canvas, series: Sequence[Series], left: int, ascii_only: bool) -> None:
    column = left
    for i, s in enumerate(series):
        if not s.in_legend:
            continue
        pattern = _DASHES[(i if s.dash is None else s.dash) % len(_DASHES)]
        dash = np.resize(np.array(pattern), 6).reshape(3, 2)
        sample = _LETTERS[i % len(_LETTERS)] if ascii_only else "".join(_BRAILLE[dash @ _DOTS[1]])
        if column + cell_len(sample) + 1 + cell_len(s.name) > canvas.chars.shape[1] and column > left:
            canvas.write(0, canvas.chars.shape[1] - 1, "+" if ascii_only else "…", LABEL)
            return
        column = canvas.write(0, column, sample, SERIES + i)
        column = canvas.write(0, column, f" {s.name}", LABEL) + 3


def _ends_of(out: BoolArray) -> npt.NDArray[np.int64]:
    """First and last place of every stretch, without those at the ends of all."""
    edges = np.diff(out.astype(np.int8))
    ends = np.concatenate([np.flatnonzero(edges == 1) + 1, np.flatnonzero(edges == -1)])
    return ends if len(ends) or not out.any() else np.array([0], dtype=np.int64)
