"""Curves, reference lines and axes into a grid of characters: a plain function of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len

from tfllmer_tui.view.chart.area import BRAILLE, DASHES, DOTS, LETTERS, Area
from tfllmer_tui.view.chart.picture import LABEL, SERIES, Canvas, ChartSeries, Frame, Mark, Picture, ReferenceLine
from tfllmer_tui.view.chart.reduce import reduce_columns
from tfllmer_tui.view.chart.scale import scaled, scaled_curve, scaled_range, x_extent, y_extent
from tfllmer_tui.view.chart.ticks import log_ticks, nice_ticks, tick_labels


def draw(
    series: Sequence[ChartSeries],
    width: int,
    height: int,
    *,
    lines: Sequence[ReferenceLine] = (),
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
    the rest (`scale.focused`); arrows at the edge say where a curve is out of sight. On a log axis, values that are not
    positive leave gaps. From 7 rows on the first row is a legend; axes need 20 x 5, below that
    there are only curves. Never fails on account of sizes or values.
    """
    width, height = max(width, 0), max(height, 0)
    canvas = Canvas(np.full((height, width), " ", dtype="<U1"), np.zeros((height, width), dtype=np.int64))
    if not width or not height:
        return Picture(canvas.chars, canvas.inks, Frame(0, 0, height, width, (0.0, 1.0), (0.0, 1.0)))
    curves = [scaled_curve(each, log_x, log_y) for each in series]
    levels = [(line.name, scaled(line.y, log_y)) for line in lines]
    x_lo, x_hi = x_extent([curve.x for curve in curves], scaled_range(x_range, log_x))
    focused = [curve for curve, s in zip(curves, series, strict=True) if not s.faint] if focus else None
    y_lo, y_hi = y_extent(curves, x_lo, x_hi, [level for _, level in levels], focused)

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
    area = Area(frame, ascii_only)

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


def _legend(canvas: Canvas, series: Sequence[ChartSeries], left: int, ascii_only: bool) -> None:
    column = left
    for i, s in enumerate(series):
        if not s.in_legend:
            continue
        pattern = DASHES[(i if s.dash is None else s.dash) % len(DASHES)]
        dash = np.resize(np.array(pattern), 6).reshape(3, 2)
        sample = LETTERS[i % len(LETTERS)] if ascii_only else "".join(BRAILLE[dash @ DOTS[1]])
        if column + cell_len(sample) + 1 + cell_len(s.name) > canvas.chars.shape[1] and column > left:
            canvas.write(0, canvas.chars.shape[1] - 1, "+" if ascii_only else "…", LABEL)
            return
        column = canvas.write(0, column, sample, SERIES + i)
        column = canvas.write(0, column, f" {s.name}", LABEL) + 3
