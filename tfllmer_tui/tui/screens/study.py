"""Study: what it asks, a mark for every run, how far it is, its boards and its verdict."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.console import Group
from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static, Tab, Tabs

from engine.records import RunStatus
from engine.text import shell_line
from engine.views.words import printable
from tfllmer_tui.tui.messages import RowChosen
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.tui.screens.base import Page
from tfllmer_tui.tui.screens.study_plan import StudyPlanScreen
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.text import span, without_method
from tfllmer_tui.tui.widgets.divider import Divider
from tfllmer_tui.tui.widgets.table import CellText, Column, VirtualTable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.views.matrix import MatrixLine
    from engine.views.study import CellState
    from engine.views.study_page import StudyOutcome, StudyPage

TABS = (("matrix", "Matrix"), ("board", "Board"), ("verdict", "Verdict"))
COMMANDS = {
    "status": ("study", "status"),
    "verdict": ("verdict",),
    "regimes": ("verdict", "--by-regime"),
    "run": ("study", "run"),
}
"""What the page shows and does, on the command line."""
LATER_S = 0.3
"""News that come faster than this are read together."""


class MatrixTable(VirtualTable["MatrixLine"]):
    """Data sets are headings over all columns."""

    def across(self, row: MatrixLine, colors: Inks) -> tuple[str, Style] | None:
        return None if row.cells else (printable(row.name), colors["head"])


class StudyScreen(Page):
    """One study, run or not."""

    CSS_PATH = "study.tcss"
    HEADING = "Study"
    ABOUT = (
        "A mark for every run of a study, its boards, and its verdict as tfllmer verdict gives it. Enter leads to the "
        "runs of a line."
    )
    CHANGES: ClassVar[frozenset[str]] = frozenset({"plan"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket", "tab(1)", "Next tab", key_display="]", id="study.next-tab"),
        Binding("left_square_bracket", "tab(-1)", "Tab before", show=False, key_display="[", id="study.previous-tab"),
        Binding("r", "runs", "All its runs", id="study.runs"),
        Binding("b", "board", "Leaderboard", id="study.board"),
        Binding("l", "plan", "Launch", id="study.plan"),
        Binding("y", "copy('status')", "Copy the command", show=False, id="study.copy-status"),
        Binding("Y", "copy('verdict')", "Copy tfllmer verdict", show=False, id="study.copy-verdict"),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._study = name
        self._page: StudyPage | None = None
        self._outcome: StudyOutcome | None = None
        self._judged: tuple[str, ...] | None = None
        """The finished runs that the outcome is of."""
        self._seen: int | None = None
        self._soon: Timer | None = None

    def compose_body(self) -> Iterable[Widget]:
        yield Static(printable(self._study), id="head", markup=False)
        yield Tabs(*(Tab(title, id=f"tab-{name}") for name, title in TABS), id="tabs")
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                table: MatrixTable = MatrixTable((), self._cells, id="matrix")
                table.empty_text = "looking up every run…"
                yield table
                with VerticalScroll(id="below", can_focus=False):
                    yield Static(id="now", markup=False)
            yield Divider("study")
            with Vertical(id="right"):
                with VerticalScroll(id="board"):
                    yield Static("reading…", id="board-text", markup=False)
                yield Divider("study-outcome", beside=False)
                with VerticalScroll(id="verdict"):
                    yield Static("reading…", id="verdict-text", markup=False)

    def on_mount(self) -> None:
        tab = self.context.memory.get("study tab")
        self._show_tab(tab if tab in dict(TABS) else TABS[0][0])

    # -------------------------------------------------------------------------------- reading

    def show_news(self, snapshot: StoreSnapshot) -> None:
        """Runs that came, went on by an epoch, or ended since the last look count."""
        rows = snapshot.rows.values()
        seen = hash((snapshot.state, frozenset((row.id, row.status, int(row.epoch or 0)) for row in rows)))
        if seen != self._seen:
            first, self._seen = self._seen is None, seen
            if self._soon is not None:
                self._soon.stop()
            self._soon = self.set_timer(0.01 if first else LATER_S, self._look)

    def _look(self) -> None:
        store, name = self.context.store, self._study

        def read() -> StudyPage:  # the import waits for files, which no key should
            from engine.views.study_page import study_page

            return study_page(store, name)

        self.think("study", read, self._show)

    def _show(self, page: StudyPage) -> None:
        from engine.views.study_page import StudyOutcome, study_outcome

        self._page = page
        self._show_page(page)
        store = self.context.store
        if store is None or page.state is None:
            self._show_outcome(StudyOutcome(refusal=page.error))
        elif page.finished != self._judged:
            self._judged = page.finished
            self.think("outcome", lambda: study_outcome(store, page), self._show_outcome, self._fail_outcome)

    def _fail_outcome(self, error: Exception) -> None:
        """It is tried again with the next news."""
        self._judged = None
        self.context.tell_error(error)

    def recolor(self) -> None:
        super().recolor()
        if self._page is not None:
            self._show_page(self._page)

    # -------------------------------------------------------------------------------- showing

    def _show_page(self, page: StudyPage) -> None:
        from tfllmer_tui.view.study import failures, legend, running

        colors = inks(self.app.current_theme)
        self.query_one("#head", Static).update(_head(page, colors, self.size.width))
        table = self.query_one("#matrix", MatrixTable)
        table.empty_text = f"✗ {page.error}" if page.error else ""
        seeds = max((len(cells) for line in page.matrix.lines for cells in line.cells), default=1)
        columns = [Column("name", "arm", 18, 0, grow=3, most=44)]
        for at, backbone in enumerate(page.matrix.backbones):
            title = printable(backbone)
            columns.append(Column(str(at), title, max(len(title), seeds + 5), at + 1))
        columns.append(Column("left", "to train", 8, len(columns), right=True))
        if columns != list(table._columns):
            table.set_columns(columns)
        table.show(page.matrix.lines)
        if self.focused is None and table.region:
            table.focus()
        cells = page.state.cells if page.state is not None else ()
        lines = [legend(page.state.counts)] if page.state is not None else []
        if page.matrix.shared:
            lines.append(Text(f"all with {printable(page.matrix.shared)}", colors["dim"]))
        self.query_one("#now", Static).update(Group(*lines, *running(cells), *failures(cells)))

    def _show_outcome(self, outcome: StudyOutcome) -> None:
        self._outcome = outcome
        from tfllmer_tui.view.board import leaderboard_table
        from tfllmer_tui.view.verdict import regime_lines, verdict_lines

        boards: list[RenderableType] = []
        for board in outcome.boards:
            boards += [leaderboard_table(board), Text()]
        self.query_one("#board-text", Static).update(Group(*boards) if boards else Text("no finished run yet"))
        judgement = outcome.judgement
        if judgement is None:
            verdict: RenderableType = Text(f"no verdict yet: {outcome.refusal}")
        else:
            verdict = Group(*verdict_lines(judgement), *regime_lines(outcome.regimes))
        self.query_one("#verdict-text", Static).update(verdict)

    def _cells(self, line: MatrixLine, columns: Sequence[Column], colors: Inks) -> Sequence[CellText]:
        texts: list[CellText] = []
        for column in columns:
            if column.key == "name":
                name = line.name if cell_len(line.name) <= column.width else without_method(line.name)
                texts.append([(printable(name), colors["text"])])
            elif column.key == "left":
                texts.append([(span(line.left_s) if line.left_s else "", colors["dim"])])
            else:
                texts.append(_marks(line.cells[int(column.key)], colors))
        return texts

    # -------------------------------------------------------------------------------- tabs

    @on(Tabs.TabActivated)
    def _tab(self, event: Tabs.TabActivated) -> None:
        if event.tab.id != event.tabs.active:  # of a key before the last one
            return
        name = (event.tab.id or "").removeprefix("tab-")
        self._show_tab(name)
        self.context.keep("study tab", name)

    def _show_tab(self, name: str) -> None:
        """The only pane in sight where there is no room for all."""
        for each, _ in TABS:
            self.set_class(each == name, f"-on-{each}")
        tabs = self.query_one(Tabs)
        if tabs.active != f"tab-{name}":
            tabs.active = f"tab-{name}"

    @property
    def _tab_name(self) -> str:
        return next(name for name, _ in TABS if self.has_class(f"-on-{name}"))

    def action_tab(self, by: int) -> None:
        """To the next pane: its tab, or the pane itself where all are in sight."""
        names = [name for name, _ in TABS]
        here = self.focused if self.is_wide else None
        at = names.index(here.id if here is not None and here.id in names else self._tab_name)
        name = names[(at + by) % len(names)]
        self._show_tab(name)
        self.call_after_refresh(self.query_one(f"#{name}").focus)

    # -------------------------------------------------------------------------------- leading on

    @on(RowChosen)
    def _chosen(self, event: RowChosen) -> None:
        if not self.is_active:  # a second key, from before the first one's screen came
            return
        runs = event.row.runs
        if len(runs) == 1:
            self.context.open_run(runs[0])
        elif runs:
            self.context.show_runs(f"run:{','.join(runs)}")
        elif not event.row.cells:
            self.action_runs()
        else:
            self.notify("no run of this line yet", markup=False)

    def action_runs(self) -> None:
        self.context.show_runs(shlex.join([f"study:{self._study}"]))

    def action_board(self) -> None:
        self.context.show_board(self._study)

    def action_plan(self) -> None:
        """What is missing of it, before it is launched."""
        self.app.push_screen(StudyPlanScreen(self._study))

    def action_copy(self, what: str) -> None:
        self.context.copy("command", shell_line(["tfllmer", *COMMANDS[what], self._study]))

    def commands(self) -> Iterable[SystemCommand]:
        yield SystemCommand("Its runs", "The table of runs, of this study alone", self.action_runs)
        yield SystemCommand("Its leaderboard", "With tests and exports", self.action_board)
        yield SystemCommand("Launch this study", "First what exists and what is missing of it", self.action_plan)
        for what, words in COMMANDS.items():
            if what == "regimes" and not (self._outcome and self._outcome.regimes):
                continue
            title = f"Copy tfllmer {' '.join(words)}"
            yield SystemCommand(title, "To the clipboard", lambda what=what: self.action_copy(what))


def _marks(cells: Sequence[CellState], colors: Inks) -> CellText:
    """A mark for each seed, and how far those are that run."""
    from tfllmer_tui.view.study import mark_of

    pieces = [(mark_of(cell.state), colors.status(cell.state)) for cell in cells]
    running = [cell for cell in cells if cell.state == RunStatus.RUNNING and cell.epochs]
    done = [min(1.0, (cell.epoch or 0.0) / (cell.epochs or 1)) for cell in running]
    if done:
        pieces.append((f" {sum(done) / len(done):.0%}", colors["primary"]))
    return pieces


def _head(page: StudyPage, colors: Inks, width: int) -> Text:
    """What it asks, and how far it is."""
    from tfllmer_tui.view.study import time_text

    meaning = f": {printable(page.meaning)}" if page.meaning else ""
    text = Text(f"{printable(page.name)}{meaning}", colors["bold"])
    if page.state is not None:
        total, ended = len(page.state.cells), page.state.ended
        room = max(10, min(40, width // 5))
        filled = round(room * ended / total) if total else 0
        text.append("\n" + "━" * filled, colors["success"])
        text.append("━" * (room - filled), colors["faint"])
        text.append(f"  {ended} of {total} ended", colors["text"])
        left = time_text(page.state.time) if page.is_stored else "not run here yet"
        text.append(f"  {left}" if left else "", colors["dim"])
    text.append(f"\n{printable(page.question)}" if page.question else "", colors["text"])
    return text
