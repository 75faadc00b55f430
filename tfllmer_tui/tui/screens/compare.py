"""Compare: runs side by side: their curves, metrics with paired tests, and the settings that differ."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from engine.views import comparisons
from engine.views.baselines import Baseline, baseline_by
from engine.views.comparisons import (
    ComparedInterval,
    ComparedNumber,
    ComparedRuns,
    ComparedSide,
    ComparedValue,
    TableLine,
)
from engine.views.runs import names
from engine.views.words import printable
from tfllmer_tui.tui.baselines import choose_baseline, chosen_baselines
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.tui.screens.looks import ChartKeys, remembered_look
from tfllmer_tui.tui.screens.run_keys import RunKeys
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.tui.traces import DrawnRun
from tfllmer_tui.tui.widgets.charts import Charts
from tfllmer_tui.tui.widgets.divider import Divider
from tfllmer_tui.tui.widgets.table import CellText, Column, VirtualTable

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow

METRICS = ("train_ce", "valid.ndcg@10")


class ComparisonTable(VirtualTable[TableLine]):
    """Headings and notes run over all columns."""

    def across(self, row: TableLine, colors: Inks) -> tuple[str, Style] | None:
        return None if row.values else (printable(row.name), colors["dim" if row.note else "head"])


class CompareScreen(RunKeys, ChartKeys):
    """Some runs; the first is what the others are measured against."""

    CSS_PATH = "compare.tcss"
    HEADING = "Compare"
    CHANGES = RunKeys.CHANGES | ChartKeys.CHANGES
    ABOUT = (
        "Runs over one another, seeds of a configuration in one column. Differences and paired tests are against the "
        "first column: the baseline of the data set where there is one. d makes the next one the baseline, the arrows "
        "go on to columns that there is no room for."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.back", "Back", id="compare.back"),
        Binding("d", "next_first", "Next as baseline", id="compare.first"),
        Binding("left", "aside(-1)", "Columns to the left", show=False, id="compare.left"),
        Binding("right", "aside(1)", "Columns to the right", show=False, id="compare.right"),
        Binding("S", "seeds", "All seeds", id="compare.seeds"),
        Binding("B", "look('bands')", "Seeds as bands", show=False, id="compare.bands"),
        Binding("C", "copy_command", "Copy command", id="compare.command"),
        Binding("y", "copy", "Copy as text", show=False, id="compare.copy"),
    ]

    def offers(self, action: str) -> bool:
        return action != "compare" and super().offers(action)  # they are compared already

    def __init__(self, run_ids: Sequence[str]) -> None:
        super().__init__()
        self._ids = list(run_ids)
        self._rows: list[RunRow] = []
        self._baselines: Mapping[str, Baseline] = {}
        self._found = ComparedRuns()
        self._testing = False
        self._passed = 0
        """Columns beside the first that were gone past."""

    def compose_body(self) -> Iterable[Widget]:
        with Horizontal(id="panes"):
            yield Charts(METRICS, remembered_look(self.context.memory.section("look")), id="curves")
            yield Divider("compare")
            with Vertical(id="right"):
                yield Static(id="lines-title", classes="pane-title", markup=False)
                yield ComparisonTable(self._columns((), inks(self.app.current_theme)), self._cells, id="lines")

    def run_ids(self) -> list[str]:
        return list(self._ids)

    # -------------------------------------------------------------------------------- reading

    def show_news(self, snapshot: StoreSnapshot) -> None:
        rows, baselines = self.rows(self._ids), chosen_baselines(self.context)
        if [id(row) for row in rows] == [id(row) for row in self._rows] and baselines == self._baselines:
            return
        self._baselines = baselines
        self._rows = rows
        self._read()

    def _read(self) -> None:
        rows, everything = self._rows, self.context.snapshot.newest()
        sides = comparisons.sides_of(rows, everything, self._baselines)
        color = {row.id: place for place, side in enumerate(sides) for row in side.rows}
        self.charts.load([DrawnRun(row, color[row.id], name) for row, name in zip(rows, names(rows), strict=True)])
        self.read("documents", lambda store: comparisons.with_settings(store, sides), self._settled)

    def _settled(self, comparison: ComparedRuns) -> None:
        """The numbers at once, the tests when they are made."""
        self._testing = len(comparison.sides) > 1
        self._show(comparison)
        self.query_one("#lines", VirtualTable).focus()
        if self._testing:
            self.read("tests", lambda store: comparisons.with_tests(store, comparison), self._tested)

    def _tested(self, comparison: ComparedRuns) -> None:
        self._testing = False
        self._show(comparison)

    # -------------------------------------------------------------------------------- showing

    def _show(self, comparison: ComparedRuns) -> None:
        self._found = comparison
        table = self.query_one("#lines", VirtualTable)
        lines = comparisons.lines(comparison)
        table.set_columns(self._columns(lines, inks(self.app.current_theme)))
        table.show(_wrapped(lines, table.size.width - 4))
        self._say_title()

    def _say_title(self) -> None:
        sides, table = self._found.sides, self.query_one("#lines", VirtualTable)
        if not sides:
            return
        seen = len(table.shown_columns) - 2
        hidden = len(sides) - 1 - seen
        here = str(self._passed + 2) + (f" to {self._passed + 1 + seen}" if seen > 1 else "")
        first = sides[0].rows[0]
        is_baseline = first.dataset in self._baselines and self._baselines[first.dataset].is_of(first)
        each = f", {shared} each" if (shared := _shared_seeds(sides)) else ""
        to = f"{'the baseline ' if is_baseline else ''}{sides[0].name if shared else sides[0].title}"
        parts = [f"{len(sides)} sides{each}, differences to {to}" if len(sides) > 1 else sides[0].title]
        parts += [f"{here} of {len(sides)} by ← →" if hidden > 0 else "", "testing…" if self._testing else ""]
        self.query_one("#lines-title", Static).update(" · ".join(filter(None, parts)))

    def on_resize(self) -> None:
        if self._found.sides:
            self.call_after_refresh(self._show, self._found)

    def _columns(self, lines: Sequence[TableLine], colors: Inks) -> list[Column]:
        longest = max((len(line.name) for line in lines if line.values), default=0)
        columns = [Column("name", "", 17, 0, grow=1, most=32, text_width=longest)]
        sides = self._found.sides
        shared = _shared_seeds(sides)
        for place, side in enumerate(sides):
            if 0 < place <= self._passed:
                continue
            width = max([16, *(_length(line.values[place], line.values[0], colors) for line in lines if line.values)])
            title = f"{_mark(place)}{side.name if shared else side.title}"
            ink = colors["head"] + colors.curves[place % len(colors.curves)]  # the legend may have no room for it
            most = max(36, width)
            columns.append(Column(str(place), title, width, place, grow=1, most=most, text_width=len(title), ink=ink))
        return columns

    def _cells(self, line: TableLine, columns: Sequence[Column], colors: Inks) -> Sequence[CellText]:
        cells: list[CellText] = [[(printable(line.name), colors["dim"])]]
        cells += [_cell(line.values[int(column.key)], line.values[0], colors) for column in columns[1:]]
        return cells

    # -------------------------------------------------------------------------------- keys

    def action_next_first(self) -> None:
        """The runs of the next column to the front, as the baseline of their data set on every screen."""
        if len(self._found.sides) < 2:
            return
        self._passed = 0
        first, *others = self._found.sides
        self._ids = [row.id for side in (*others, first) for row in side.rows]
        row = others[0].rows[0]
        choose_baseline(self.context, row.dataset, baseline_by(row))
        self._rows, self._baselines = self.rows(self._ids), chosen_baselines(self.context)
        self._read()

    def action_aside(self, by: int) -> None:
        """Other columns beside the first, as far as there are more than there is room for."""
        seen = max(1, len(self.query_one("#lines", VirtualTable).shown_columns) - 2)
        most = max(0, len(self._found.sides) - 1 - seen)
        passed = min(max(self._passed + by, 0), most if by > 0 else self._passed)
        if passed != self._passed:
            self._passed = passed
            self._show(self._found)

    def action_seeds(self) -> None:
        """Every finished run of these configurations, the newest of each seed."""
        ids = comparisons.all_seeds(self.context.snapshot.newest(), self._ids)
        if ids == self._ids:
            self.notify("all finished seeds are here already", markup=False)
            return
        self._ids = ids
        self.show_news(self.context.snapshot)

    def action_copy_command(self) -> None:
        part = any(side.is_part and len(side.rows) > 1 for side in self._found.sides)
        what = "command, which counts every finished seed," if part else "command"
        self.context.copy(what, comparisons.command(self._found.sides))

    def action_copy(self) -> None:
        lines = ["\t".join(["", *(side.title for side in self._found.sides)])]
        lines += [
            "\t".join([line.name, *map(_told, line.values)]) for line in self.query_one("#lines", VirtualTable).rows
        ]
        self.context.copy("comparison", "\n".join(lines))

    def commands(self) -> Iterable[SystemCommand]:
        yield SystemCommand("Next as baseline", "Differences are to the first column", self.action_next_first)
        yield SystemCommand("All seeds", "With every finished seed of these configurations", self.action_seeds)
        yield SystemCommand("Seeds as bands", "Mean and spread per configuration", lambda: self.action_look("bands"))
        yield SystemCommand("Copy the command", "The same on the command line", self.action_copy_command)
        yield SystemCommand("Copy the comparison", "As text with tabs", self.action_copy)
        yield from self.run_commands()


def _mark(place: int) -> str:
    return "» " if place == 0 else ""


def _shared_seeds(sides: Sequence[ComparedSide]) -> str:
    """What all sides say of their seeds: it is said once, above, and leaves the titles the room for their names."""
    texts = {side.title.removeprefix(side.name).strip(" ()") for side in sides}
    return texts.pop() if len(sides) > 1 and len(texts) == 1 else ""


def _told(value: ComparedValue) -> str:
    return "" if value is None else value if isinstance(value, str) else value.told()


def _cell(value: ComparedValue, first: ComparedValue, colors: Inks) -> CellText:
    if value is None:
        return [("", colors["faint"]) if first is None else ("–", colors["faint"])]
    if isinstance(value, str):
        return [(printable(value), colors["text" if value == first else "accent"])]
    if isinstance(value, ComparedInterval):
        style = "dim" if value.better is None else "success" if value.better else "error"
        return [(value.told(), colors[style])]
    return _number(value, first, colors)


def _length(value: ComparedValue, first: ComparedValue, colors: Inks) -> int:
    """Cells of a number with its difference, or of an interval with its p, neither of which may be cut."""
    if value is None or isinstance(value, str):
        return 0
    return sum(cell_len(text) for text, _ in _cell(value, first, colors))


def _number(value: ComparedNumber, first: ComparedValue, colors: Inks) -> CellText:
    """The mean, its spread, and the difference to the first side: in colour, with a mark, where its test shows it."""
    mean, space, spread = value.told().partition(" ")
    pieces: list[tuple[str, Style]] = [(mean, colors["text"]), (space + spread, colors["dim"])]
    if value.difference is not None:
        style = colors["success" if value.mark == "better" else "error" if value.mark == "worse" else "dim"]
        pieces.append((f" {value.metric.difference(value.difference)}{value.sign}", style))
    return pieces


def _wrapped(lines: Iterable[TableLine], width: int) -> list[TableLine]:
    """Notes as wide as the table, a line for each piece."""
    wrapped: list[TableLine] = []
    for line in lines:
        if not line.note:
            wrapped.append(line)
            continue
        pieces = textwrap.wrap(line.name, max(width, 30), subsequent_indent="  ")
        wrapped += [replace(line, id=f"{line.id} {part}", name=piece) for part, piece in enumerate(pieces)]
    return wrapped
