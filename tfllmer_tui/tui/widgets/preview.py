"""What is beside the table of runs: the curves of those that are marked, and words about the one under the cursor."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical

from engine.views.runs import TableRow
from tfllmer_tui.tui.curves import Look
from tfllmer_tui.tui.traces import DrawnRun
from tfllmer_tui.tui.widgets.charts import Charts
from tfllmer_tui.tui.widgets.details import Details


class Preview(Vertical):
    """Curves above, words below."""

    def __init__(self, metrics: Sequence[str], look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._metrics, self._look = metrics, look
        self._wanted: list[DrawnRun] = []

    def compose(self) -> ComposeResult:
        yield Charts(self._metrics, self._look, id="curves")
        yield Details()

    def show(self, entry: TableRow | None, runs: list[DrawnRun]) -> None:
        """Words about a row of the table, and the curves of these runs; what is drawn already is not read again."""
        self.query_one(Details).show(entry)
        runs = runs if self.display else []
        if not _same(runs, self._wanted):
            self.query_one(Charts).load(runs)
        elif not runs:
            self.query_one(Charts).say_waiting(reading=False)
        self._wanted = runs

    def show_metrics(self, metrics: Sequence[str]) -> None:
        """Draw other metrics of the same runs."""
        curves = self.query_one(Charts)
        curves.show_metrics(metrics)
        curves.load(self._wanted)


def _same(some: Sequence[DrawnRun], others: Sequence[DrawnRun]) -> bool:
    """Whether the very same rows are wanted in the same way."""
    if len(some) != len(others):
        return False
    pairs = zip(some, others, strict=True)
    return all(a.row is b.row and (a.color, a.name) == (b.color, b.name) for a, b in pairs)
