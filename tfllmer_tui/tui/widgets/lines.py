"""What widgets have in common that draw their lines themselves."""

from __future__ import annotations

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class LineWidget(Widget):
    """A widget whose own style is worked out once a drawing: Textual asks all its ancestors at every use, which for
    each line of a chart takes longer than the line. Named behind another base, as Textual takes bindings and styles
    from the first."""

    _style_of_drawing: Style | None = None

    @property
    def rich_style(self) -> Style:
        return self._style_of_drawing or super().rich_style

    def render_lines(self, crop: Region) -> list[Strip]:
        self._style_of_drawing = super().rich_style
        try:
            return super().render_lines(crop)
        finally:
            self._style_of_drawing = None
