"""Timers on a machine that stands still now and then, just as they start."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from weakref import WeakKeyDictionary

import pytest
from rich.color import Color
from textual.widget import Widget

from tests.tui.app.bench import app_of, opened, press, screen_text, until
from tfllmer_tui.tui.palette import LIGHT, inks
from tfllmer_tui.tui.screens.jump import JumpScreen
from tfllmer_tui.tui.screens.runs import RunsScreen
from tfllmer_tui.tui.widgets.details import Details

HELD_S = 1.0


@pytest.fixture(autouse=True)
def held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of timers goes on by a second between the first and the second look of each at it, as it does where
    the process gets no core in between."""
    looks: WeakKeyDictionary[object, int] = WeakKeyDictionary()
    lost = 0.0

    def monotonic() -> float:
        nonlocal lost
        task = asyncio.current_task()
        looks[task] = looks.get(task, 0) + 1
        lost += HELD_S if looks[task] == 2 else 0.0
        return time.monotonic() + lost

    monkeypatch.setattr("textual.timer._time", SimpleNamespace(get_time=monotonic, sleep=asyncio.sleep))


async def test_timers_of_the_app_and_of_every_screen_fire(filled: Path) -> None:
    fired: list[object] = []
    async with opened(filled) as pilot:
        page = app_of(pilot).screen
        await press(pilot, "ctrl+o")
        assert isinstance(page, RunsScreen) and isinstance(pilot.app.screen, JumpScreen)
        nodes = [pilot.app, page, pilot.app.screen]
        for node in nodes:
            node.set_timer(0.01, lambda node=node: fired.append(node))
        await until(pilot, lambda: len(fired) == len(nodes), 10)


async def test_what_waits_for_a_timer_is_drawn(filled: Path) -> None:
    """The words beside the curves in the colours of a new theme, also below the letters of the jump; another size;
    the places after a change between them, which keeps all drawing waiting."""
    async with opened(filled, (200, 60)) as pilot:
        details = pilot.app.screen.query_one(Details)
        await press(pilot, "ctrl+o")
        app_of(pilot).theme = LIGHT
        dim = inks(pilot.app.current_theme)["dim"].color
        await until(pilot, lambda: dim in colors(details), 10)
        await press(pilot, "escape")
        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: pilot.app.screen.size == (100, 30), 10)
        await press(pilot, "alt+4")
        await until(pilot, lambda: "1 new run" in screen_text(pilot) and not pilot.app._batch_count, 10)


def colors(widget: Widget) -> set[Color | None]:
    """Those of what a widget draws itself."""
    lines = (widget.render_line(y) for y in range(widget.size.height))
    return {segment.style.color for line in lines for segment in line if segment.style and segment.text.strip()}
