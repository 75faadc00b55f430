"""Help: the keys of where one is, made from the bindings themselves."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from tfllmer_tui.tui.keys import keys_file
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.tui.screens.compare import ComparisonTable
from tfllmer_tui.tui.screens.geometry import GeometryTable
from tfllmer_tui.tui.screens.overlay import Overlay
from tfllmer_tui.tui.widgets.chart import Chart
from tfllmer_tui.tui.widgets.completed import TextLine
from tfllmer_tui.tui.widgets.filter_bar import FilterLine
from tfllmer_tui.tui.widgets.form_line import FormLine
from tfllmer_tui.tui.widgets.log_view import LogView
from tfllmer_tui.tui.widgets.settings_form import SettingLine, SettingsTable
from tfllmer_tui.tui.widgets.table import VirtualTable
from tfllmer_tui.view.text import STATUS


class HelpScreen(Overlay[None]):
    """The keys that hold on the screen below."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "end", "Close", show=False, id="help.close")
    ]

    def __init__(self, about: Screen[Any]) -> None:
        super().__init__()
        self._about = about

    def compose(self) -> ComposeResult:
        heading = getattr(self._about, "HEADING", "") or "Help"
        with VerticalScroll(id="box") as box:
            box.border_title = heading
            box.border_subtitle = "Esc closes"
            yield Static(id="text")

    def on_mount(self) -> None:
        colors = inks(self.app.current_theme)
        self.query_one("#text", Static).update(_text(self._about, colors))
        self.query_one("#box").focus()


def _text(about: Screen[Any], colors: Inks) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", no_wrap=True, min_width=12)
    grid.add_column()
    sentence = getattr(about, "ABOUT", "")
    if sentence:
        grid.add_row("", Text(sentence, colors["dim"]))
        grid.add_row()
    for title, bindings in sections(about):
        grid.add_row("", Text(title, colors["head"]))
        for keys, words in bindings:
            grid.add_row(Text(keys, colors["key"]), Text(words, colors["text"]))
        grid.add_row()
    grid.add_row("", Text("status marks", colors["head"]))
    for status, (mark, _) in STATUS.items():
        grid.add_row(Text(mark, colors.status(status)), Text(status, colors["text"]))
    grid.add_row()
    grid.add_row("", Text(f"Other keys: {keys_file()} maps ids such as runs.mark to keys", colors["dim"]))
    return grid


def sections(about: Screen[Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What each key does: for the screen, for the widgets on it, and everywhere."""
    parts: list[tuple[str, list[tuple[str, str]]]] = []
    groups: dict[str, dict[str, list[str]]] = {}
    nodes = [about, *(widget for widget in about.walk_children(Widget) if widget.can_focus), about.app]
    for node in nodes:
        title = _title(node, about)
        for _, binding in node._bindings:
            withheld = about.app._check_action_state(binding.action, node) is False
            if binding.description and binding.id and not binding.system and not withheld:
                key = binding.key_display or about.app.get_key_display(binding)
                keys = groups.setdefault(title, {}).setdefault(binding.description, [])
                if key not in keys:
                    keys.append(key)
    for title, lines in groups.items():
        parts.append((title, [(" ".join(keys), words) for words, keys in lines.items()]))
    return parts


def _title(node: Any, about: Screen[Any]) -> str:
    if node is about:
        return "on this screen"
    if node is about.app:
        return "everywhere"
    return next((title for kind, title in _TITLES if isinstance(node, kind)), f"in the {type(node).__name__.lower()}")


_TITLES: tuple[tuple[type[Widget], str], ...] = (
    (SettingsTable, "in the settings"),
    (ComparisonTable, "in the lines"),
    (GeometryTable, "in the lines"),
    (VirtualTable, "in the table"),
    (Chart, "in a chart"),
    (FilterLine, "in the filter"),
    (SettingLine, "in a line of the settings"),
    (FormLine, "in the form"),
    (TextLine, "in a line of text"),
    (LogView, "in the text"),
)
