"""Columns: which ones the table of runs shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import SelectionList
from textual.widgets.selection_list import Selection

from tfllmer_tui.tui.screens.overlay import Overlay
from tfllmer_tui.tui.widgets.table import Column


class ColumnsScreen(Overlay[frozenset[str]]):
    """A list to choose from; it ends with the keys of the columns that are to be hidden."""

    DEFAULT_CSS = """
    ColumnsScreen { align: center middle; }
    ColumnsScreen SelectionList {
        width: 36; height: auto; max-height: 90%; border: round $border; border-title-color: $primary;
        border-subtitle-color: $foreground 50%; background: $surface; padding: 0 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,vertical_line", "done", "Close", show=False, id="columns.close"),
        Binding("j", "list('down')", "Down", show=False, id="columns.down"),
        Binding("k", "list('up')", "Up", show=False, id="columns.up"),
    ]

    def __init__(self, columns: Sequence[Column], hidden: Collection[str]) -> None:
        super().__init__()
        self._columns, self._hidden = columns, hidden

    def compose(self) -> ComposeResult:
        chosen = [
            Selection(column.title or column.key, column.key, column.key not in self._hidden)
            for column in self._columns
        ]
        choices = SelectionList[str](*chosen)
        choices.border_title, choices.border_subtitle = "columns", "space · Esc"
        yield choices

    def action_list(self, way: str) -> None:
        choices = self.query_one(SelectionList)
        (choices.action_cursor_down if way == "down" else choices.action_cursor_up)()

    def action_done(self) -> None:
        selected = set(self.query_one(SelectionList).selected)
        self.end(frozenset(column.key for column in self._columns if column.key not in selected))
