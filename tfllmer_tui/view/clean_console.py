"""A console of Rich that shows control and direction characters of any text as �."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from engine.text import printable_lines


class CleanConsole(Console):
    """What is drawn is cleaned piece by piece, before it is measured; control codes are pieces of their own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control or text.isprintable() else printable_lines(text), style, control)
