"""The keys that change how charts are looked at, for every screen that has some."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType

from engine.files import StoreAddress
from tfllmer_tui.tui.curves import Look
from tfllmer_tui.tui.file_actions import written
from tfllmer_tui.tui.messages import LookChanged
from tfllmer_tui.tui.screens.base import Page
from tfllmer_tui.tui.undo import ActionOutcome
from tfllmer_tui.tui.widgets.chart import Chart
from tfllmer_tui.tui.widgets.charts import Charts

if TYPE_CHECKING:
    from rich.console import RenderableType


class ChartKeys(Page):
    """A page with charts."""

    CHANGES: ClassVar[frozenset[str]] = frozenset({"write_chart"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "axis", "x axis: epoch, step, minutes", show=False, id="chart.axis"),
        Binding("s", "smooth", "Smoothing", show=False, id="chart.smooth"),
        Binding("l", "look('log_y')", "Logarithmic y", show=False, id="chart.log-y"),
        Binding("L", "look('log_x')", "Logarithmic x", show=False, id="chart.log-x"),
        Binding("B", "look('bands')", "Seeds as a band", show=False, id="chart.bands"),
        Binding("z", "look('whole')", "y axis shows everything, or what matters", show=False, id="chart.whole"),
        Binding("w", "write_chart", "Write the charts as SVG", show=False, id="chart.write"),
    ]

    @property
    def charts(self) -> Charts:
        """The ones that keys change; others of the page follow."""
        return self.query_one(Charts)

    def action_axis(self) -> None:
        self.charts.next_axis()
        self._say()

    def action_smooth(self) -> None:
        self.charts.next_smoothing()
        self._say()

    def action_look(self, name: str) -> None:
        self.charts.toggle(name)
        self._say()

    def _say(self) -> None:
        self.app.clear_notifications()
        self.notify(self.charts.words, timeout=1.5, markup=False)

    @on(LookChanged)
    def _looked(self, event: LookChanged) -> None:
        for charts in self.query(Charts):
            charts.show_as(event.look)
        self.context.keep("look", asdict(event.look))

    def action_write_chart(self) -> None:
        """Each chart in sight into a file of its own in the working folder."""
        drawn = [
            (chart.title, chart.printed(100, 28)) for chart in self.query(Chart) if chart.region and chart.plot.series
        ]
        if drawn:
            self.context.do(_write, drawn)


def _write(path: StoreAddress | None, drawn: list[tuple[str, RenderableType]]) -> ActionOutcome:
    from tfllmer_tui.view.svg import save_svg

    def file_of(title: str) -> Path:
        return Path("tfllmer-" + "".join(c if c.isalnum() else "-" for c in title.lower()) + ".svg")

    def write() -> None:
        for title, chart in drawn:
            save_svg(chart, file_of(title), 100, title)

    return written([file_of(title) for title, _ in drawn], write)


def remembered_look(kept: object, default: Look = Look()) -> Look:  # noqa: B008 - it is frozen
    """How charts were looked at last, as far as what was kept makes sense."""
    if not isinstance(kept, dict):
        return default
    known = {name: kept[name] for name, value in asdict(default).items() if isinstance(kept.get(name), type(value))}
    return Look(**known) if known.get("axis", "epoch") in ("epoch", "step", "minutes") else default
