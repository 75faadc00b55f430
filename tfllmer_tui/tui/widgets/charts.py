"""One or several charts of the same runs, looked at in the same way: small multiples with one crosshair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from textual import on
from textual.widget import Widget

from engine.records import RunStatus
from tfllmer_tui.tui.curves import AXES, SMOOTHING, Curve, Look, Plot, along, plot
from tfllmer_tui.tui.messages import ChartZoomed, CrosshairMoved, LookChanged
from tfllmer_tui.tui.text import metric_title
from tfllmer_tui.tui.traces import DrawnRun
from tfllmer_tui.tui.widgets.chart import Chart
from tfllmer_tui.view.chart import ReferenceLine

if TYPE_CHECKING:
    from engine.store import Store
    from tfllmer_tui.tui.context import StoreReader

NARROWEST, LOWEST = 48, 7
"""Columns and rows below which a chart cannot be read."""
SHAPE = 3.5
"""Columns by rows of a chart at its best: characters are twice as high as wide."""

ENDED = (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.CANCELLED)


class Charts(Widget):
    """Charts of `metrics`. They read what they show through the page they are on."""

    DEFAULT_CSS = """
    Charts { layout: grid; grid-size: 1; grid-gutter: 0 1; height: 1fr; }
    """

    def __init__(self, metrics: Sequence[str], look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.look = look
        self._metrics = tuple(metrics)
        self._wanted: tuple[DrawnRun, ...] = ()
        self._curves: list[list[Curve]] = []
        self._lines: list[list[ReferenceLine]] = []

    @property
    def page(self) -> StoreReader:
        return cast("StoreReader", self.screen)

    @property
    def charts(self) -> list[Chart]:
        return list(self.query(Chart))

    def compose(self) -> list[Chart]:
        return [Chart(metric_title(name)) for name in self._metrics]

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        """The grid whose charts have the best shape, none narrower than can be read; charts that would be too low are
        not shown."""
        count, (width, height) = len(self._metrics), self.size
        columns = min(range(1, max(1, min(count, width // NARROWEST)) + 1), key=self._misfit)
        rows = max(1, min(-(-count // columns), height // LOWEST))
        self.styles.grid_size_columns = columns
        for place, chart in enumerate(self.charts):
            chart.display = place < rows * columns

    def _misfit(self, columns: int) -> float:
        """How far charts in so many columns are from the best shape, as a factor in logarithms."""
        rows = -(-len(self._metrics) // columns)
        high = max(self.size.height / rows, LOWEST)
        return abs(math.log(max(self.size.width, 1) / columns / high / SHAPE))

    # -------------------------------------------------------------------------------- reading

    def show_metrics(self, metrics: Sequence[str]) -> None:
        """Draw other metrics from the next `load` on, as many as before."""
        self._metrics = tuple(metrics)
        for chart, name in zip(self.charts, metrics, strict=True):
            chart.title = metric_title(name)

    def load(self, runs: Sequence[DrawnRun]) -> None:
        """Show these runs: what is read already at once, the rest when it has been read."""
        self._wanted = tuple(runs)
        self.say_waiting(reading=bool(runs))
        metrics, cache = self._metrics, self.page.context.traces

        def job(store: Store) -> tuple[list[list[Curve]], list[list[ReferenceLine]]]:
            curves = [cache.curves(store, self._wanted, name) for name in metrics]
            return curves, [_lines(runs, name) for name in metrics]

        self.page.read(f"curves {self.id}", job, self._loaded)

    def _loaded(self, result: tuple[list[list[Curve]], list[list[ReferenceLine]]]) -> None:
        self._curves, self._lines = result
        self.say_waiting(reading=False)
        self.draw()

    def say_waiting(self, *, reading: bool) -> None:
        """What stands where there is no curve: not measured is said only when it, and which runs there are, was
        read."""
        snapshot = self.page.context.snapshot
        unread = snapshot.unread_text if reading or snapshot.is_unread else ""
        ended = self._wanted and all(run.row.status in ENDED for run in self._wanted)
        text = unread or ("nothing measured" if ended else "nothing measured yet")
        for chart in self.charts:
            chart.say_waiting(text)

    def draw(self) -> None:
        """Draw what was read."""
        for chart, curves, lines in zip(self.charts, self._curves, self._lines, strict=False):
            self._show(chart, plot(curves, self.look, lines))

    def _show(self, chart: Chart, content: Plot) -> None:
        look = self.look
        chart.aspect = self.aspect(content.x_name)
        chart.show(content, log_x=look.log_x, log_y=look.log_y, focus=not look.whole)

    @on(CrosshairMoved)
    def _aimed(self, event: CrosshairMoved) -> None:
        event.stop()
        for chart in self.charts:
            chart.at = event.at

    @on(ChartZoomed)
    def _zoomed(self, event: ChartZoomed) -> None:
        """The others follow; a long series is read again, finer."""
        event.stop()
        for chart in self.charts:
            if chart.x_range != event.x_range:
                chart.x_range = event.x_range
                chart.redraw()
        if any(len(curve.trace.steps) < curve.trace.points for curves in self._curves for curve in curves):
            metrics, curves, axis = self._metrics, self._curves, event.x_name

            def job(store: Store) -> list[list[Curve]]:
                return [
                    [_finer(store, curve, name, axis, event.x_range) for curve in each]
                    for name, each in zip(metrics, curves, strict=False)
                ]

            self.page.read(f"zoom {self.id}", job, self._refined)

    def _refined(self, curves: list[list[Curve]]) -> None:
        for chart, each, lines in zip(self.charts, curves, self._lines, strict=False):
            self._show(chart, plot(each, self.look, lines))

    # -------------------------------------------------------------------------------- looking

    def show_as(self, look: Look) -> None:
        """Look at them so from now on."""
        if look != self.look:
            self.look = look
            self.draw()

    def change(self, look: Look) -> None:
        """The same, by a key: others are told."""
        self.show_as(look)
        self.post_message(LookChanged(look))

    def next_axis(self) -> None:
        self.change(replace(self.look, axis=AXES[(AXES.index(self.look.axis) + 1) % len(AXES)]))

    def next_smoothing(self) -> None:
        now = SMOOTHING.index(self.look.smoothing) if self.look.smoothing in SMOOTHING else 0
        self.change(replace(self.look, smoothing=SMOOTHING[(now + 1) % len(SMOOTHING)]))

    def toggle(self, name: str) -> None:
        """log_x, log_y, bands or whole."""
        changed: dict[str, Any] = {name: not getattr(self.look, name)}
        self.change(replace(self.look, **changed))

    def aspect(self, axis: str) -> str:
        """What of the look is not the usual one, in short words for the title; the chart adds what is its own."""
        look = self.look
        parts = [f"smooth {look.smoothing:g}" if look.smoothing else ""]
        parts += [f"by {axis}" if axis != Look().axis else "", "seeds as bands" if look.bands else ""]
        return " · ".join(filter(None, parts))

    @property
    def words(self) -> str:
        """The way of looking, in words."""
        look = self.look
        parts = [f"by {look.axis}", f"smoothing {look.smoothing:g}" if look.smoothing else ""]
        parts += ["log x" if look.log_x else "", "log y" if look.log_y else "", "seeds as bands" if look.bands else ""]
        parts += ["all values" if look.whole else ""]
        return " · ".join(filter(None, parts))


def _finer(store: Store, curve: Curve, metric: str, axis: str, x_range: tuple[float, float] | None) -> Curve:
    """The part of a long curve that is in sight, in as many places as the whole had."""
    from engine.store.curves.traces import trace

    if len(curve.trace.steps) >= curve.trace.points or x_range is None:
        return curve
    x = along(curve.trace, axis)  # type: ignore[arg-type]
    known = np.isfinite(x)
    lo, hi = np.interp(x_range, x[known], curve.trace.steps[known])
    pad = 0.02 * (hi - lo) + 1
    return replace(curve, trace=trace(store, curve.run, metric, max(0, int(lo - pad)), int(hi + pad)))


def _lines(runs: Sequence[DrawnRun], metric: str) -> list[ReferenceLine]:
    """The training CE of popularity, where all runs saw the same data."""
    if metric != "train_ce" or not runs or len({each.row.dataset for each in runs}) > 1:
        return []
    value = runs[0].row.popularity_ce
    return [] if value is None else [ReferenceLine("popularity", value)]
