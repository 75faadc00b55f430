"""Compare: runs side by side: their curves, the settings that differ, their metrics and the differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from tfllmer_tui.tui.palette import Inks
from tfllmer_tui.tui.rows import names
from tfllmer_tui.tui.screens.looks import ChartKeys, remembered_look
from tfllmer_tui.tui.text import clean, difference, number, shown
from tfllmer_tui.tui.traces import Wanted
from tfllmer_tui.tui.watch import Snapshot
from tfllmer_tui.tui.widgets.charts import Charts
from tfllmer_tui.tui.widgets.table import Cell, Column, Table

if TYPE_CHECKING:
    from engine.store import Store
    from engine.store.feed import RunRow

METRICS = ("train_ce", "valid.ndcg@10")
SHOWN = ("ndcg@10", "hr@10", "mrr", "ndcg@20", "hr@20")


@dataclass(frozen=True)
class Line:
    """A setting or a metric of every run; `id` is its name. `values` are metrics, or texts."""

    id: str
    values: tuple[float | str | None, ...]
    heading: bool = False


class CompareScreen(ChartKeys):
    """Some runs; the first is what the others are measured against."""

    CSS_PATH = "compare.tcss"
    HEADING = "Compare"
    ABOUT = "Runs over one another. Differences are to the first run; d makes the next one the first."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.back", "Back", id="compare.back"),
        Binding("d", "next_first", "Next as first", id="compare.first"),
        Binding("B", "look('bands')", "Seeds as bands", id="compare.bands"),
        Binding("y", "copy", "Copy as text", show=False, id="compare.copy"),
    ]

    def __init__(self, run_ids: Sequence[str]) -> None:
        super().__init__()
        self._ids = list(run_ids)
        self._rows: list[RunRow] = []

    def compose_body(self) -> Iterable[Widget]:
        with Horizontal(id="panes"):
            yield Charts(METRICS, remembered_look(self.up.memory), id="curves")
            with Vertical(id="right"):
                yield Static("settings that differ, and metrics", classes="pane-title")
                yield Table(self._columns(0), self._cells, id="lines")

    def run_ids(self) -> list[str]:
        return list(self._ids)

    def show_news(self, snapshot: Snapshot) -> None:
        rows = self.rows(self._ids)
        if [id(row) for row in rows] == [id(row) for row in self._rows]:
            return
        self._rows = rows
        self._show()

    def _show(self) -> None:
        rows = self._rows
        named = enumerate(zip(rows, names(rows), strict=True))
        self.charts.load([Wanted(row, place, name) for place, (row, name) in named])
        self.read("documents", lambda store: _lines(store, rows), self._show_lines)

    def _show_lines(self, lines: tuple[Line, ...]) -> None:
        table = self.query_one("#lines", Table)
        table.set_columns(self._columns(len(self._rows)))
        table.show(lines)
        table.focus()

    def _columns(self, count: int) -> list[Column]:
        columns = [Column("name", "", 18, 0, grow=1, most=28)]
        for place, name in enumerate(names(self._rows)[:count]):
            columns.append(Column(str(place), f"{_mark(place)}{name}", 16, place, grow=1, most=28))
        return columns

    def _cells(self, line: Line, columns: Sequence[Column], colors: Inks) -> Sequence[Cell]:
        if line.heading:
            return [[(line.id, colors["head"])], *([[] for _ in columns[1:]])]
        first = line.values[0]
        cells: list[Cell] = [[(clean(line.id), colors["dim"])]]
        for column in columns[1:]:
            value = line.values[int(column.key)]
            if isinstance(value, str):
                style = colors["text"] if value == first else colors["accent"]
                cells.append([(clean(value), style)])
            else:
                cells.append(_metric(value, first, column.key == "0", colors))
        return cells

    def action_next_first(self) -> None:
        self._ids = [*self._ids[1:], self._ids[0]]
        self._rows = self.rows(self._ids)
        self._show()

    def action_copy(self) -> None:
        table = self.query_one("#lines", Table)
        lines = ["\t".join(["", *names(self._rows)])]
        lines += ["\t".join([line.id, *map(str, line.values)]) for line in table.rows if not line.heading]
        self.up.copy("comparison", "\n".join(lines))

    def commands(self) -> Iterable[SystemCommand]:
        yield SystemCommand("Next as first", "Differences are to the first run", self.action_next_first)
        yield SystemCommand("Seeds as bands", "Mean and spread per configuration", lambda: self.action_look("bands"))
        yield SystemCommand("Copy the comparison", "As text with tabs", self.action_copy)


def _mark(place: int) -> str:
    return "» " if place == 0 else ""


def _metric(value: float | None, first: float | str | None, is_first: bool, colors: Inks) -> Cell:
    if value is None:
        return [("–", colors["faint"])]
    pieces: list[tuple[str, Style]] = [(number(value), colors["text"])]
    if not is_first and isinstance(first, float):
        better = "success" if value > first else "error" if value < first else "dim"
        pieces.append((f" {difference(value, first)}", colors[better]))
    return pieces


def _lines(store: Store, rows: Sequence[RunRow]) -> tuple[Line, ...]:
    """Metrics, then every setting that is not the same in all runs; for threads."""
    from engine.store import get_run
    from tfllmer_tui.cli.output import flatten

    lines = [Line("metrics", (), heading=True)]
    for split in ("test", "valid"):
        for metric in SHOWN:
            values = tuple(getattr(row, split).get(metric) for row in rows)
            if any(value is not None for value in values):
                lines.append(Line(f"{split} {metric.upper()}", values))
    specs: list[Mapping[str, Any]] = [flatten(get_run(store, row.id).spec) for row in rows]
    lines.append(Line("settings", (), heading=True))
    for name in dict.fromkeys(name for spec in specs for name in spec):
        told = tuple("–" if name not in spec else shown(spec[name]) for spec in specs)
        if len(set(told)) > 1 and not name.endswith(("fingerprint", ".path")):
            lines.append(Line(name, told))
    return tuple(lines)
