"""What is seen while there is no run yet: what this is, and one key to begin."""

from __future__ import annotations

import numpy as np
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Center, Vertical
from textual.widgets import Button, Static

from tfllmer_tui.tui.messages import DemoRequested, LaunchRequested
from tfllmer_tui.tui.palette import inks
from tfllmer_tui.tui.snapshot import StoreSnapshot
from tfllmer_tui.view.chart import SERIES, ChartSeries, draw


class Welcome(Vertical):
    """The first screen."""

    DEFAULT_CSS = """
    Welcome { align: center middle; height: 1fr; }
    Welcome > Static { width: 62; max-width: 100%; height: auto; }
    Welcome > #buttons { width: 62; max-width: 100%; height: auto; margin-top: 1; layout: horizontal; align: left top; }
    Welcome Button { margin-right: 2; min-width: 20; }
    Welcome > #where { margin-top: 1; color: $foreground 45%; }
    """

    def __init__(self, snapshot: StoreSnapshot, *, read_only: bool = False) -> None:
        super().__init__()
        self._where, self._read_only = _where(snapshot), read_only

    def compose(self) -> ComposeResult:
        yield Static(id="picture")
        yield Static(id="words")
        if not self._read_only:
            with Center(id="buttons"):
                yield Button("Launch the demo", id="demo", variant="primary", compact=True)
                yield Button("Choose a run", id="launch", compact=True)
        yield Static(self._where, id="where", markup=False)

    def on_mount(self) -> None:
        self.query_one("#words", Static).update(_words(read_only=self._read_only))

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        colors = inks(self.app.current_theme)
        room = min(self.size.height - 12, 9)
        picture = self.query_one("#picture", Static)
        picture.display = room >= 4
        if room >= 4:
            x = np.linspace(0, 1, 200)
            barrier = 0.85 - 0.12 * x + 0.015 * np.sin(40 * x)
            removed = 0.12 + 0.8 * np.exp(-6 * x) + 0.012 * np.sin(55 * x)
            shown = draw(
                [ChartSeries("", x, removed), ChartSeries("", x, barrier, dash=0)],
                62,
                room,
                x_range=(0, 1),
                legend=False,
            )
            frame, text = shown.frame, Text()
            for row in range(frame.top, frame.top + frame.rows):
                for char, ink in zip(shown.chars[row, frame.left :], shown.inks[row, frame.left :], strict=True):
                    text.append(
                        str(char) if ink >= SERIES else " ", colors.curves[ink - SERIES] if ink >= SERIES else None
                    )
                text.append("\n")
            picture.update(text)

    @property
    def has_focus_within(self) -> bool:
        """Whether one of its buttons has the focus."""
        return any(button.has_focus for button in self.query(Button))

    def focus_first(self) -> None:
        """To the button that most people want."""
        for button in self.query("#demo"):
            button.focus()

    def show(self, snapshot: StoreSnapshot) -> None:
        """Say where the store is, or will be."""
        self._where = _where(snapshot)
        for place in self.query("#where").results(Static):  # none before it is composed
            place.update(self._where)
            self._draw()  # in the colours of the theme, which may have changed

    @on(Button.Pressed, "#demo")
    def _demo(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(DemoRequested())

    @on(Button.Pressed, "#launch")
    def _launch(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(LaunchRequested())


def _where(snapshot: StoreSnapshot) -> str:
    path = snapshot.path or ""
    return f"{path} holds no run yet" if snapshot.state == "open" else f"{path} will be made with the first run"


def _words(*, read_only: bool) -> Text:
    offer = (
        "This view is for reading only: runs are seen here once they are launched elsewhere."
        if read_only
        else "The demo trains three models on data that is generated on the spot: with the vectors as they are, the "
        "baseline without any, and the cure. About half a minute; a line then says what came of it."
    )
    barrier = "LLM vectors of item text often make a recommender train worse: its loss stays on a plateau. "
    return Text.assemble(("No run yet\n\n", "bold"), barrier, offer)
