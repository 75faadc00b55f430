"""Panes: the line between two is moved by keys and by the mouse, keeps both usable, and stays where it was put."""

from pathlib import Path

import pytest
from textual._xterm_parser import XTermParser
from textual.pilot import Pilot
from textual.widget import Widget

from tests.tui.app.bench import app_of, id_of, opened, press, quiet, screen_text
from tests.tui.app.terminal import mouse
from tfllmer_tui.tui.memory import Memory
from tfllmer_tui.tui.screens.metric import MetricScreen
from tfllmer_tui.tui.widgets.charts import Charts
from tfllmer_tui.tui.widgets.divider import LEAST_COLUMNS, LEAST_ROWS, Divider
from tfllmer_tui.tui.widgets.filter_bar import FilterBar

PLACES = {"runs": "alt+1", "leaderboard": "alt+2", "queue": "alt+3", "geometry": "alt+6"}


def divider_of(pilot: Pilot[None]) -> Divider:
    return next(each for each in pilot.app.screen.query(Divider) if each.region)


def before(divider: Divider) -> Widget:
    return next(pane for pane in divider.panes[0] if pane.region)


def behind(divider: Divider) -> Widget:
    return next(pane for pane in divider.panes[1] if pane.region)


def length(pane: Widget, divider: Divider) -> int:
    return pane.region.width if divider.is_upright else pane.region.height


async def go(pilot: Pilot[None], place: str) -> None:
    if place in PLACES:
        await press(pilot, PLACES[place])
    elif place == "run":
        app_of(pilot).open_run(id_of(0))
    else:
        app_of(pilot).compare([id_of(0), id_of(3)])
    await quiet(pilot)


async def push(pilot: Pilot[None], key: str, line: Divider) -> None:
    """The key, several at once, until the line moves no further."""
    was = None
    while was != length(before(line), line):
        was = length(before(line), line)
        await pilot.press(*[key] * 8)
        await quiet(pilot)


EVERYWHERE = [
    ("runs", (80, 40)),
    ("runs", (140, 30)),
    ("runs", (200, 60)),
    ("run", (140, 40)),
    ("compare", (80, 24)),
    ("compare", (200, 60)),
    ("leaderboard", (80, 24)),
    ("leaderboard", (140, 40)),
    ("queue", (80, 24)),
    ("geometry", (80, 24)),
    ("geometry", (140, 40)),
]


USUAL = [("runs", (140, 30)), ("compare", (80, 24)), ("queue", (80, 24))]
SLOW = [each for each in EVERYWHERE if each not in USUAL]
CASES = [*USUAL, *(pytest.param(*each, marks=pytest.mark.slow) for each in SLOW)]


@pytest.mark.parametrize(("place", "size"), CASES)
async def test_keys_move_the_line_within_limits_and_it_stays_there(
    filled: Path, place: str, size: tuple[int, int]
) -> None:
    async with opened(filled, size) as pilot:
        await go(pilot, place)
        line = divider_of(pilot)
        first = length(before(line), line)
        await press(pilot, "less_than_sign" if first > 3 else "greater_than_sign")
        moved = length(before(line), line)
        assert moved != first
        await press(pilot, "greater_than_sign" if first > 3 else "less_than_sign")
        assert length(before(line), line) == first
        await push(pilot, "greater_than_sign", line)
        least = LEAST_COLUMNS if line.is_upright else LEAST_ROWS if place != "queue" else 1
        assert least <= length(behind(line), line) <= least + 1
        await push(pilot, "less_than_sign", line)
        assert least <= length(before(line), line) <= least + 1
        app_of(pilot).memory.save()
    async with opened(filled, size) as pilot:
        await go(pilot, place)
        line = divider_of(pilot)
        assert least <= length(before(line), line) <= least + 1
        await press(pilot, "ctrl+p", *"reset the panes", "enter")
        assert not line.is_moved and abs(length(before(line), line) - first) <= 1


async def test_a_mouse_drags_the_line_and_two_clicks_put_it_back(filled: Path) -> None:
    async with opened(filled, (140, 30)) as pilot:
        line, table = divider_of(pilot), pilot.app.screen.query_one("#table")
        width = table.region.width
        await pilot.mouse_down(line, offset=(0, 5))
        await pilot.hover(table, offset=(60, 8))
        await pilot.mouse_up(table, offset=(60, 8))
        await quiet(pilot)
        assert table.region.width == 60 and width != 60 and line.is_moved
        assert Memory(filled).section("panes") == {}  # not written yet; a second later it is
        app_of(pilot).memory.save()
        assert list(Memory(filled).section("panes")) == ["runs beside"]
        await pilot.click(line, offset=(0, 5), times=2)
        await quiet(pilot)
        assert table.region.width == width and not line.is_moved


@pytest.mark.parametrize("size", [(140, 30), (80, 24)])
async def test_what_a_mouse_does_at_once_is_done_in_order(filled: Path, size: tuple[int, int]) -> None:
    """As it comes through a slow line: all that belongs to one drag in one piece, with a key before and behind it."""
    async with opened(filled, size) as pilot:
        line = divider_of(pilot)
        column, row = line.region.x, line.region.y
        end = (column - 20, row) if line.is_upright else (column, row - 5)
        drag = mouse(0, column, row, "M") + mouse(32, *end, "M") + mouse(0, *end, "m")
        for event in XTermParser().feed(f"/{drag}seed:1"):
            pilot.app.post_message(event)
        await quiet(pilot)
        assert (line.region.x, line.region.y) == end and line.is_moved
        assert pilot.app.screen.query_one(FilterBar).text == "seed:1"
        at = screen_text(pilot).splitlines()[0].index("2 ")
        for event in XTermParser().feed(mouse(0, at, 0, "M") + mouse(0, at, 0, "m") + "M"):
            pilot.app.post_message(event)
        await quiet(pilot)
        assert pilot.app.current_mode == "leaderboard" and isinstance(pilot.app.screen, MetricScreen)


async def test_another_store_and_another_size_have_lines_of_their_own(filled: Path, tmp_path: Path) -> None:
    async with opened(filled, (140, 30)) as pilot:
        await press(pilot, *["less_than_sign"] * 5)
        assert divider_of(pilot).is_moved
        await pilot.resize_terminal(100, 40)
        await quiet(pilot)
        line = divider_of(pilot)
        assert not line.is_upright and not line.is_moved  # above one another now: nobody has moved that
    async with opened(tmp_path / "other" / "experiments.db", (140, 30)) as pilot:
        assert not any(each.is_moved for each in pilot.app.screen.query(Divider))


async def test_damaged_shares_are_not_used(filled: Path) -> None:
    memory = Memory(filled)
    memory.keep("panes", {"runs beside": "wide", "compare beside": 7, "queue above": None})
    memory.save()
    async with opened(filled, (140, 30)) as pilot:
        assert not divider_of(pilot).is_moved
        await press(pilot, "greater_than_sign")
        assert divider_of(pilot).is_moved


async def test_a_large_screen_is_used(filled: Path) -> None:
    async with opened(filled, (200, 60)) as pilot:
        table, side = pilot.app.screen.query_one("#table"), pilot.app.screen.query_one("#side")
        assert table.region.width == side.region.width == 200  # ten rows, and the curves below them
        assert table.region.height == 11 and side.region.height > 40
        await press(pilot, "slash", *"seed:0")
        assert table.region.height == 11  # nothing moves while somebody types
        await press(pilot, "enter")
        assert table.region.height < 11
        app_of(pilot).open_run(id_of(0))
        await quiet(pilot)
        charts = pilot.app.screen.query_one("#wide", Charts).charts
        assert len({chart.region.x for chart in charts}) == len({chart.region.y for chart in charts}) == 2
        assert all(chart.region.height > 20 for chart in charts)


async def test_many_rows_keep_the_curves_beside_them(filled: Path) -> None:
    async with opened(filled, (140, 38)) as pilot:
        for height, stacked in ((38, True), (24, False), (38, True)):
            await pilot.resize_terminal(140, height)
            await quiet(pilot)
            assert pilot.app.screen.has_class("-stacked") == stacked, height
