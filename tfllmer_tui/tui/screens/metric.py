"""Any metric by its name: what it means is said below the line while it is typed, and why a name is none."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from engine.errors import UserError
from engine.metrics import measures, offered, parse_metric
from tfllmer_tui.tui.screens.overlay import Overlay
from tfllmer_tui.tui.widgets.completed import Completed


class MetricScreen(Overlay[str]):
    """A line that takes a metric; it ends with the full name, or None where nothing was chosen."""

    DEFAULT_CSS = """
    MetricScreen { align: center middle; }
    MetricScreen > Vertical {
        width: 72; max-width: 95%; height: auto; border: round $border; border-title-color: $primary;
        border-subtitle-color: $foreground 50%; background: $surface; padding: 0 1;
    }
    MetricScreen Input { border: none; height: 1; padding: 0; background: $surface; }
    MetricScreen #about { height: auto; min-height: 2; color: $foreground 70%; }
    MetricScreen #about.-wrong { color: $error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "end", "Close", show=False, id="metric.close"),
        Binding("tab", "complete", "Complete", show=False, priority=True, id="metric.complete"),
    ]

    def __init__(self, shown: str) -> None:
        super().__init__()
        self._shown = shown

    def compose(self) -> ComposeResult:
        names = [name for metric in offered() for name in dict.fromkeys((metric.key, str(metric)))]
        with Vertical() as box:
            box.border_title, box.border_subtitle = "metric", "Tab completes · Enter shows the board · Esc"
            yield Completed(
                self._shown, id="name", suggester=SuggestFromList(list(dict.fromkeys(names)), case_sensitive=False)
            )
            yield Static(id="about", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._explain(self._shown)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._explain(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            self.end(str(parse_metric(event.value)))
        except UserError:
            self._explain(event.value)

    def action_complete(self) -> None:
        self.query_one(Completed).action_complete()

    def _explain(self, name: str) -> None:
        about = self.query_one("#about", Static)
        try:
            text = (
                _meaning(name)
                if name.strip()
                else ", ".join(form for measure in measures().values() for form in measure.forms)
            )
        except UserError as error:
            about.set_class(True, "-wrong")
            about.update(str(error))
        else:
            about.set_class(False, "-wrong")
            about.update(text)


def _meaning(name: str) -> str:
    metric = parse_metric(name)
    better = "" if metric.direction == "neither" else f"; {metric.direction} is better"
    return f"{metric.title}: {metric.measure.about}{better}"
