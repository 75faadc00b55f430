"""The loss chart: curves in braille, with a crosshair, zoom and pan by keys and mouse."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, cast

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.strip import Strip

from tfllmer_tui.tui.curves import Plot, value_at
from tfllmer_tui.tui.messages import ChartZoomed, CrosshairMoved
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.tui.widgets.lines import LineWidget
from tfllmer_tui.view.chart import AXIS, LABEL, LETTERS, REFERENCE, SERIES, Picture, draw

if TYPE_CHECKING:
    from tfllmer_tui.tui.context import Context

LEAST_NAME = 4
"""Cells of a curve's name in a legend, without which the curve is only counted."""


class Chart(LineWidget, can_focus=True):
    """Draws a `Plot`. The first line is its title and legend; under a crosshair the legend tells the values."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "crosshair(-1)", "Crosshair left", show=False, id="chart.left"),
        Binding("right", "crosshair(1)", "Crosshair right", show=False, id="chart.right"),
        Binding("shift+left", "pan(-1)", "Pan left", show=False, id="chart.pan-left"),
        Binding("shift+right", "pan(1)", "Pan right", show=False, id="chart.pan-right"),
        Binding("plus,equals_sign", "zoom(0.5)", "Zoom in", show=True, key_display="+", id="chart.zoom-in"),
        Binding("minus", "zoom(2)", "Zoom out", show=True, key_display="-", id="chart.zoom-out"),
        Binding("0", "reset", "Whole curve", show=False, id="chart.reset"),
    ]
    DEFAULT_CSS = """
    Chart { background: $background; height: 1fr; min-height: 3; }
    """

    title: reactive[str] = reactive("")
    at: reactive[float | None] = reactive(None)
    """x of the crosshair."""

    def __init__(self, title: str = "", *, id: str | None = None, waiting: str = "reading…") -> None:
        super().__init__(id=id)
        self.set_reactive(Chart.title, title)
        self.plot = Plot()
        self.log_x = self.log_y = self.ascii_only = self.focus_y = False
        self.x_range: tuple[float, float] | None = None
        self.waiting = waiting
        self.aspect = ""
        """How it is looked at, in words, for as long as that is not the usual way."""
        self._picture: Picture | None = None
        self._drag: tuple[int, tuple[float, float]] | None = None

    # -------------------------------------------------------------------------------- content

    def show(self, plot: Plot, *, log_x: bool = False, log_y: bool = False, focus: bool = False) -> None:
        """Draw this from now on; with `focus` the y axis leaves out what would squeeze the rest."""
        if plot.x_name != self.plot.x_name or log_x != self.log_x:
            self.x_range = None
            self.set_reactive(Chart.at, None)
        self.plot, self.log_x, self.log_y, self.focus_y = plot, log_x, log_y, focus
        self.redraw()

    def say_waiting(self, text: str) -> None:
        """What stands where there is no curve."""
        if text != self.waiting:
            self.waiting = text
            if self._is_empty:
                self.refresh()

    @property
    def _is_empty(self) -> bool:
        return not any(len(series.x) for series in self.plot.series)

    def redraw(self) -> None:
        """Draw anew."""
        self._picture = None
        self.refresh()

    @property
    def picture(self) -> Picture:
        """The drawing in the present size, below the title."""
        if self._picture is None:
            self._picture = self._draw(self.size.width, self.size.height - 1)
        return self._picture

    def _draw(self, width: int, height: int) -> Picture:
        return draw(
            self.plot.series,
            width,
            height,
            lines=self.plot.lines,
            marks=self.plot.marks,
            x_range=self.x_range,
            focus=self.focus_y,
            x_name=self.plot.x_name,
            log_x=self.log_x,
            log_y=self.log_y,
            ascii_only=self.ascii_only,
            legend=False,
        )

    def on_mount(self) -> None:
        self.ascii_only = cast("Context", self.app).ascii_only

    def on_resize(self) -> None:
        self.redraw()

    # -------------------------------------------------------------------------------- drawing

    def render_line(self, y: int) -> Strip:
        width, colors = self.size.width, inks(self.app.current_theme)
        if y == 0:
            return self._head(width, colors, self.picture).apply_style(self.rich_style)
        picture = self.picture
        if y - 1 >= len(picture.chars):
            return Strip.blank(width, self.rich_style)
        if self._is_empty:
            middle = y == 1 + len(picture.chars) // 2
            text = self.waiting.center(width)[:width] if middle else " " * width
            return Strip([Segment(text, colors["dim"])]).apply_style(self.rich_style)
        segments = self.body_line(picture, y - 1, colors)
        return Strip(segments).adjust_cell_length(width).apply_style(self.rich_style)

    def body_line(self, picture: Picture, row: int, colors: Inks) -> list[Segment]:
        """One row of the drawing with the crosshair in it."""
        frame = picture.frame
        column = frame.column_of(self.at) if self.at is not None else None
        if column is None or not frame.top <= row < frame.top + frame.rows:
            return [Segment(text, self.ink_style(ink, colors)) for text, ink in picture.runs(row)]
        segments, done = [], 0
        for text, ink in picture.runs(row):
            style = self.ink_style(ink, colors)
            if done <= column < done + len(text):
                here = text[column - done]
                bar = ("|" if self.ascii_only else "│") if here == " " else here
                segments += [
                    Segment(text[: column - done], style),
                    Segment(bar, colors["crosshair"] if here == " " else style + Style(reverse=True)),
                    Segment(text[column - done + 1 :], style),
                ]
            else:
                segments.append(Segment(text, style))
            done += len(text)
        return segments

    def ink_style(self, ink: int, colors: Inks) -> Style:
        """The style of an ink of the drawing."""
        if ink >= SERIES:
            index = ink - SERIES
            series, color = self.plot.series[index], self.plot.colors[index]
            shades = colors.ghosts if series.faint or series.high is not None else colors.curves
            return shades[color % len(shades)]
        return {AXIS: colors["faint"], LABEL: colors["dim"], REFERENCE: colors["dim"]}.get(ink, Style.null())

    def _aspect(self, picture: Picture) -> str:
        """What of the picture is not the whole curve as it was measured, in short words."""
        parts = [self.aspect, "log x" if self.log_x else "", "log y" if self.log_y else ""]
        parts += ["zoomed" if self.x_range is not None else ""]
        parts += ["clipped, z shows all" if picture.clipped and self.focus_y else ""]
        return " · ".join(filter(None, parts))

    def _head(self, width: int, colors: Inks, picture: Picture) -> Strip:
        """Title with how it is looked at, then the legend, or what is under the crosshair."""
        segments = [Segment(self.title, colors["bold"])]
        looks = self._aspect(picture)
        aspect = f" [{looks}]" if looks else ""
        segments.append(Segment(aspect, colors["warning"]))
        used = cell_len(self.title) + cell_len(aspect)
        place = ""
        if self.at is not None:
            name = {"minutes": "min"}.get(self.plot.x_name, self.plot.x_name)
            place = f"  {name} {self.at:.4g}"
            segments.append(Segment(place, colors["primary"]))
            used += cell_len(place)
        letters = [LETTERS[place % len(LETTERS)] for place in range(len(self.plot.series))]
        drawn = zip(self.plot.series, self.plot.colors, letters, strict=True)
        named = [(series, color, letter) for series, color, letter in drawn if series.in_legend]
        room = width - used - 1
        for i, (series, color, letter) in enumerate(named):
            value = value_at(series, self.at) if self.at is not None else self.plot.last[i]
            number = "–" if value is None else f"{value:.4g}"
            sample = 2 * letter if self.ascii_only else "━━"
            rest = 5 if i + 1 < len(named) else 0
            before = named[i - 1][0].name if i else ""
            free = room - rest - cell_len(f"  {sample}  {number}")
            names = [name for name in (series.name, difference_of_names(series.name, before)) if name] or [""]
            if free < LEAST_NAME and i == 0 and looks and len(named) == 1 and free >= 0:
                names = [series.name, ""]  # rather its raw value than the name of the run that one is on
            elif free < LEAST_NAME and i == 0:  # rather the name of one than how many there are
                number, free = "", room - rest - cell_len(f"  {sample} ")
            name = next((name for name in names if cell_len(name) <= free), names[-1])
            if free < min(LEAST_NAME, cell_len(name)):
                segments.append(Segment(f"  +{len(named) - i}"[: max(room, 0)], colors["dim"]))
                break
            style = colors.curves[color % len(colors.curves)]
            label = f" {_shortened(name, free)} " if name else " "
            segments += [Segment("  "), Segment(sample, style), Segment(label, colors["dim"])]
            segments.append(Segment(number, colors["text"]))
            room -= cell_len(f"  {sample}{label}{number}")
        return Strip(segments).adjust_cell_length(width)

    # -------------------------------------------------------------------------------- crosshair, zoom, pan

    def watch_at(self, at: float | None) -> None:
        self.refresh()

    def aim(self, at: float | None) -> None:
        """Put the crosshair at x and say so."""
        if at != self.at:
            self.at = at
            self.post_message(CrosshairMoved(at))

    def zoom_to(self, x_range: tuple[float, float] | None) -> None:
        """Show this part of the x axis, and say so."""
        self.x_range = x_range
        self.redraw()
        self.post_message(ChartZoomed(x_range, self.plot.x_name))

    def action_crosshair(self, by: int) -> None:
        frame = self.picture.frame
        column = frame.column_of(self.at) if self.at is not None else None
        if column is None:
            column = frame.left + (frame.columns if by < 0 else -1)
        column = max(frame.left, min(column + by, frame.left + frame.columns - 1))
        self.aim(frame.x_at(column))

    def action_pan(self, by: int) -> None:
        if self.x_range is not None:
            self._move(0.2 * by)

    def action_zoom(self, factor: float) -> None:
        self._zoom(factor, self.at)

    def action_reset(self) -> None:
        self.aim(None)
        self.zoom_to(None)

    def _whole(self) -> tuple[float, float]:
        return draw(self.plot.series, 20, 5, log_x=self.log_x, legend=False).frame.x

    def _zoom(self, factor: float, about: float | None) -> None:
        lo, hi = self.picture.frame.x
        whole_lo, whole_hi = self._whole()
        about = None if about is None else math.log10(about) if self.log_x and about > 0 else about
        middle = about if about is not None and lo <= about <= hi else (lo + hi) / 2
        lo, hi = middle - (middle - lo) * factor, middle + (hi - middle) * factor
        lo, hi = max(lo, whole_lo), min(hi, whole_hi)
        if hi - lo < 1e-6 * (whole_hi - whole_lo):
            return
        self._set_scaled(lo, hi, (whole_lo, whole_hi))

    def _move(self, share: float) -> None:
        lo, hi = self.picture.frame.x
        whole_lo, whole_hi = self._whole()
        by = max(min(share * (hi - lo), whole_hi - hi), whole_lo - lo)
        self._set_scaled(lo + by, hi + by, (whole_lo, whole_hi))

    def _set_scaled(self, lo: float, hi: float, whole: tuple[float, float]) -> None:
        if lo <= whole[0] and hi >= whole[1]:
            self.zoom_to(None)
        else:
            self.zoom_to((10**lo, 10**hi) if self.log_x else (lo, hi))

    # -------------------------------------------------------------------------------- mouse

    def on_mouse_move(self, event: events.MouseMove) -> None:
        frame = self.picture.frame
        if self._drag is not None:
            column, (lo, hi) = self._drag
            whole_lo, whole_hi = self._whole()
            by = (column - event.x) / max(frame.columns, 1) * (hi - lo)
            by = max(min(by, whole_hi - hi), whole_lo - lo)
            self._set_scaled(lo + by, hi + by, (whole_lo, whole_hi))
            return
        inside = frame.left <= event.x < frame.left + frame.columns
        self.aim(frame.x_at(event.x) if inside else None)

    def on_leave(self) -> None:
        if not self.has_focus:
            self.aim(None)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if self.x_range is not None:
            self._drag = (event.x, self.picture.frame.x)
            self.capture_mouse()

    def on_mouse_up(self) -> None:
        if self._drag is not None:
            self._drag = None
            self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2:
            self.action_reset()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._zoom(0.8, self.picture.frame.x_at(event.x))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._zoom(1.25, self.picture.frame.x_at(event.x))

    # -------------------------------------------------------------------------------- export

    def printed(self, width: int, height: int) -> PrintedChart:
        """The chart as a renderable of that size, for a file."""
        return PrintedChart(self, width, height, inks(self.app.current_theme))


class PrintedChart:
    """A chart without crosshair, as Rich prints it."""

    def __init__(self, chart: Chart, width: int, height: int, colors: Inks) -> None:
        self._chart, self._colors = chart, colors
        self._picture = chart._draw(width, height - 1)
        self._head = chart._head(width, colors, self._picture)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._head
        yield Segment.line()
        for row in range(len(self._picture.chars)):
            for text, ink in self._picture.runs(row):
                yield Segment(text, self._chart.ink_style(ink, self._colors))
            yield Segment.line()


def difference_of_names(name: str, before: str) -> str:
    """The end of a name, from where it differs from the one before it: `seed 1` of `id sasrec seed 1` after
    `id sasrec seed 0`."""
    words, others = name.split(), before.split()
    at = next((at for at, word in enumerate(words) if at >= len(others) or word != others[at]), len(words))
    if 0 < at < len(words) and words[at].isdigit():  # a number with what it counts
        at -= 1
    return " ".join(words[at:])


def _shortened(name: str, room: int) -> str:
    """As much of a name as there is room for."""
    return name if cell_len(name) <= room else set_cell_size(name, max(room - 1, 0)).rstrip() + "…"
