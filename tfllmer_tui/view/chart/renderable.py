"""A drawing for Rich, which the CLI prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from tfllmer_tui.view.chart.draw import draw
from tfllmer_tui.view.chart.picture import AXIS, LABEL, REFERENCE, SERIES, ChartSeries, ReferenceLine

COLORS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#f0e442", "#0072b2")
"""Okabe and Ito's colours, which colour-blind people can tell apart; series take them in this order."""


def style_of(ink: int) -> str:
    """The Rich style of an ink."""
    if ink >= SERIES:
        return COLORS[(ink - SERIES) % len(COLORS)]
    return {AXIS: "bright_black", LABEL: "default", REFERENCE: "bright_black"}.get(ink, "")


@dataclass(frozen=True)
class RichChart:
    """The drawing as a Rich renderable: as wide as there is room, `height` rows."""

    series: Sequence[ChartSeries]
    height: int = 14
    lines: Sequence[ReferenceLine] = ()
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
