"""The lines at the top and the foot of every screen: where one is, what the store holds, what is wrong with it, and
the keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Footer, Static
from textual.widgets._footer import FooterKey

from tfllmer_tui.tui.messages import PlaceChosen
from tfllmer_tui.tui.palette import inks
from tfllmer_tui.tui.snapshot import READING, StoreSnapshot
from tfllmer_tui.view.text import STATUS

SHORT = {"Leaderboard": "Board", "Geometry": "Geom"}
"""What places are called where there is little room."""


class TopBar(Widget):
    """The places with the present one lit, and runs by status on the right."""

    DEFAULT_CSS = "TopBar { height: 1; background: $panel; }"

    def __init__(self, places: Sequence[tuple[str, str]], *, read_only: bool = False) -> None:
        super().__init__()
        self._places, self._read_only = places, read_only
        self._spans: list[tuple[int, int, str]] = []
        self._counts: Counter[str] = Counter()
        self._total = 0
        self._unread = READING

    def show(self, snapshot: StoreSnapshot) -> None:
        """Count the runs anew."""
        counts = Counter[str](row.status for row in snapshot.rows.values())
        unread = snapshot.unread_text if snapshot.is_unread else ""
        if counts != self._counts or unread != self._unread:
            self._counts, self._total, self._unread = counts, len(snapshot.rows), unread
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, colors = self.size.width, inks(self.app.current_theme)
        statuses, total, read_only = self._right()
        right = [*statuses, *total, *read_only]
        tight = 9 + sum(len(title) + 4 for _, title in self._places) + _size(right) > width
        segments = [Segment(" " if tight else " tfllmer ", colors["key"])]
        self._spans, x = [], cell_len(segments[0].text)
        for number, (mode, title) in enumerate(self._places, 1):
            if self._read_only and mode == "launch":  # nothing is launched from here; the others keep their numbers
                continue
            here = mode == self.app.current_mode
            name = (SHORT.get(title, title) if tight else title) if here or width >= 60 else ""
            text = f" {number} {name} " if name else f" {number} "
            style = colors["cursor"] + colors["bold"] if here else colors["dim"]
            segments.append(Segment(text, style))
            self._spans.append((x, x + len(text), mode))
            x += len(text)
        for shown in (right, [*statuses, *read_only], read_only):
            if x + _size(shown) <= width:
                segments += [Segment(" " * (width - x - _size(shown))), *shown]
                break
        return Strip(segments).adjust_cell_length(width).apply_style(self.rich_style)

    def _right(self) -> tuple[list[Segment], list[Segment], list[Segment]]:
        """Runs by status, how many there are, and whether they can only be looked at."""
        colors = inks(self.app.current_theme)
        statuses: list[Segment] = []
        for status in ("running", "queued", "failed", "lost"):
            if self._counts[status]:
                statuses += [
                    Segment(f"{STATUS[status][0]} ", colors.status(status)),
                    Segment(f"{self._counts[status]} ", colors["text"]),
                ]
        noun = "run" if self._total == 1 else "runs"
        counted = f" {self._unread} " if self._unread else f" {self._total:,} {noun} "
        total = [Segment(counted, colors["dim"])]
        return statuses, total, [Segment(" read-only ", colors["warning"])] if self._read_only else []

    def on_resize(self) -> None:
        self.refresh()  # what fits depends on the width

    def on_click(self, event: events.Click) -> None:
        for start, end, mode in self._spans:
            if start <= event.x < end:
                self.post_message(PlaceChosen(mode))


def _size(segments: Sequence[Segment]) -> int:
    """Columns that they take."""
    return sum(cell_len(segment.text) for segment in segments)


class Notice(Static):
    """What is wrong with the store; not there while nothing is."""

    DEFAULT_CSS = """
    Notice { height: auto; max-height: 3; background: $warning 20%; color: $foreground; padding: 0 1; display: none; }
    Notice.-shown { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def show(self, snapshot: StoreSnapshot) -> None:
        """Tell, or leave."""
        trouble = snapshot.state == "trouble" or (snapshot.state == "missing" and bool(snapshot.rows))
        self.set_class(trouble, "-shown")
        if trouble:
            self.update(f"! {snapshot.text}")


class KeyBar(Footer):
    """The keys that are offered. Textual makes them anew whenever the focus moves, which takes as long as drawing the
    rest of the screen; most often they are the same ones."""

    def __init__(self, offers: Callable[[str], bool]) -> None:
        """`offers`: whether an action is offered now."""
        super().__init__(show_command_palette=False)
        self._offers = offers
        self._made: list[tuple[object, ...]] | None = None

    def compose(self) -> ComposeResult:
        children = list(super().compose())
        keys = [child for child in children if isinstance(child, FooterKey) and self._offers(child.action)]
        kept = self._with_room(keys)
        for child in children:
            if isinstance(child, FooterKey):
                if child not in kept:
                    continue
                child.set_reactive(FooterKey.compact, self.compact)  # as it will be bound: no other style in between
            yield child

    def _with_room(self, keys: Sequence[FooterKey]) -> Sequence[FooterKey]:
        """Without the last ones for which there is no room; the very last one leads to the help, which has all."""
        room, kept = self.app.size.width, list(keys)
        while len(kept) > 1 and sum(cell_len(f" {key.key_display} {key.description}") for key in kept) > room:
            kept.pop(-2)
        return kept

    async def on_resize(self) -> None:
        await self.recompose()

    async def recompose(self) -> None:
        if not self.is_attached:
            return
        keys = self._keys()
        if keys != self._made:
            self._made = keys
            await super().recompose()

    def _keys(self) -> list[tuple[object, ...]]:
        active = self.screen.active_bindings.values()
        shown = [each for each in active if each.binding.show and self._offers(each.binding.action)]
        return [*((each.binding, each.enabled, each.tooltip) for each in shown), (self.app.size.width,)]
