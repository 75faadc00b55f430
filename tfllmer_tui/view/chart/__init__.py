"""ReferenceLine charts in a terminal: braille dots, or plain characters where there are none.

`draw` is a plain function from arrays to a grid of characters; `RichChart` shows that grid through Rich,
and the widget of the TUI takes it row by row (`Picture.runs`). A series of any length is first reduced to its
minimum and maximum per column of dots, so spikes stay visible and a million points take milliseconds.
"""

from tfllmer_tui.view.chart.area import LETTERS
from tfllmer_tui.view.chart.draw import draw
from tfllmer_tui.view.chart.picture import (
    AXIS,
    BLANK,
    LABEL,
    REFERENCE,
    SERIES,
    ChartSeries,
    Frame,
    Mark,
    Picture,
    ReferenceLine,
)
from tfllmer_tui.view.chart.reduce import BoolArray, Columns, FloatArray, IntArray, reduce_columns
from tfllmer_tui.view.chart.renderable import COLORS, RichChart, style_of
from tfllmer_tui.view.chart.ticks import nice_ticks, tick_labels

__all__ = [
    "AXIS",
    "BLANK",
    "COLORS",
    "LABEL",
    "LETTERS",
    "REFERENCE",
    "SERIES",
    "BoolArray",
    "ChartSeries",
    "Columns",
    "FloatArray",
    "Frame",
    "IntArray",
    "Mark",
    "Picture",
    "ReferenceLine",
    "RichChart",
    "draw",
    "nice_ticks",
    "reduce_columns",
    "style_of",
    "tick_labels",
]
