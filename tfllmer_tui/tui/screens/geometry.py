"""Geometry: norms, directions, curvature and agreement with the graph, of runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from engine.records import RunStatus
from engine.views.geometry.lines import GeometryLine, difference, differs, lines
from engine.views.geometry.reading import GeometryColumns, GeometrySubject, read
from tfllmer_tui.tui.curves import Look
from tfllmer_tui.tui.geometry_plots import histograms, spectra, trade_offs
from tfllmer_tui.tui.messages import LookChanged
from tfllmer_tui.tui.palette import Inks
from tfllmer_tui.tui.screens.looks import ChartKeys, remembered_look
from tfllmer_tui.tui.snapshot import READING, StoreSnapshot
from tfllmer_tui.tui.traces import DrawnRun
from tfllmer_tui.tui.widgets.chart import Chart
from tfllmer_tui.tui.widgets.charts import Charts
from tfllmer_tui.tui.widgets.divider import Divider
from tfllmer_tui.tui.widgets.table import CellText, Column, VirtualTable
from tfllmer_tui.view.geometry import figure

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow

PICTURES = ("training", "spectrum", "norms", "trade-off")
TRAINING = ("curvature.kappa_effective", "curvature.kappa_sample")
WAITING = {
    "spectrum": "no spectrum is stored",
    "norms": "none stored: runs made anew record it",
    "trade-off": "no run here reduces vectors with a graph",
}
"""What stands in a picture that has nothing to show, once that is known."""
MOST = 12
"""Runs that are laid side by side."""


class GeometryTable(VirtualTable[GeometryLine]):
    """Headings and notes run over all columns."""

    def across(self, row: GeometryLine, colors: Inks) -> tuple[str, Style] | None:
        if row.values:
            return None
        return (f"{row.name} {row.reads}", colors["dim"]) if row.reads else (row.name, colors["head"])


class GeometryScreen(ChartKeys):
    """The runs that were marked, or under the cursor, when one came here."""

    CSS_PATH = "geometry.tcss"
    HEADING = "Geometry"
    ABOUT = "What explains a curve, as far as it is stored. It shows the runs that one comes from: mark some in Runs."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "next_first", "Next as first", id="geometry.first"),
        Binding("o", "only", "Only what differs", id="geometry.only"),
        Binding("v", "picture", "Picture", id="geometry.picture"),
        Binding("y", "copy('before')", "Copy diagnose", id="geometry.copy-before"),
        Binding("Y", "copy('model')", "Copy diagnose RUN", show=False, id="geometry.copy-model"),
        Binding("t", "copy('table')", "Copy as text", show=False, id="geometry.copy"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._ids: list[str] = []
        self._rows: list[RunRow] = []
        self._found = GeometryColumns()
        self._first = 0
        self._picture = 0

    def compose_body(self) -> Iterable[Widget]:
        memory = self.context.memory.section("geometry")
        self._picture = PICTURES.index(memory["picture"]) if memory.get("picture") in PICTURES else 0
        look = remembered_look(memory.get("look"), default=Look(log_y=True, bands=True, whole=True))
        yield Static(id="title", markup=False)
        with Horizontal(id="panes"):
            yield GeometryTable((), self._cells, id="lines")
            yield Divider("geometry")
            with Vertical(id="pictures"):
                yield Charts(TRAINING, look, id="training")
                yield Chart("λi / λ1 of H at the start", id="spectrum", waiting=READING)
                yield Chart("row norms at the start, % of items", id="norms", waiting=READING)
                yield Chart("λ of Rec-PCA", id="trade-off", waiting=READING)
        yield Static(id="missing", markup=False)

    def on_mount(self) -> None:
        self._show_picture()

    # -------------------------------------------------------------------------------- which runs

    def arrive(self, run_ids: Sequence[str]) -> None:
        """Show these runs from now on, where there are any."""
        if not run_ids:
            return
        self._ids, self._first = list(run_ids)[:MOST], 0
        if self._takes_news:
            self.show_news(self.context.snapshot)

    def run_ids(self) -> list[str]:
        return list(self._ids)

    def show_news(self, snapshot: StoreSnapshot) -> None:
        rows = self.rows(self._ids)
        if not rows:  # nothing was chosen, or all of it is gone: the newest that has run
            newest = (row for row in snapshot.newest() if row.status not in (RunStatus.QUEUED, RunStatus.CANCELLED))
            rows = [row] if (row := next(newest, None)) is not None else []
        if [id(row) for row in rows] == [id(row) for row in self._rows] and self._found.subjects:
            return
        self._rows = rows
        if not rows:
            how = "" if self.context.read_only else ": 4 launches one"
            self._say_empty(snapshot.unread_text if snapshot.is_unread else f"no run yet{how}")
            return
        self.read("geometry", lambda store: read(store, rows), self._show)

    def _say_empty(self, text: str) -> None:
        self.query_one("#title", Static).update("")
        self.query_one("#lines", VirtualTable).empty_text = text
        self.charts.load([])
        for name in WAITING:
            self.query_one(f"#{name}", Chart).waiting = text

    # -------------------------------------------------------------------------------- showing

    def _show(self, stored: GeometryColumns) -> None:
        self._found = stored
        subjects = self._subjects
        table = self.query_one("#lines", VirtualTable)
        shown = lines(subjects, only_differences=self._only)
        table.set_columns(self._columns(subjects))
        table.show(shown)
        if self.focused is None:
            table.focus()
        runs = [subject for subject in subjects if subject.rows]
        self.charts.load([DrawnRun(row, subject.color, subject.name) for subject in runs for row in subject.rows])
        plots = {"spectrum": spectra, "norms": histograms, "trade-off": trade_offs}
        for name, made in plots.items():
            chart = self.query_one(f"#{name}", Chart)
            chart.waiting = WAITING[name]
            chart.show(made(subjects), log_y=name == "spectrum")
        self._say_title()
        self._say_missing()

    @property
    def _subjects(self) -> tuple[GeometrySubject, ...]:
        """The columns, the one that the others are compared with first."""
        subjects = self._found.subjects
        at = self._first % max(len(subjects), 1)
        return (*subjects[at:], *subjects[:at])

    @property
    def _only(self) -> bool:
        return bool(self.context.memory.section("geometry").get("only", False))

    def _columns(self, subjects: Sequence[GeometrySubject]) -> list[Column]:
        columns = [Column("name", "", 22, 0, grow=1, most=26)]
        for place, subject in enumerate(subjects):
            title = f"{'» ' if place == 0 else ''}{subject.title}"
            columns.append(
                Column(str(place), title, max(12, min(len(title), 16)) if place == 0 else 16, place, grow=1, most=26)
            )
        reads = max((len(line.reads) for line in lines(subjects)), default=0)
        return [*columns, Column("reads", "how to read it", 24, len(columns) + 1, grow=2, text_width=reads)]

    def _cells(self, line: GeometryLine, columns: Sequence[Column], colors: Inks) -> Sequence[CellText]:
        cells: list[CellText] = []
        for column in columns:
            if column.key == "name":
                cells.append([(line.name, colors["text" if line.matters or len(line.values) < 2 else "dim"])])
            elif column.key == "reads":
                cells.append([(line.reads, colors["dim"])])
            else:
                cells.append(_value(line, int(column.key), colors))
        return cells

    def on_resize(self) -> None:
        self._show_picture()
        self.call_after_refresh(self._say_title)

    def _say_title(self) -> None:
        subjects, table = self._subjects, self.query_one("#lines", VirtualTable)
        if not subjects:
            return
        shown = sum(column.key.isdigit() for column in table.shown_columns)
        parts = [f"{len(subjects)} columns" if len(subjects) > 1 else subjects[0].title]
        parts += [f"differences to {subjects[0].title}" if len(subjects) > 1 else "mark runs in Runs to compare them"]
        parts += [f"{len(subjects) - shown} more by d" if 0 < shown < len(subjects) else ""]
        parts += ["only what differs" if self._only else ""]
        self.query_one("#title", Static).update(" · ".join(filter(None, parts)))

    def _say_missing(self) -> None:
        stored = self._found
        parts = [f"before and after: {stored.before}   y copies" if stored.before else ""]
        parts += [f"trained model: {stored.model}   Y copies" if stored.model else ""]
        commands = "\n".join(filter(None, parts))
        missing = self.query_one("#missing", Static)
        missing.update(f"not measured yet\n{commands}" if commands else "")
        missing.display = bool(commands)

    # -------------------------------------------------------------------------------- keys

    def action_next_first(self) -> None:
        self._first += 1
        self._show(self._found)

    def action_only(self) -> None:
        self._keep(only=not self._only)
        self._show(self._found)

    def action_picture(self) -> None:
        self._picture = (self._picture + 1) % len(PICTURES)
        self._keep(picture=PICTURES[self._picture])
        self._show_picture()

    def _show_picture(self) -> None:
        """All pictures where there is room, else one."""
        for place, name in enumerate(PICTURES):
            self.query_one(f"#{name}").display = self.is_wide or place == self._picture

    def action_copy(self, what: str) -> None:
        if what == "table":
            subjects = self._subjects
            rows = [["", *(subject.title for subject in subjects)]]
            rows += [
                [line.name, *("" if value is None else str(value) for value in line.values)] for line in lines(subjects)
            ]
            self.context.copy("geometry", "\n".join(map("\t".join, rows)))
        elif command := getattr(self._found, what):
            self.context.copy("command", command)
        else:
            self.notify("that is measured already", markup=False)

    @on(LookChanged)
    def _looked(self, event: LookChanged) -> None:
        self._keep(look=asdict(event.look))
        event.prevent_default()

    def _keep(self, **changes: object) -> None:
        self.context.keep("geometry", {**self.context.memory.section("geometry"), **changes})

    def commands(self) -> Iterable[SystemCommand]:
        if len(self._found.subjects) > 1:
            yield SystemCommand("Next as first", "Differences are to the first column", self.action_next_first)
            yield SystemCommand("Only what differs", "Leave out lines that are alike, or not", self.action_only)
        yield SystemCommand("Next picture", "Training, spectrum, norms, λ", self.action_picture)
        if self._found.before:
            yield SystemCommand("Copy diagnose", "Measures before and after", lambda: self.action_copy("before"))
        if self._found.model:
            yield SystemCommand("Copy diagnose RUN", "Measures the trained model", lambda: self.action_copy("model"))
        yield SystemCommand("Copy the geometry", "As text with tabs", lambda: self.action_copy("table"))


def _value(line: GeometryLine, place: int, colors: Inks) -> CellText:
    value, first = line.values[place], line.values[line.base]
    if value is None:
        return [("–", colors["faint"])]
    text = value if isinstance(value, str) else f"{value:,.0f}" if line.change == "count" else figure(value)
    if place == line.base:
        return [(text, colors["text"])]
    style = colors["accent" if differs(value, first, line.change) else "dim"]
    return [(f"{text:<8}", colors["text"]), (f" {difference(value, first, line.change)}", style)]
