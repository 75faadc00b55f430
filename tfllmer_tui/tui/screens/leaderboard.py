"""Leaderboard: arms against backbones, mean ± sd over seeds, and what a paper would print of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import Group
from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from engine.files import StoreAddress
from engine.records import RunStatus
from engine.reports.boards.lines import BoardLine, BoardTable, board_table
from engine.views.baselines import baseline_on, row_of
from engine.views.words import printable
from tfllmer_tui.tui import board as boards
from tfllmer_tui.tui.baselines import choose_baseline, chosen_baselines
from tfllmer_tui.tui.board import FORMS, OVER, BoardChoice, remembered_choice
from tfllmer_tui.tui.board_cells import BASELINE, name_cell, name_width, number_cell
from tfllmer_tui.tui.file_actions import written
from tfllmer_tui.tui.messages import RowReached
from tfllmer_tui.tui.palette import Inks
from tfllmer_tui.tui.screens.base import Page
from tfllmer_tui.tui.screens.metric import MetricScreen
from tfllmer_tui.tui.snapshot import READING, StoreSnapshot
from tfllmer_tui.tui.undo import ActionOutcome
from tfllmer_tui.tui.widgets.divider import Divider
from tfllmer_tui.tui.widgets.log_view import LogView
from tfllmer_tui.tui.widgets.table import CellText, Column, VirtualTable
from tfllmer_tui.view.board import board_notes

if TYPE_CHECKING:
    from engine.reports.boards.leaderboard import Leaderboard
    from engine.reports.stats.statistics import Over
    from engine.views.boards import Form


class LeaderboardScreen(Page):
    """One board at a time: a data set and a metric."""

    CSS_PATH = "leaderboard.tcss"
    HEADING = "Leaderboard"
    ABOUT = (
        "Finished runs, one per seed. Best of a column bold, second underlined. b makes the arm under the cursor the "
        "baseline: * is significantly better than it, ° worse, by the test named below. l lays the board out as "
        "metrics beside one another, or as differences to the baseline; s shows the runs of one study."
    )
    CHANGES = frozenset({"write"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "next_board", "Dataset", id="board.dataset"),
        Binding("m", "next_metric", "Metric", id="board.metric"),
        Binding("M", "any_metric", "Any metric, by its name", show=False, id="board.any-metric"),
        Binding("s", "next_study", "Study", id="board.study"),
        Binding("l", "next_layout", "Layout", id="board.layout"),
        Binding("b", "baseline", "Baseline", id="board.baseline"),
        Binding("o", "over", "Test over seeds, users, both", show=False, id="board.over"),
        Binding("p", "preview", "Export", id="board.preview"),
        Binding("t", "format", "LaTeX, Markdown, CSV", show=False, id="board.format"),
        Binding("f", "fragment", "LaTeX: whole document or tables only", show=False, id="board.fragment"),
        Binding("x", "siunitx", "LaTeX: columns of siunitx", show=False, id="board.siunitx"),
        Binding("w", "write", "Write the file", id="board.write"),
        Binding("y", "copy", "Copy", id="board.copy"),
        Binding("C", "copy_command", "Copy the command", show=False, id="board.command"),
    ]

    def __init__(self, study: str | None = None) -> None:
        """`study` is the one to show in place of the remembered choice, which then stays as it is."""
        super().__init__()
        self._only = study
        self._boards: list[Leaderboard] = []
        self._at = 0
        self._choice = BoardChoice()
        self._table: BoardTable | None = None
        """The board in sight as lines."""
        self._with_marks: Leaderboard | None = None
        self._untested = ""
        self._absent = ""
        """The baseline of the data set, where the board has no row of it."""
        self._seen: tuple[object, ...] = ()
        self._read_for: tuple[str | None, ...] = ()
        """Metric and study of the boards in sight."""

    def compose_body(self) -> Iterable[Widget]:
        self._choice = remembered_choice(self.context.memory.section("board"))
        if self._only is not None:
            self._choice = replace(self._choice, study=self._only)
        yield Static(READING, id="title", markup=False)
        with Horizontal(id="panes"):
            yield VirtualTable((), self._cells, key_of=lambda line: str(line.name), id="board")
            with VerticalScroll(id="laid-out"):
                yield Static(id="grids", markup=False)
            yield Divider("leaderboard")
            with Vertical(id="export"):
                yield Static(id="export-title", classes="pane-title", markup=False)
                yield LogView(id="preview")
        with VerticalScroll(id="notes-pane", can_focus=False):
            yield Static(id="notes", markup=False)

    def on_mount(self) -> None:
        self.query_one("#preview", LogView).waiting = ""
        self.set_class(bool(self.context.memory.section("board").get("preview", True)), "-preview")

    # -------------------------------------------------------------------------------- reading

    def show_news(self, snapshot: StoreSnapshot) -> None:
        """Only what has finished counts: read again when that changes."""
        finished = [row.id for row in snapshot.rows.values() if row.status == RunStatus.FINISHED]
        seen = (self._choice.metric, self._choice.study, hash(frozenset(finished)), chosen_baselines(self.context))
        if snapshot.state == "missing" and not self._boards:
            self._show_board()
        if snapshot.is_unread and self.context.store is None:
            self.query_one("#title", Static).update(snapshot.unread_text)
            self.query_one("#board", VirtualTable).empty_text = ""
        if seen == self._seen or snapshot.state != "open":
            return
        self._seen = seen
        self._read()

    def _read(self) -> None:
        choice = self._choice
        if (choice.metric, choice.study) != self._read_for:
            of = f" of study {printable(choice.study)}" if choice.study else ""
            self.query_one("#title", Static).update(f"{choice.metric}{of}: {READING}")
        self.read("boards", lambda store: boards.read(store, choice), self._show)

    def _show(self, found: list[Leaderboard]) -> None:
        """The numbers at once, the marks when the tests are made."""
        self._boards = found
        self._read_for = self._choice.metric, self._choice.study
        self._at = min(self._at, max(len(found) - 1, 0))
        self._with_marks, self._untested = None, ""
        board = self.board
        baseline = None if board is None else chosen_baselines(self.context).get(board.dataset)
        row = None if board is None else row_of(board, baseline, self.context.snapshot.rows)
        self._choice = choice = replace(self._choice, baseline=None if row is None else row.label)
        self._absent = baseline.name if baseline is not None and row is None else ""
        self._show_board()
        if board is not None and choice.baseline is not None:
            self._untested = "testing…"
            self.read("marks", lambda store: boards.marked(store, board, choice), self._show_marks)

    def _show_marks(self, found: tuple[Leaderboard | None, str]) -> None:
        self._with_marks, self._untested = found
        self._show_board()

    def _show_board(self) -> None:
        board, choice = self.board, self._choice
        table, title = self.query_one("#board", VirtualTable), self.query_one("#title", Static)
        if board is None:
            there = f"of study {choice.study} " if choice.study else ""
            title.update(f"{choice.metric}: no finished run {there}has it yet")
            self.remove_class("-laid-out")
            table.set_columns([Column("label", "arm", 20)])
            table.show([])
            table.empty_text = "a run appears here when it has finished"
            self.query_one("#notes", Static).update("")
            self.query_one("#preview", LogView).clear()
            return
        place = f"   {self._at + 1} of {len(self._boards)} data sets" if len(self._boards) > 1 else ""
        study = f" · study {printable(choice.study)}" if choice.study else ""
        layout = f"   layout {choice.layout}" if choice.is_laid_out else ""
        name = printable(board.dataset if choice.layout == "metrics" else board.title)
        title.update(f"{name}{study}{place}{layout}")
        room = (7 if board.equal_n == 1 else 15 if board.equal_n else 19) + bool(board.compared) + 9 * bool(board.parts)
        self._table = shown = board_table(board)
        head = "model · arm" if shown.is_list else "arm"
        columns = [Column("label", head, 18, 0, grow=2, most=name_width(line.name for line in shown.lines))]
        for at, name in enumerate(map(printable, shown.columns)):
            columns.append(Column(str(at), name, max(room, len(name)), at + 1, right=True))
        table.set_columns(columns)
        table.show(shown.lines)
        if self.focused is None:
            table.focus()
        self._show_notes()
        self._show_export()

    @on(RowReached)
    def _show_notes(self) -> None:
        """What is below the table; the name under the cursor stands here whole, as the table may have cut it."""
        if self.board is None:
            return
        line: BoardLine | None = self.query_one("#board", VirtualTable).row
        name = [printable(line.name)] if line is not None and self._table is not None and self._table.names.long else []
        self.query_one("#notes", Static).update("\n".join((*name, self._about_marks(), board_notes(self.board))))

    def _about_marks(self) -> str:
        if self.board is not None and self._table is not None and self.board.compared:
            return f"{self._table.names.sentence(self.board.compared)} (o: test over {self._choice.next_over})"
        if self._absent:
            return f"the baseline {self._absent} has no number here; b: test all against the arm under the cursor"
        if self._choice.baseline is None:
            return "b: test all against the arm under the cursor"
        return f"against {self._choice.baseline}: {self._untested}"

    @property
    def board(self) -> Leaderboard | None:
        """The one in sight."""
        return self._with_marks or (self._boards[self._at] if self._boards else None)

    def _cells(self, line: BoardLine, columns: Sequence[Column], colors: Inks) -> Sequence[CellText]:
        board = self.board
        assert board is not None  # the rows are its own
        cells: list[CellText] = []
        for column in columns:
            if column.key == "label":
                mark = BASELINE if line.row.label == self._choice.baseline else ""
                cells.append([(mark, colors["accent"]), *name_cell(line.name, column.width - len(mark), colors)])
            else:
                cells.append(number_cell(line.cells[int(column.key)], board, colors))
        return cells

    # -------------------------------------------------------------------------------- export

    def _show_export(self) -> None:
        board, choice = self.board, self._choice
        write = "" if self.context.read_only else " · w write"
        title = f"{choice.form}   t next format{write} · y copy"
        if choice.form == "latex":
            fragment, siunitx = ("on" if option else "off" for option in (choice.fragment, choice.siunitx))
            title = f"latex   t format{write} · y copy · f fragment {fragment} · x siunitx {siunitx}"
        self.query_one("#export-title", Static).update(title)
        if board is not None:
            self.read("export", lambda store: boards.laid_out(store, board, choice), self._exported)

    def _exported(self, export: boards.LaidOut) -> None:
        """The file as it would be written, and the layout in place of the board where it is another."""
        from tfllmer_tui.view.grid import grid_table

        self.query_one("#preview", LogView).show(f"{export.refusal}\n" if export.refusal else export.text)
        has_tables = self._choice.is_laid_out and bool(export.grids)
        self.set_class(has_tables, "-laid-out")
        if has_tables:
            self.query_one("#grids", Static).update(Group(*map(grid_table, export.grids)))
        if self._choice.is_laid_out and export.refusal:
            notes = (export.refusal, board_notes(self.board)) if self.board is not None else (export.refusal,)
            self.query_one("#notes", Static).update("\n".join(notes))

    def _choose(self, **changes: Any) -> None:
        self._choice = replace(self._choice, **changes)
        self._keep()

    def _keep(self) -> None:
        if self._only is None:
            self.context.keep("board", {**self._choice.remembered(), "preview": self.has_class("-preview")})

    def action_format(self) -> None:
        self._choose(form=self._choice.next_form)
        self._show_export()

    def action_fragment(self) -> None:
        """LaTeX: a document that compiles, or the tables only."""
        self._choose(fragment=not self._choice.fragment)
        self._show_export()

    def action_siunitx(self) -> None:
        """LaTeX: columns aligned at the decimal point by the package siunitx."""
        self._choose(siunitx=not self._choice.siunitx)
        self._show_export()

    def action_preview(self) -> None:
        self.toggle_class("-preview")
        self._keep()

    def action_write(self) -> None:
        if self.board is not None:
            file = self._choice.file(self.board)
            self._with_export("write", lambda text: self.context.do(_write, file, text))

    def action_copy(self) -> None:
        name = f"leaderboard as {self._choice.form}"
        self._with_export("copy", lambda text: self.context.copy(name, text))

    def _with_export(self, group: str, then: Callable[[str], object]) -> None:
        """Do something with the file as it is chosen now, whatever the preview shows yet."""
        board, choice = self.board, self._choice

        def made(export: boards.LaidOut) -> None:
            if export.refusal:
                self.notify(export.refusal, severity="warning", markup=False)
            else:
                then(export.text)

        if board is not None:
            self.read(group, lambda store: boards.laid_out(store, board, choice), made)

    def action_copy_command(self) -> None:
        """The board as the command line shows it."""
        if self.board is not None:
            self.context.copy("command", self._choice.board_command(self.board))

    def action_copy_export(self) -> None:
        """The file that w writes, by the command line."""
        if self.board is not None:
            self.context.copy("command", self._choice.export_command(self.board))

    # -------------------------------------------------------------------------------- choosing

    def action_next_board(self) -> None:
        if self._boards:
            self._at = (self._at + 1) % len(self._boards)
            self._show(self._boards)

    def action_next_metric(self) -> None:
        self._show_metric(self._choice.next_metric)

    def action_any_metric(self) -> None:
        """Any metric at any cut-off, by its name."""
        self.app.push_screen(MetricScreen(self._choice.metric), self._show_metric)

    def _show_metric(self, name: str | None) -> None:
        if name is not None:
            self._choose(metric=name)
            self._read()

    def action_next_study(self) -> None:
        """The runs of one study after another, then all."""
        studies = sorted({row.study for row in self.context.snapshot.rows.values() if row.study})
        if not studies:
            self.notify("no run belongs to a study yet", markup=False)
            return
        at = studies.index(self._choice.study) + 1 if self._choice.study in studies else 0
        self._choose(study=studies[at] if at < len(studies) else None)
        self._read()

    def action_next_layout(self) -> None:
        """Arms by backbones, by metrics, differences to the baseline."""
        self._choose(layout=self._choice.next_layout)
        self._show_board()

    def action_baseline(self) -> None:
        """Test all arms against the one under the cursor; once more, and nothing is tested."""
        line: BoardLine | None = self.query_one("#board", VirtualTable).row
        if line is None or self.board is None:
            return
        rows = self.context.snapshot.rows
        chosen = None if line.row.label == self._choice.baseline else baseline_on(line.row, rows)
        choose_baseline(self.context, self.board.dataset, chosen)
        self._show(self._boards)

    def action_over(self) -> None:
        self._test_over(self._choice.next_over)

    def _test_over(self, over: Over) -> None:
        self._choose(over=over)
        if self._choice.baseline is None:
            self.notify(f"tests will be over {over}; b names a baseline", markup=False)
        self._show(self._boards)

    def commands(self) -> Iterable[SystemCommand]:
        yield SystemCommand("Next metric", "Test, validation, training CE", self.action_next_metric)
        yield SystemCommand("Any metric", "At any cut-off, by its name", self.action_any_metric)
        if self.board is not None:
            yield SystemCommand("Baseline", "Test all against the arm under the cursor, or none", self.action_baseline)
            for over in OVER:
                yield SystemCommand(
                    f"Test over {over}", "Against the baseline", lambda over=over: self._test_over(over)
                )
            yield SystemCommand("Copy the command", "The same on the command line", self.action_copy_command)
            yield SystemCommand("Copy the export command", "The file that w writes", self.action_copy_export)
        yield SystemCommand("Next layout", "Backbones, metrics, difference to the baseline", self.action_next_layout)
        yield SystemCommand("Next study", "Only its runs; all after the last", self.action_next_study)
        if len(self._boards) > 1:
            yield SystemCommand("Next dataset", "Another board", self.action_next_board)
        for form in FORMS:
            yield SystemCommand(
                f"Export as {form}", "Preview, then w writes it", lambda form=form: self._export_as(form)
            )

    def _export_as(self, form: Form) -> None:
        self.add_class("-preview")
        self._choose(form=form)
        self._show_export()


def _write(path: StoreAddress | None, file: Path, text: str) -> ActionOutcome:
    from engine.files import write_text

    return written([file], lambda: write_text(file, text))
