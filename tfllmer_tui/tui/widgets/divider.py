"""The line between two panes: a mouse drags it, keys move it, and where it was put is kept with the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.segment import Segment
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from tfllmer_tui.tui.messages import PanesReset
from tfllmer_tui.tui.palette import inks
from tfllmer_tui.tui.widgets.lines import LineWidget

if TYPE_CHECKING:
    from tfllmer_tui.tui.context import Context

LEAST_COLUMNS, LEAST_ROWS = 24, 4
"""How small a pane can be made."""
STEPS = 40
"""Steps of the keys from one end to the other, as far as there are so many columns or rows."""
INSIDE = 0.3
"""Added to a whole number of columns or rows, so that a share of them is not rounded to one less."""
_RULES = ("width", "height", "min_width", "min_height", "max_width", "max_height")


class Divider(LineWidget):
    """Stands in a container between the panes before and behind it, which share the room. Until a person has moved
    it, the style sheet says how. `name` is what its place is kept under, once for panes that are side by side and
    once for panes above one another; with `beside` they are side by side on a wide screen."""

    DEFAULT_CSS = "Divider { width: 1fr; height: 1; background: $background; }"

    def __init__(self, name: str, *, beside: bool = True, least_rows: int = LEAST_ROWS) -> None:
        super().__init__(id=f"divider-{name}", classes="-beside" if beside else "")
        self._name, self._least_rows = name, least_rows
        self._dragged = False
        self._put_at: float | None = None
        """The share of the panes before it, where it is being moved."""

    @property
    def context(self) -> Context:
        """The app."""
        return cast("Context", self.app)

    @property
    def is_upright(self) -> bool:
        """Whether the panes are side by side."""
        layout = self._container.styles.layout
        return layout is not None and layout.name == "horizontal"

    @property
    def is_moved(self) -> bool:
        """Whether a person has put it where it is."""
        return self._share is not None

    @property
    def panes(self) -> tuple[list[Widget], list[Widget]]:
        """What is before it, and what is behind it."""
        siblings = list(self._container.children)
        at = siblings.index(self)
        return siblings[:at], siblings[at + 1 :]

    def has_beside(self, widget: Widget | None) -> bool:
        """Whether a widget is in one of its panes."""
        return widget is not None and any(pane in widget.ancestors_with_self for side in self.panes for pane in side)

    @property
    def _container(self) -> Widget:
        return cast("Widget", self.parent)

    @property
    def _key(self) -> str:
        return f"{self._name} {'beside' if self.is_upright else 'above'}"

    @property
    def _share(self) -> float | None:
        """The part of the room that the panes before it have; None as long as nobody has moved it."""
        share = self.context.memory.section("panes").get(self._key)
        return share if isinstance(share, float) and 0 < share < 1 else None

    # -------------------------------------------------------------------------------- moving

    def move(self, by: int) -> None:
        """So many steps to the right or down; back where it is negative."""
        at, room = self._place
        if (share := self._share) is not None:  # keys come faster than the layout
            at = round(share * room)
        self._put(at + by * max(1, room // STEPS))
        self._keep()

    def reset(self) -> None:
        """Share the room as the style sheet says."""
        panes = self.context.memory.section("panes")
        self.context.keep("panes", {name: share for name, share in panes.items() if name != self._key})
        self.settle()
        self.post_message(PanesReset())

    @property
    def _place(self) -> tuple[int, int]:
        """Columns or rows before it, and how many all panes have."""
        within, region = self._container.content_region, self.region
        if self.is_upright:
            return region.x - within.x, max(1, within.width - 1)
        return region.y - within.y, max(1, within.height - 1)

    def _put(self, at: int) -> None:
        """So many columns or rows from the start, as far as both sides keep their least."""
        room = self._place[1]
        least = min(LEAST_COLUMNS if self.is_upright else self._least_rows, room // 2)
        self._put_at = (max(least, min(at, room - least)) + INSIDE) / room
        self._apply(self._put_at)

    def _keep(self) -> None:
        if self._put_at is not None:
            self.context.keep("panes", {**self.context.memory.section("panes"), self._key: round(self._put_at, 5)})
            self._put_at = None

    def settle(self) -> None:
        """Share the room as it was shared last: the panes may be above one another now that were side by side."""
        if not self._dragged:
            self._apply(self._share)

    def on_mount(self) -> None:
        self.settle()

    def on_resize(self) -> None:
        self.settle()

    def _apply(self, share: float | None) -> None:
        """Give both sides their part; None leaves it to the style sheet."""
        upright = self.is_upright
        parts = (None, None) if share is None else (share, 1 - share)
        for panes, part in zip(self.panes, parts, strict=True):
            for pane in panes:
                if pane.has_class("-divided"):
                    for rule in _RULES:
                        pane.styles.clear_rule(rule)
                pane.set_class(part is not None, "-divided")
                if part is None:
                    pane.refresh(layout=True)
                    continue
                size = f"{round(100_000 * part)}fr"
                if upright:
                    pane.styles.width, pane.styles.min_width, pane.styles.max_width = size, LEAST_COLUMNS, "100%"
                else:
                    pane.styles.height, pane.styles.min_height, pane.styles.max_height = size, self._least_rows, "100%"

    # -------------------------------------------------------------------------------- mouse

    def on_mouse_down(self, event: events.MouseDown) -> None:
        event.stop()
        self._dragged = True
        self.capture_mouse()
        self.refresh()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragged:
            within = self._container.content_region
            self._put(event.screen_x - within.x if self.is_upright else event.screen_y - within.y)

    def on_mouse_up(self) -> None:
        if self._dragged:
            self._dragged = False
            self.release_mouse()
            self._keep()
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2:
            self.reset()

    # -------------------------------------------------------------------------------- drawing

    def render_line(self, y: int) -> Strip:
        """A thin line; its middle, where one takes hold of it, is heavier, all of it under the mouse."""
        colors, size = inks(self.app.current_theme), self.size
        lit = self.mouse_hover or self._dragged
        line, grip = colors["primary" if lit else "faint"], colors["primary" if lit else "dim"]
        if self.is_upright:
            held = abs(y - size.height // 2) <= 1
            return Strip([Segment("┃" if held else "│", grip if held else line)]).apply_style(self.rich_style)
        before = max(0, (size.width - 5) // 2)
        segments = [Segment("─" * before, line), Segment("━" * min(5, size.width), grip)]
        segments.append(Segment("─" * max(0, size.width - before - 5), line))
        return Strip(segments).adjust_cell_length(size.width).apply_style(self.rich_style)

    def on_enter(self) -> None:
        self.refresh()

    def on_leave(self) -> None:
        self.refresh()
