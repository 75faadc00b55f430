"""The rectangle of the curves: dots and dashes, bands, reference lines, marks, axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len

from tfllmer_tui.view.chart.picture import (
    AXIS,
    LABEL,
    REFERENCE,
    SERIES,
    Canvas,
    ChartSeries,
    Frame,
    Mark,
    ReferenceLine,
)
from tfllmer_tui.view.chart.reduce import BoolArray, Columns, FloatArray, dots_of, reduce_columns, rows_of
from tfllmer_tui.view.chart.scale import ScaledCurve
from tfllmer_tui.view.chart.ticks import log_ticks, nice_ticks, tick_labels

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
BRAILLE = np.array([" ", *(chr(0x2800 + code) for code in range(1, 256))])
LETTERS = "*+xo#@%&$=sdmkn"
"""Series in plain characters; as many as runs are drawn over one another."""
DASHES = ((1,), (1, 1, 1, 1, 0, 0), (1, 0), (1, 1, 1, 1, 0, 1, 0))  # besides colour: solid, dashed, dotted, dash-dot


@dataclass(frozen=True)
class Area:
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
        return np.asarray(BRAILLE[np.einsum("rica,ia->rc", cells, DOTS)])

    def _put(self, canvas: Canvas, dots: BoolArray, letter: str, ink: int) -> None:
        own = self._characters(dots, letter)
        is_drawn = own != " "
        self._part(canvas.chars)[is_drawn] = own[is_drawn]
        self._part(canvas.inks)[is_drawn] = ink

    def behind(self, canvas: Canvas, series: Sequence[ChartSeries], curves: Sequence[ScaledCurve]) -> None:
        """Areas first, then faint curves; the first of each is on top."""
        for i in sorted(range(len(series)), key=lambda i: (series[i].high is None, -i)):
            curve = curves[i]
            if curve.high is not None:
                self._put(canvas, self._filled(curve.x, curve.y, curve.high), ".", SERIES + i)
            elif series[i].faint:
                columns = reduce_columns(curve.x, curve.y, *self.frame.x, self.dots_wide)
                faint = dots_of(columns, *self.frame.y, self.dots_wide, self.dots_high)
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
        is_within = (at >= x[0]) & (at <= x[-1])
        top, bottom = self._dot_rows(np.interp(at, x, high)).round(), self._dot_rows(np.interp(at, x, low)).round()
        row, column = np.arange(self.dots_high)[:, None], np.arange(self.dots_wide)[None, :]
        return np.asarray((row >= top) & (row <= bottom) & is_within & ((row + column) % 2 == 0))

    def curves(
        self, canvas: Canvas, which: Sequence[int], curves: Sequence[Columns], dashes: Sequence[int | None]
    ) -> bool:
        """The first series is on top: it gives the colour where several meet. Returns whether any is out of sight
        somewhere; an arrow in its colour then stands where it leaves and comes back."""
        chars, inks = self._part(canvas.chars), self._part(canvas.inks)
        together = np.zeros((self.dots_high, self.dots_wide), dtype=np.bool_)
        leaving: list[tuple[int, BoolArray, BoolArray]] = []
        for i, curve, chosen in reversed(list(zip(which, curves, dashes, strict=True))):
            traced = dots_of(curve, *self.frame.y, self.dots_wide, self.dots_high)
            dots, alone = traced.dots, traced.alone
            if traced.above.any() or traced.below.any():
                leaving.append((i, traced.above, traced.below))
            lonely = np.zeros(self.dots_wide, dtype=np.bool_)
            lonely[alone] = True
            pattern = DASHES[0 if self.ascii_only else (i if chosen is None else chosen) % len(DASHES)]
            dash = np.resize(np.array(pattern), self.dots_wide) == 1
            together |= dots & (dash | lonely)
            own = self._characters(dots & (dash | lonely), LETTERS[i % len(LETTERS)])
            is_drawn = own != " "
            chars[is_drawn] = own[is_drawn] if self.ascii_only else self._characters(together, "")[is_drawn]
            inks[is_drawn] = SERIES + i
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

    def marks(self, canvas: Canvas, marks: Sequence[Mark]) -> None:
        for mark in marks:
            column = self.frame.column_of(mark.x)
            if column is not None and self.frame.rows:
                row = self.frame.top + self.frame.rows - 1
                canvas.write(row, column, mark.char, SERIES + mark.series)

    def references(self, canvas: Canvas, levels: Sequence[tuple[str, float]]) -> None:
        for _, level in levels:
            if self.frame.y[0] <= level <= self.frame.y[1]:
                dots = np.zeros((self.dots_high, self.dots_wide), dtype=np.bool_)
                dots[round(float(self._dot_rows(np.array(level)))), ::2] = True
                self._put(canvas, dots, "-", REFERENCE)

    def reference_names(
        self, canvas: Canvas, levels: Sequence[tuple[str, float]], lines: Sequence[ReferenceLine]
    ) -> None:
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

    def y_axis(self, canvas: Canvas, ticks: FloatArray, labels: Sequence[str]) -> None:
        bar, tick_mark = ("|", "+") if self.ascii_only else ("│", "┤")
        f = self.frame
        room = f.left - 1
        canvas.chars[f.top : f.top + f.rows, room] = bar
        canvas.inks[f.top : f.top + f.rows, room] = AXIS
        rows_used = set()
        for tick, label in zip(ticks.tolist(), labels, strict=True):
            row = self.row_of(tick)
            if row not in rows_used:
                rows_used.add(row)
                short = label[: room - 1]
                canvas.write(row, room - 1 - len(short), short, LABEL)
                canvas.write(row, room, tick_mark, AXIS)

    def x_axis(self, canvas: Canvas, name: str) -> None:
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


def _ends_of(out: BoolArray) -> npt.NDArray[np.int64]:
    """First and last place of every stretch, without those at the ends of all."""
    edges = np.diff(out.astype(np.int8))
    ends = np.concatenate([np.flatnonzero(edges == 1) + 1, np.flatnonzero(edges == -1)])
    return ends if len(ends) or not out.any() else np.array([0], dtype=np.int64)
