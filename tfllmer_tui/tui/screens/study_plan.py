"""One study before it is launched: its question, what exists, what is missing, the time, the command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.console import Group
from rich.text import Text
from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from engine.views.plans import StudyPart, check_target, is_elsewhere, study_command, target_words
from engine.views.words import printable
from tfllmer_tui.tui import actions
from tfllmer_tui.tui.palette import inks
from tfllmer_tui.tui.screens.base import Page
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.widgets.form_line import TARGET, FormLine, Words

if TYPE_CHECKING:
    from engine.store import Store
    from engine.views.study import StudyState


@dataclass(frozen=True)
class StudyPreview:
    """A study with its cells as the store has them or what is wrong with what was typed."""

    part: StudyPart
    meaning: str = ""
    question: str = ""
    axes: Mapping[str, str] | None = None
    now: StudyState | None = None
    error: str = ""


class StudyPlanScreen(Page):
    """What `tfllmer study run` would do, and a key that does it."""

    CSS_PATH = "study_plan.tcss"
    HEADING = "Launch a study"
    ABOUT = "A mark for every run of a study: what exists already is left alone. Nothing is queued before ctrl+r."
    CHANGES = frozenset({"launch", "again"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "launch", "Launch", id="study.go"),
        Binding("ctrl+t", "again", "Failed ones too", id="study.again"),
        Binding("ctrl+y", "copy", "Copy the command", id="study.copy"),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._study = name
        self._preview = StudyPreview(StudyPart(name))
        self._again = False
        """Whether failed runs are queued again too."""
        self._soon: Timer | None = None
        self._seen: int | None = None

    def compose_body(self) -> Iterable[Widget]:
        yield Static(printable(self._study), id="about", markup=False)
        for name, hint in (
            ("only", "all of it; dataset=ml-100k seed=0,1 is a part"),
            ("seeds", "as in the file; or how many, from 0"),
            ("set", "as in the file; train.epochs=5 changes every run"),
            *((box.name, box.hint) for box in TARGET),
        ):
            with Horizontal(classes="line", id=f"line-{name}"):
                yield Static(name, classes="label")
                yield FormLine(hint, id=name)
        yield Static("looking up every run…", id="said", markup=False)
        with VerticalScroll(id="cells"):
            yield Static(id="picture", markup=False)
        yield Static(id="command", markup=False)

    def on_mount(self) -> None:
        self.query_one("#only", FormLine).focus()
        self.think("words", target_words, self._show_words)

    def _show_words(self, words: Mapping[str, Sequence[str]]) -> None:
        for box in TARGET:
            self.query_one(f"#{box.name}", FormLine).know(box.hint_with(words[box.name]), words[box.name])

    # -------------------------------------------------------------------------------- the plan

    @on(Input.Changed)
    def _changed(self) -> None:
        part = self._part
        self.set_class(is_elsewhere(part.on, part.cluster), "-elsewhere")
        self._look_soon()

    def show_news(self, snapshot: StoreSnapshot) -> None:
        """Runs that came or ended since the last look count."""
        seen = hash(frozenset((row.id, row.status) for row in snapshot.rows.values()))
        if seen != self._seen:
            self._seen = seen
            self._look_soon()

    def _look_soon(self) -> None:
        if self._soon is not None:
            self._soon.stop()
        self._soon = self.set_timer(0.15, self._look)

    def _look(self) -> None:
        part, store = self._part, self.context.store
        self.think("cells", lambda: look_up(store, part), self._show)

    @property
    def _part(self) -> StudyPart:
        lines = ("only", "seeds", "set", "on", "cluster")
        return StudyPart(self._study, *(self.query_one(f"#{name}", FormLine).value.strip() for name in lines))

    def _show(self, preview: StudyPreview) -> None:
        from tfllmer_tui.view.study import failures, legend, matrix, time_text

        self._preview = preview
        colors = inks(self.app.current_theme)
        summary = self.query_one("#said", Static)
        if preview.meaning:
            about = Text(f"{printable(self._study)}: {printable(preview.meaning)}", colors["bold"])
            about.append(f"\n{printable(preview.question)}", colors["text"])
            self.query_one("#about", Static).update(about)
        if preview.axes is not None:
            self.query_one("#only", FormLine).suggester = Words([f"{axis}=" for axis in preview.axes])
        if preview.now is None:
            summary.update(Text(f"✗ {preview.error}", colors["error"]))
            self.query_one("#command", Static).update("")
            return
        counts, cells = preview.now.counts, preview.now.cells
        here = not is_elsewhere(preview.part.on, preview.part.cluster)
        lines = [legend(counts), Text(time_text(preview.now.time) if here else "", colors["dim"])]
        failed = counts.get("failed", 0)
        queued = preview.now.to_queue + failed * self._again
        ask = Text(f"ctrl+r queues {queued} of {len(cells)} runs", colors["primary"])
        if failed:
            ask.append(f" · ctrl+t {'leaves out' if self._again else 'takes in'} the {failed} failed", colors["dim"])
        lines.append(ask)
        summary.update(Text("\n").join(line for line in lines if line))
        axes = Text("\n").join(
            Text.assemble((f"{axis}  ", colors["dim"]), (printable(values), colors["text"]))
            for axis, values in (preview.axes or {}).items()
        )
        self.query_one("#picture", Static).update(Group(matrix(cells), *failures(cells), Text(), axes))
        self.query_one("#command", Static).update(Text(self._command, colors["dim"], overflow="fold"))

    @property
    def _command(self) -> str:
        """Of what is on screen: what is being typed may be no command yet."""
        return study_command(self._preview.part, self._again)

    # -------------------------------------------------------------------------------- keys

    def action_launch(self) -> None:
        if self._preview.now is None:
            self.notify(self._preview.error or "still looking up its runs", severity="warning", markup=False)
            return
        self.context.do(actions.launch_study, self._part, self._again)

    def action_again(self) -> None:
        self._again = not self._again
        self._show(self._preview)

    def action_copy(self) -> None:
        if self._preview.now is None:
            self.notify(self._preview.error or "still looking up its runs", severity="warning", markup=False)
        else:
            self.context.copy("command", self._command)

    def commands(self) -> Iterable[SystemCommand]:
        if self._preview.now is not None:
            yield SystemCommand("Launch", "Queue what is missing of the study", self.action_launch)
        yield SystemCommand("Copy the command", "The same on the command line", self.action_copy)


def look_up(store: Store | None, part: StudyPart) -> StudyPreview:
    """What running the study, or a part of it, would do; for threads. Looks at the files of every run."""
    from engine.errors import UserError
    from engine.presets import find_study
    from engine.presets.studies import text_of
    from engine.views.study import planned_state

    try:
        study = find_study(part.study)
    except UserError as error:
        return StudyPreview(part, error=str(error))
    axes = {axis: ", ".join(map(text_of, values)) for axis, values in study.axes.items()}
    try:
        check_target(store, part.on, part.cluster)
        cells = part.cells(study)
        return StudyPreview(part, study.meaning, study.question, axes, planned_state(store, cells))
    except UserError as error:
        return StudyPreview(part, study.meaning, study.question, axes, error=str(error))
