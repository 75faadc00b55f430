"""A table that draws only the lines on screen, so that ten thousand rows cost no more than fifty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tfllmer_tui.tui.messages import ColumnsFitted, RowChosen, RowReached, SortChosen
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.tui.snapshot import READING
from tfllmer_tui.tui.widgets.lines import LineWidget

Row = TypeVar("Row")
CellText: TypeAlias = "Sequence[tuple[str, Style]]"
"""Pieces of text, each in one style."""


@dataclass(frozen=True)
class Column:
    """A column: it gives way first where `rank` is largest, and takes spare room by `grow`: first of all as far as its
    longest text needs it, where that is known (`text_width`). `full` is its title where there is room for it, `ink` the
    style of its title where that is its own."""

    key: str
    title: str
    width: int
    rank: int = 0
    right: bool = False
    grow: int = 0
    most: int = 60
    full: str = ""
    text_width: int = 0
    ink: Style | None = None


class VirtualTable(ScrollView, LineWidget, Generic[Row], can_focus=True):
    """Rows with a cursor. A subclass or its owner says what is in a cell (`cells`)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="table.page-down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="table.page-up"),
        Binding("home,g", "top", "First", show=False, id="table.first"),
        Binding("end,G", "bottom", "Last", show=False, id="table.last"),
        Binding("enter", "choose", "Open", show=True, id="table.open"),
    ]
    DEFAULT_CSS = """
    VirtualTable { background: $background; scrollbar-size-vertical: 1; overflow-x: hidden; overflow-y: auto; }
    """

    cursor: reactive[int] = reactive(0, repaint=False)

    def __init__(
        self,
        columns: Sequence[Column],
        cells: Callable[[Row, Sequence[Column], Inks], Sequence[CellText]],
        *,
        key_of: Callable[[Row], str] = lambda row: str(getattr(row, "id", row)),
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._columns, self._cells_of, self._key_of = tuple(columns), cells, key_of
        self.rows: Sequence[Row] = ()
        self.sorted_by: tuple[str, bool] | None = None
        self.empty_text = READING
        """What stands in place of rows; that they are read, until the owner has read them."""
        self._fitted: tuple[Column, ...] = ()
        self._strips: LRUCache[tuple[Any, ...], tuple[Row, Strip]] = LRUCache(1024)
        self._generation = 0

    # -------------------------------------------------------------------------------- content

    def show(self, rows: Sequence[Row], *, keep: bool = True, only_changed: bool = False) -> None:
        """Show these rows. With `keep` the cursor stays on the row that it is on, wherever that has gone. With
        `only_changed` a row that is the very object that was there looks as it did, so its line is not drawn."""
        before = self.row
        at = self.cursor
        key = self._key_of(before) if before is not None else None
        old, self.rows = self.rows, rows
        if keep and key is not None and not (at < len(rows) and self._key_of(rows[at]) == key):
            at = next((i for i, row in enumerate(rows) if self._key_of(row) == key), at)
        self.virtual_size = Size(0, len(rows) + 1)
        if only_changed and len(old) == len(rows) and at == self.cursor:
            top = self.scroll_offset.y
            for index in range(top, min(top + self.size.height - 1, len(rows))):
                if rows[index] is not old[index]:
                    self.refresh(Region(0, index - top + 1, self.size.width, 1))
            return
        self.refresh_rows()
        self.set_reactive(VirtualTable.cursor, -1)
        self.cursor = max(0, min(at, len(rows) - 1))

    def refresh_rows(self) -> None:
        """Draw anew: cells, marks or colours have changed."""
        self._generation += 1
        self._strips.clear()
        self.refresh()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Other columns, or another order."""
        self._columns = tuple(columns)
        self._fit()
        self.refresh_rows()

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    @property
    def shown_columns(self) -> list[Column]:
        """The columns that there is room for, as wide as they are drawn."""
        return list(self._fitted)

    # -------------------------------------------------------------------------------- layout

    def _fit(self) -> None:
        """Drop the columns that there is no room for, and share what is left."""
        room = self.size.width - 2
        columns = list(self._columns)
        while len(columns) > 1 and sum(c.width + 1 for c in columns) > room:
            columns.remove(max(columns, key=lambda c: c.rank))
        widths = {column.key: column.width for column in columns}
        spare = room - sum(c.width + 1 for c in columns)
        spare = widen(columns, widths, spare, lambda column: min(column.text_width, column.most))
        widen(columns, widths, spare, lambda column: column.most)
        self._fitted = tuple(replace(c, width=widths[c.key]) for c in columns)

    def on_resize(self, event: events.Resize) -> None:
        before = [column.key for column in self._fitted]
        self._fit()
        if [column.key for column in self._fitted] != before:
            self.post_message(ColumnsFitted())
        self.virtual_size = Size(0, len(self.rows) + 1)
        self.refresh_rows()
        self._keep_in_sight()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    # -------------------------------------------------------------------------------- drawing

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        colors = inks(self.app.current_theme)
        if y == 0:
            return self._head(width, colors)
        index = y - 1 + self.scroll_offset.y
        if index >= len(self.rows):
            text = f"  {self.empty_text}" if not self.rows and y == 1 else ""
            return Strip([Segment(text, colors["dim"])]).adjust_cell_length(width).apply_style(self.rich_style)
        on = index == self.cursor
        row = self.rows[index]
        background = self.background_of(row, colors)
        if on:
            background = colors["cursor"] if self.has_focus else colors["cursor-away"]
        key = (self._key_of(row), index if on else -1, on and self.has_focus, width, self._generation, self.app.theme)
        cached = self._strips.get(key)
        if cached is None or cached[0] is not row:
            strip = self._line(row, width, colors).apply_style(self.rich_style + (background or Style.null()))
            cached = self._strips[key] = (row, strip)
        return cached[1]

    def background_of(self, row: Row, colors: Inks) -> Style | None:
        """The background of a row without the cursor."""
        return None

    def gutter_of(self, row: Row, colors: Inks) -> tuple[str, Style]:
        """The first character of a row."""
        return " ", Style.null()

    def across(self, row: Row, colors: Inks) -> tuple[str, Style] | None:
        """What runs over all columns in place of cells: a heading, or a note."""
        return None

    def _line(self, row: Row, width: int, colors: Inks) -> Strip:
        mark, style = self.gutter_of(row, colors)
        segments = [Segment(mark, style)]
        if (text := self.across(row, colors)) is not None:
            return Strip([*segments, Segment(*text)]).adjust_cell_length(width)
        cells = self._cells_of(row, self._fitted, colors)
        for column, cell in zip(self._fitted, cells, strict=True):
            segments += fitted(cell, column.width, column.right)
            segments.append(Segment(" "))
        return Strip(segments).adjust_cell_length(width)

    def _head(self, width: int, colors: Inks) -> Strip:
        segments = [Segment(" ")]
        for column in self._fitted:
            style, title = column.ink or colors["head"], column.title
            if column.full and cell_len(column.full) < column.width:
                title = column.full
            if self.sorted_by and self.sorted_by[0] == column.key:
                style = colors["sorted"]
                arrow = "↓" if self.sorted_by[1] else "↑"
                title = f"{arrow}{title}" if column.right else f"{title}{arrow}"
            segments += [*fitted([(title, style)], column.width, column.right), Segment(" ")]
        return Strip(segments).adjust_cell_length(width).apply_style(self.rich_style)

    # -------------------------------------------------------------------------------- cursor

    def watch_cursor(self, before: int, now: int) -> None:
        self._keep_in_sight()
        for index in (before, now):
            y = index - self.scroll_offset.y + 1
            if 0 < y < self.size.height:
                self.refresh(Region(0, y, self.size.width, 1))
        if (row := self.row) is not None:
            self.post_message(RowReached(row))

    def _keep_in_sight(self) -> None:
        if not self.size.height:  # before it is laid out every row but the first would be out of sight
            return
        page = max(self.size.height - 1, 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True)
        elif self.cursor >= top + page:
            self.scroll_to(y=self.cursor - page + 1, animate=False, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.refresh()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def action_move(self, by: int) -> None:
        self.cursor = max(0, min(self.cursor + by, len(self.rows) - 1))

    def action_page(self, by: int) -> None:
        self.action_move(by * max(self.size.height - 2, 1))

    def action_top(self) -> None:
        self.cursor = 0

    def action_bottom(self) -> None:
        self.cursor = max(0, len(self.rows) - 1)

    def action_choose(self) -> None:
        if (row := self.row) is not None:
            self.post_message(RowChosen(row))

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            x = 1
            for column in self._fitted:
                if x <= event.x < x + column.width + 1:
                    self.post_message(SortChosen(column.key))
                x += column.width + 1
            return
        index = event.y - 1 + self.scroll_offset.y
        if index < len(self.rows):
            if index == self.cursor and event.chain > 1:
                self.action_choose()
            self.cursor = index


def fitted(cell: CellText, room: int, right: bool = False) -> list[Segment]:
    """The pieces in exactly `room` columns, cut with an ellipsis."""
    total = sum(cell_len(text) for text, _ in cell)
    pad = Segment(" " * max(room - total, 0))
    if total <= room:
        body = [Segment(text, style) for text, style in cell]
        return [pad, *body] if right else [*body, pad]
    segments, left = [], room - 1
    for text, style in cell:
        size = cell_len(text)
        if size > left:
            segments.append(Segment(f"{set_cell_size(text, max(left, 0))}…", style))
            break
        segments.append(Segment(text, style))
        left -= size
    return segments


def widen(columns: Sequence[Column], widths: dict[str, int], spare: int, limit: Callable[[Column], int]) -> int:
    """Share spare room among the columns that grow, each up to its limit; what is left of it."""
    while spare > 0 and (
        growing := [column for column in columns if column.grow and widths[column.key] < limit(column)]
    ):
        for column in growing:
            step = min(column.grow, spare, limit(column) - widths[column.key])
            widths[column.key] += step
            spare -= step
    return spare
