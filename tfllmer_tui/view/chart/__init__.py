"""Line charts in a terminal: braille dots, or plain characters where there are none.

`draw` is a plain function from arrays to a grid of characters; `Chart` shows that grid through Rich,
and the widget of the TUI takes it row by row (`Picture.runs`). A series of any length is first reduced to its
minimum and maximum per column of dots, so spikes stay visible and a million points take milliseconds.
"""

from tfllmer_tui.view.chart.draw import (
    AXIS,
    BLANK,
    LABEL,
    REFERENCE,
    SERIES,
    Frame,
    Line,
    Mark,
    Picture,
    Series,
    draw,
)
from tfllmer_tui.view.chart.reduce import BoolArray, Columns, FloatArray, IntArray, reduce_columns
from tfllmer_tui.view.chart.renderable import COLORS, Chart, style_of
from tfllmer_tui.view.chart.ticks import nice_ticks, tick_labels

__all__ = [
    "AXIS",
    "BLANK",
    "COLORS",
    "LABEL",
    "REFERENCE",
    "SERIES",
    "BoolArray",
    "Chart",
    "Columns",
    "FloatArray",
    "Frame",
    "IntArray",
    "Line",
    "Mark",
    "Picture",
    "Series",
    "draw",
    "nice_ticks",
    "reduce_columns",
    "style_of",
    "tick_labels",
]
