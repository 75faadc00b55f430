"""A form of every setting: a list in sections, a line that finds, the words about one, a line that edits it.

It owns no values: it shows a plan's settings with the --set line over them, and posts what is edited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from engine.views.plans import FieldState, value_in
from engine.views.words import printable
from tfllmer_tui.tui.messages import ChoiceTurned, FindRequested, LineLeft, RowChosen, RowReached, SettingEdited
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.tui.snapshot import READING
from tfllmer_tui.tui.widgets.completed import TextLine
from tfllmer_tui.tui.widgets.table import CellText, Column, VirtualTable


@dataclass(frozen=True)
class FormHeading:
    """A line over the settings of one part."""

    id: str


FormRow: TypeAlias = "FieldState | FormHeading"


class SettingsTable(VirtualTable[FormRow]):
    """The list; the cursor passes over headings."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,space", "turn(1)", "Next choice", id="settings.next"),
        Binding("left", "turn(-1)", "Choice before", show=False, id="settings.before"),
        Binding("backspace,delete", "reset", "Reset", id="settings.reset"),
        Binding("slash", "find", "Find", id="settings.find"),
        Binding("enter", "choose", "Edit", id="settings.edit"),
    ]

    def across(self, row: FormRow, colors: Inks) -> tuple[str, Style] | None:
        return (row.id, colors["head"]) if isinstance(row, FormHeading) else None

    def action_move(self, by: int) -> None:
        super().action_move(by)
        step = 1 if by > 0 else -1
        while isinstance(self.row, FormHeading):
            if not 0 < self.cursor + step < len(self.rows):
                step = 1
            super().action_move(step)

    def _keep_in_sight(self) -> None:
        super()._keep_in_sight()
        if self.cursor == 1 and self.size.height > 2:  # and the heading above it
            self.scroll_to(y=0, animate=False, force=True)

    def action_top(self) -> None:
        self.cursor = min(1, len(self.rows) - 1)
        self._keep_in_sight()

    def action_turn(self, by: int) -> None:
        self.post_message(ChoiceTurned(by))

    def action_reset(self) -> None:
        self.post_message(ChoiceTurned(0))

    def action_find(self) -> None:
        self.post_message(FindRequested())


class SettingLine(TextLine):
    """A line that gives way to the list. Escape takes back what was typed since it was entered."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave(True)", "Take back", id="settings.back"),
        Binding("down,enter", "leave(False)", "To the list", show=False, id="settings.leave"),
        Binding("tab", "complete", "Complete", show=False, id="settings.complete"),
    ]
    before = ""

    def on_focus(self) -> None:
        self.before = self.value

    def action_leave(self, back: bool = False) -> None:
        if back:
            self.value = self.before
        self.post_message(LineLeft())


class SettingsForm(Vertical):
    """The form."""

    DEFAULT_CSS = """
    SettingsForm > .settings-line { height: 1; }
    SettingsForm .settings-label { width: auto; max-width: 60%; padding: 0 1; color: $primary; text-style: bold; }
    SettingsForm .settings-line Input { width: 1fr; background: $surface; }
    SettingsForm > #fields { height: 1fr; }
    SettingsForm > #about-field { height: 3; padding: 0 1; color: $foreground 70%; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._states: tuple[FieldState, ...] = ()
        self._sets, self._wrong = "", ""
        self._of: str | None = None  # the setting whose value the line at the bottom holds

    def compose(self) -> ComposeResult:
        with Horizontal(classes="settings-line"):
            yield Static("find", classes="settings-label")
            yield SettingLine(
                placeholder="lr, graph, dropout; settings changed here are marked", id="find", compact=True
            )
        columns = (
            Column("name", "setting", 24, 0, grow=1, most=32),
            Column("value", "value", 14, 1, grow=1, most=40),
            Column("origin", "origin", 14, 2, grow=2, most=44),
        )
        yield SettingsTable(columns, self._cells, id="fields")
        yield Static(id="about-field", markup=False)
        with Horizontal(classes="settings-line"):
            yield Static("", id="value-label", classes="settings-label", markup=False)
            yield SettingLine(id="value", compact=True)

    # -------------------------------------------------------------------------------- content

    def show(self, states: Sequence[FieldState], sets: str, wrong: str) -> None:
        """The settings of a plan, or the last ones where it has none; the --set line; what is wrong with it."""
        self._states = tuple(states) or self._states
        self._sets, self._wrong = sets, wrong
        self._list()

    def _list(self) -> None:
        words = self.query_one("#find", SettingLine).value.lower().split()
        lines: list[FormRow] = []
        for state in _found(self._states, words):
            heading = FormHeading(state.field.section or "run")
            if heading not in lines:
                lines.append(heading)
            lines.append(state)
        table = self.query_one("#fields", SettingsTable)
        waits = "shown as soon as the form above fits" if self._wrong else READING
        table.empty_text = "no setting has these words" if self._states else waits
        table.show(lines)
        if isinstance(table.row, FormHeading):
            table.action_move(1)
        self._show_one()

    @property
    def state(self) -> FieldState | None:
        """The setting under the cursor."""
        row = self.query_one("#fields", SettingsTable).row
        return row if isinstance(row, FieldState) else None

    def _show_one(self) -> None:
        state, line = self.state, self.query_one("#value", SettingLine)
        colors = inks(self.app.current_theme)
        line.disabled = state is None
        if state is None:
            self.query_one("#value-label", Static).update("")
            self.query_one("#about-field", Static).update("")
            return
        self.query_one("#value-label", Static).update(state.field.path)
        own_value = value_in(self._sets, state.field.path)
        if not (line.has_focus and self._of == state.field.path):
            line.suggester = SuggestFromList(state.field.choices, case_sensitive=False)
            line.placeholder = state.field.takes
            with line.prevent(Input.Changed):
                line.value = own_value if own_value is not None else " | ".join(state.values)
        self._of = state.field.path
        about = Text(state.field.description, colors["text"])
        about.append(f"\n{state.field.takes}", colors["dim"])
        if own_value is not None and state.base is not None:
            about.append(f" · {state.base} without the change", colors["dim"])
        self.query_one("#about-field", Static).update(about)

    def _cells(self, row: FormRow, columns: Sequence[Column], colors: Inks) -> Sequence[CellText]:
        if isinstance(row, FormHeading):
            return [[] for _ in columns]
        path = row.field.path
        own_value = value_in(self._sets, path)
        changed = own_value is not None
        wrong = changed and path in self._wrong
        style = colors["error" if wrong else "accent" if changed else "text"]
        value = own_value if own_value is not None else " | ".join(row.values)
        was = f" ← {row.base}" if changed and row.base is not None and row.base != value else ""
        origin = "--set" if changed else row.origin
        quiet = colors["faint" if origin == "default" else "dim"]
        cells: dict[str, CellText] = {
            "name": [("✗ " if wrong else "● " if changed else "  ", style), (path, style)],
            "value": [(printable(value), style + Style(bold=changed)), (was, colors["dim"])],
            "origin": [(printable(origin), colors["accent"] if changed else quiet)],
        }
        return [cells[column.key] for column in columns]

    # -------------------------------------------------------------------------------- keys

    def focus_list(self) -> None:
        """To choose."""
        self.screen.set_focus(self.query_one("#fields", SettingsTable))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if event.input.id == "find":
            self._list()
            self.query_one("#fields", SettingsTable).action_top()
        elif self.state is not None and event.input.has_focus:
            self._edit(self.state, event.value.strip())

    def _edit(self, state: FieldState, value: str) -> None:
        """A value as typed; the presets' own is no change, nor is nothing."""
        self.post_message(SettingEdited(state.field.path, None if value in ("", state.base) else value))

    @on(ChoiceTurned)
    def _turned(self, event: ChoiceTurned) -> None:
        state = self.state
        if state is None:
            return
        if not event.by:
            self._edit(state, "")
            return
        choices = state.field.choices
        if not choices:
            self.query_one("#value", SettingLine).focus()
            return
        now = value_in(self._sets, state.field.path) or state.values[0]
        at = choices.index(now) if now in choices else -event.by
        self._edit(state, choices[(at + event.by) % len(choices)])

    @on(FindRequested)
    def _find(self) -> None:
        self.query_one("#find", SettingLine).focus()

    @on(LineLeft)
    def _left(self, event: LineLeft) -> None:
        event.stop()
        self.focus_list()
        self._show_one()

    @on(RowReached)
    def _moved(self, event: RowReached) -> None:
        event.stop()
        self._show_one()

    @on(RowChosen)
    def _chosen(self, event: RowChosen) -> None:
        event.stop()
        if self.state is not None:
            self.query_one("#value", SettingLine).focus()


def _found(states: Iterable[FieldState], words: Sequence[str]) -> list[FieldState]:
    """Settings whose names have all the words; else those whose descriptions do."""
    states = list(states)
    by_name = [state for state in states if all(word in state.field.path.lower() for word in words)]
    return by_name or [state for state in states if all(word in state.field.description.lower() for word in words)]
