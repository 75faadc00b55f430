"""Launch: choose presets, change settings, see what it makes, queue it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from engine.views.plans import Plan, PlannedRun, command_of, filled, is_elsewhere, plan, with_value, words
from engine.views.words import printable
from tfllmer_tui.tui import actions
from tfllmer_tui.tui.messages import SettingEdited
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.tui.screens.base import Page
from tfllmer_tui.tui.snapshot import READING, StoreSnapshot
from tfllmer_tui.tui.widgets.form_line import TARGET, FormBox, FormLine
from tfllmer_tui.tui.widgets.settings_form import SettingsForm
from tfllmer_tui.tui.widgets.table import CellText, Column, VirtualTable
from tfllmer_tui.view.study import time_text
from tfllmer_tui.view.text import STATUS

FORM = (
    FormBox("method", "--method", "tf-llmer"),
    FormBox("ablation", "--ablation", "full"),
    FormBox("dataset", "--dataset", "demo"),
    FormBox("backbone", "--backbone", "sasrec"),
    FormBox("embedding", "--embedding", "the data set's own"),
    FormBox("tuned", "--tuned", "none"),
    FormBox("seeds", "--seeds", "how many, from 0; or 3,4,5"),
    FormBox("set", "--set", "train.epochs=20 backbone.width=32"),
    *TARGET,
)


class LaunchScreen(Page):
    """The form and what it makes."""

    CSS_PATH = "launch.tcss"
    HEADING = "Launch"
    ABOUT = (
        "Several values with commas make a grid. Every setting has a line in the list of settings (ctrl+s); what is "
        "changed there stands in the line set, and in the command. Nothing starts before ctrl+r."
    )
    CHANGES = frozenset({"launch"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "launch", "Launch", id="launch.go"),
        Binding("ctrl+s,f2", "settings", "Settings", id="launch.settings"),
        Binding("ctrl+y", "copy", "Copy the command", id="launch.copy"),
        Binding("i", "form", "Type in the form", id="launch.form"),
        Binding("escape", "leave", "Back", id="launch.back"),
    ]

    def __init__(self, run_id: str | None = None) -> None:
        super().__init__()
        self._from = run_id
        self._plan = Plan()
        self._planned: Mapping[str, str] | None = None
        """What the form held when the plan was made."""
        self._wanted: Mapping[str, str] | None = None
        """What the form held when the launch key was faster than the plan; it is launched once it is planned."""
        self._launched: Mapping[str, str] | None = None
        """What the form held at the last launch."""
        self._state = ""
        self._known: Mapping[str, str] = {}
        """Status of every run by what it computes."""
        self._soon: Timer | None = None

    def compose_body(self) -> Iterable[Widget]:
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                with VerticalScroll(id="form", can_focus=False):
                    for box in FORM:
                        with Horizontal(classes="line", id=f"line-{box.name}"):
                            yield Static(box.name, classes="label")
                            yield FormLine(box.hint, id=box.name)
                    yield Static(READING, id="said", markup=False)
                yield SettingsForm(id="settings")
            with Vertical(id="plan"):
                yield Static(READING, id="said-here", markup=False)
                yield VirtualTable(
                    (
                        Column("status", "", 1),
                        Column("arm", "arm", 14, 0, grow=3, most=40),
                        Column("dataset", "dataset", 8, 3, grow=1, most=16),
                        Column("backbone", "backbone", 8, 2),
                        Column("seed", "seed", 4, 1, right=True),
                        Column("changes", "overrides", 9, 4, grow=2, most=60),
                    ),
                    _cells,
                    id="grid",
                )
                yield Static(id="command", markup=False)

    def on_mount(self) -> None:
        self.query_one("#method", FormLine).focus()
        self.think("words", words, self._show_words)
        if self._from is not None:
            wanted = self._from
            self.read("source", lambda store: filled(store, wanted), self._fill)
        self._plan_soon()

    def on_screen_resume(self) -> None:
        if self.focused is None:  # a screen that lay over this one leads back to where one was
            self.start_typing()

    def arrive(self, run_ids: Sequence[str]) -> None:
        self.start_typing()

    def start_typing(self) -> None:
        """Whoever comes here types into the form."""
        if self.is_mounted and not isinstance(self.focused, FormLine):
            self.remove_class("-settings")
            self.query_one("#method", FormLine).focus()

    def recolor(self) -> None:
        super().recolor()
        if self._planned is not None:
            self._show_plan(self._plan, self._planned)

    def _show_words(self, words: Mapping[str, Sequence[str]]) -> None:
        for box in FORM:
            if known := words.get(box.name, ()):
                self.query_one(f"#{box.name}", FormLine).know(
                    box.hint if box.name == "set" else box.hint_with(known), known
                )

    def _fill(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            self.query_one(f"#{name}", FormLine).value = value

    @property
    def values(self) -> dict[str, str]:
        """What is in the form."""
        return {box.name: self.query_one(f"#{box.name}", FormLine).value.strip() for box in FORM}

    # -------------------------------------------------------------------------------- the plan

    @on(Input.Changed)
    def _changed(self) -> None:
        if self._wanted != self.values:  # the news of what was typed before the key may come after it
            self._wanted = None
        self._show_target()
        self._plan_soon()

    def _show_target(self) -> None:
        """What jobs ask for has a line where there are any."""
        values = self.values
        self.set_class(is_elsewhere(values["on"], values["cluster"]), "-elsewhere")

    def _plan_soon(self) -> None:
        if self._soon is not None:
            self._soon.stop()
        self._soon = self.set_timer(0.15, self._make_plan)

    def show_news(self, snapshot: StoreSnapshot) -> None:
        """Plan again when other runs are there, or have ended."""
        known = {row.spec_hash: row.status for row in snapshot.rows.values()}
        if (snapshot.state, known) != (self._state, self._known):
            self._state, self._known = snapshot.state, known
            self._plan_soon()

    def _make_plan(self) -> None:
        values = self.values
        if self.context.read_only:  # nor does the form tell someone who may only look which files there are
            self._show_plan(Plan(error="read-only: nothing can be launched from this view"), values)
            return
        store = self.context.store
        if store is None and self.context.snapshot.state == "opening":
            return  # which of the runs are there is not known yet: the news that it is make the plan
        self.think("plan", lambda: plan(values, store), lambda outcome: self._show_plan(outcome, values))

    def _show_plan(self, outcome: Plan, values: Mapping[str, str]) -> None:
        self._plan, self._planned = outcome, values
        colors = inks(self.app.current_theme)
        grid = self.query_one("#grid", VirtualTable)
        grid.empty_text = ""
        grid.show(outcome.runs)
        said = _said(outcome, colors)
        self.query_one("#said", Static).update(said)
        self.query_one("#said-here", Static).update(Text(" · ", colors["dim"]).join(said.split("\n")))
        self.call_after_refresh(self._place_said)
        self._show_settings()
        command = command_of(values) if not outcome.error else ""
        self.query_one("#command", Static).update(Text(command, colors["dim"], overflow="fold"))
        if self._wanted == values:
            self.action_launch()

    def on_resize(self) -> None:
        self.call_after_refresh(self._place_said)

    def _place_said(self) -> None:
        """Where the form has no room for what is said below it, that stands over the plan."""
        self.set_class(self.query_one("#form", VerticalScroll).max_scroll_y > 0, "-cut")

    # -------------------------------------------------------------------------------- settings

    def _show_settings(self) -> None:
        self.query_one(SettingsForm).show(self._plan.fields, self.values["set"], self._plan.error)

    @on(SettingEdited)
    def _edited(self, event: SettingEdited) -> None:
        """The --set line is what counts; the list only shows it."""
        line = self.query_one("#set", FormLine)
        line.value = with_value(line.value, event.path, event.value)
        self._show_settings()

    def action_form(self) -> None:
        """Back into the form, from the keys."""
        self.start_typing()

    def action_settings(self) -> None:
        """To the list of settings; once more, and back to the form."""
        if self.has_class("-settings") and self._in_settings:
            self._close_settings()
        else:
            self.add_class("-settings")
            self.call_after_refresh(self.query_one(SettingsForm).focus_list)

    def _close_settings(self) -> None:
        self.remove_class("-settings")
        self.query_one("#set", FormLine).focus()

    @property
    def _in_settings(self) -> bool:
        return self.focused is not None and self.query_one(SettingsForm) in self.focused.ancestors

    # -------------------------------------------------------------------------------- keys

    def action_launch(self) -> None:
        values = self.values
        if self._planned != values:
            self._wanted = values
            self._make_plan()
            return
        self._wanted = None
        if self._plan.error or not self._plan.runs:
            self.notify(self._plan.error or "nothing to launch", severity="error", markup=False)
            return
        there = self._plan.there
        if values == self._launched or there.total() == len(self._plan.runs):
            states = ", ".join(f"{count} {status}" for status, count in there.items()) or "just launched"
            question = f"These runs are there already ({states}). Launch the same once more?"
            self.ask("launch again", question, lambda: self._launch(values))
        else:
            self._launch(values)

    def _launch(self, values: Mapping[str, str]) -> None:
        self._launched = values
        runs = self._plan.launched
        commands = [run.command for run in runs]
        self.context.do(actions.launch, [run.resolved for run in runs], commands, values["on"], values["cluster"])

    def action_copy(self) -> None:
        if self._plan.error or self._planned is None:
            self.notify(self._plan.error, severity="error", markup=False)
        else:
            self.context.copy("command", command_of(self._planned))

    async def action_leave(self) -> None:
        if self._in_settings:
            self._close_settings()
        elif len(self.app.screen_stack) > 1:
            await self.context.action_back()
        else:
            self.context.action_go("runs")

    def commands(self) -> Iterable[SystemCommand]:
        if self._plan.runs:
            yield SystemCommand("Launch", f"Queue {len(self._plan.launched)} run(s)", self.action_launch)
        yield SystemCommand("Settings", "Every setting, with where its value comes from", self.action_settings)
        yield SystemCommand("Copy the command", "The same on the command line", self.action_copy)


def _cells(run: PlannedRun, columns: Sequence[Column], colors: Inks) -> Sequence[CellText]:
    experiment = run.resolved.experiment
    mark = STATUS[run.known][0] if run.known in STATUS else "+"
    changes = ", ".join(f"{name}={value}" for name, value in run.resolved.overrides.items())
    text = colors["dim" if run.known == "finished" else "text"]
    cells: dict[str, CellText] = {
        "status": [(mark, colors.status(run.known) if run.known else colors["primary"])],
        "arm": [(printable(experiment.arm), text)],
        "dataset": [(printable(experiment.data.name), text)],
        "backbone": [(printable(experiment.backbone.name), text)],
        "seed": [(str(experiment.seed), text)],
        "changes": [(printable(changes), colors["dim"])],
    }
    return [cells[column.key] for column in columns]


def _said(outcome: Plan, colors: Inks) -> Text:
    if outcome.error:
        return Text(f"✗ {outcome.error}", colors["error"])
    there, count = outcome.there, len(outcome.runs) - outcome.there.total()
    text = Text.assemble((f"{count}", colors["bold"]), (" new run" if count == 1 else " new runs", colors["text"]))
    if there:
        text.append(f" · {', '.join(f'{n} {status}' for status, n in there.items())} already", colors["dim"])
    if outcome.time is not None and (left := time_text(outcome.time)):
        text.append(f"\n{left}", colors["dim"])
    text.append(f"\nctrl+r launches{'' if count else ' the same once more'}", colors["primary"])
    return text
