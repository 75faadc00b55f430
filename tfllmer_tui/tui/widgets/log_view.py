"""A log that draws only the lines on screen, follows its end until one scrolls up, and can be searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.views.words import printable
from tfllmer_tui.tui.palette import inks
from tfllmer_tui.tui.widgets.lines import LineWidget

MOST_BYTES = 8 << 20
"""Of a longer log, the end is shown."""


class LogView(ScrollView, LineWidget, can_focus=True):
    """Lines of text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down", "Down", show=False, id="log.down"),
        Binding("k,up", "scroll_up", "Up", show=False, id="log.up"),
        Binding("end,G", "follow", "To the end, and follow", show=False, id="log.follow"),
        Binding("home,g", "scroll_home", "To the beginning", show=False, id="log.first"),
        Binding("n", "next_hit(1)", "Next hit", show=False, id="log.next"),
        Binding("N", "next_hit(-1)", "Hit before", show=False, id="log.previous"),
    ]
    DEFAULT_CSS = """
    LogView { background: $background; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: list[str] = []
        self.following = True
        self.waiting = "reading…"
        self._needle = ""
        self._hit = -1
        self._torn = ""

    def clear(self) -> None:
        """No line."""
        self.lines, self._torn, self._hit = [], "", -1
        self._measure()

    def show(self, text: str) -> None:
        """This text in place of what there was, from its beginning."""
        self.clear()
        self.add(text)
        self.scroll_to(0, 0, animate=False, force=True)
        self.following = False

    def add(self, text: str) -> None:
        """More of the file; a line that is not finished yet is shown as far as it goes."""
        if not text:
            return
        if self._torn:
            self.lines.pop()
        new = (self._torn + text).split("\n")
        self._torn = new[-1]
        if not self._torn:
            new.pop()
        self.lines += [printable(line.rsplit("\r", 1)[-1].replace("\t", "    ")) for line in new]
        self._measure()

    def _measure(self) -> None:
        width = max((len(line) for line in self.lines[-2000:]), default=0)
        self.virtual_size = Size(width + 1, len(self.lines))
        self.call_after_refresh(self._keep_following)
        self.refresh()

    def _keep_following(self) -> None:
        """To the end, unless somebody has gone elsewhere since this was asked for."""
        if self.following:
            self.scroll_end(animate=False, force=True, immediate=True)

    def scroll_to(self, x: float | None = None, y: float | None = None, **options: Any) -> None:
        """As Textual does it; whoever goes elsewhere does not follow any more, from the key on."""
        if y is not None:
            self.following = y >= self.max_scroll_y
        super().scroll_to(x, y, **options)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.following = new_value >= self.max_scroll_y
        self.refresh()

    def action_follow(self) -> None:
        self.following = True
        self._keep_following()

    # -------------------------------------------------------------------------------- search

    def search(self, needle: str) -> int:
        """Mark the lines that hold the text, and go to the last one; how many there are."""
        self._needle = needle.casefold()
        self._hit = len(self.lines)
        hits = sum(self._needle in line.casefold() for line in self.lines) if needle else 0
        if hits:
            self.action_next_hit(-1)
        self.refresh()
        return hits

    def action_next_hit(self, by: int) -> None:
        if not self._needle:
            return
        steps = range(self._hit + by, len(self.lines) if by > 0 else -1, by)
        hit = next((i for i in steps if self._needle in self.lines[i].casefold()), None)
        if hit is not None:
            self._hit = hit
            self.following = False
            self.scroll_to(y=max(0, hit - self.size.height // 2), animate=False)
            self.refresh()

    # -------------------------------------------------------------------------------- drawing

    def render_line(self, y: int) -> Strip:
        colors = inks(self.app.current_theme)
        left, top = self.scroll_offset
        index = top + y
        width = self.size.width
        if index >= len(self.lines):
            text = self.waiting if not self.lines and y == 0 else ""
            return Strip([Segment(text, colors["dim"])]).adjust_cell_length(width).apply_style(self.rich_style)
        line = self.lines[index]
        segments = [Segment(line, colors["text"])]
        if self._needle:
            at = line.casefold().find(self._needle)
            if at >= 0:
                end = at + len(self._needle)
                style = colors["found"] if index == self._hit else colors["found"] + colors["text"]
                segments = [
                    Segment(line[:at], colors["text"]),
                    Segment(line[at:end], style),
                    Segment(line[end:], colors["text"]),
                ]
        strip = Strip(segments).crop_extend(left, left + width, self.rich_style)
        return strip.apply_style(self.rich_style)


def read_more(path: Path, offset: int) -> tuple[str, int]:
    """What the file holds behind `offset`, and where that ends; of a very long one only its end. For threads."""
    try:
        size = path.stat().st_size
        if size < offset:
            offset = 0
        offset = max(offset, size - MOST_BYTES)
        with open(path, "rb") as file:
            file.seek(offset)
            block = file.read(size - offset)
    except OSError:
        return "", offset
    return block.decode(errors="replace"), offset + len(block)
