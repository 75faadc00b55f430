"""The baseline of a data set is one on every screen, in words; a difference has a colour only where a test shows it."""

import re
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Static

from engine.metrics import parse_metric
from engine.views.baselines import ComparedRows
from engine.views.comparisons import ComparedNumber
from engine.views.runs import RunGroup
from tests.tui.app.bench import app_of, id_of, opened, press, quiet, screen_text
from tfllmer_tui.tui.palette import inks
from tfllmer_tui.tui.screens.compare import _number
from tfllmer_tui.tui.screens.leaderboard import LeaderboardScreen
from tfllmer_tui.tui.screens.runs import RunsScreen
from tfllmer_tui.tui.widgets.run_table import Marks

FULL, NO_NORM = id_of(0), id_of(3)


def to(pilot: Pilot[None], run_id: str) -> None:
    screen = pilot.app.screen
    assert isinstance(screen, RunsScreen)
    screen.table.cursor = [row.id for row in screen.table.rows].index(run_id)


async def to_compare(pilot: Pilot[None]) -> str:
    """No-norm was marked first; the title of the comparison."""
    await press(pilot, "1")
    for run_id in (NO_NORM, FULL):
        to(pilot, run_id)
        await press(pilot, "space")
    await press(pilot, "c")
    return str(pilot.app.screen.query_one("#lines-title", Static).render())


async def notes(pilot: Pilot[None]) -> str:
    await press(pilot, "2")
    screen = pilot.app.screen
    assert isinstance(screen, LeaderboardScreen)
    return str(screen.query_one("#notes", Static).render())


async def test_what_is_chosen_on_one_screen_holds_on_all(filled: Path) -> None:
    async with opened(filled, (150, 40)) as pilot:
        assert "differences to no-norm" in await to_compare(pilot)  # the one that was marked first
        await press(pilot, "escape", "u", "U")
        to(pilot, FULL)
        await press(pilot, "b")
        assert "Δ to tf-llmer/full" in screen_text(pilot)
        assert "tf-llmer/full" in (await notes(pilot)).splitlines()[0] and "» " in screen_text(pilot)
        assert "differences to the baseline full" in await to_compare(pilot)
        await press(pilot, "d")
        assert "differences to the baseline no-norm" in screen_text(pilot)
        await press(pilot, "escape")
        assert "Δ to tf-llmer/no-norm" in screen_text(pilot)
        assert "tf-llmer/no-norm" in (await notes(pilot)).splitlines()[0]
    async with opened(filled, (150, 40)) as pilot:
        assert "Δ to tf-llmer/no-norm" in screen_text(pilot)
        assert "tf-llmer/no-norm" in await notes(pilot)
        await press(pilot, "b")  # another arm, from the leaderboard
        screen = pilot.app.screen
        assert isinstance(screen, LeaderboardScreen) and "/full" in (screen._choice.baseline or "")
        await press(pilot, "1")
        assert "Δ to tf-llmer/full" in screen_text(pilot)
        await press(pilot, "2", "b", "1")
        assert "Δ to" not in screen_text(pilot)


async def test_a_difference_has_a_colour_only_where_a_test_shows_it(filled: Path) -> None:
    async with opened(filled, (150, 40)) as pilot:
        to(pilot, FULL)
        await press(pilot, "b")
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        colors, table = inks(app_of(pilot).current_theme), screen.table
        row = next(row for row in table.rows if row.id == NO_NORM)
        (text, style), _ = table._metric(row, "test", colors)
        assert text.startswith("-0.03") and style == colors["text"]  # one run of each is no test
        await press(pilot, "f")
        folded = next(row for row in table.rows if isinstance(row, RunGroup) and row.first.arm.endswith("no-norm"))
        for verdict, name, mark in (("worse", "error", "°"), ("better", "success", "*")):
            found = ComparedRows(
                screen._compared.baselines,
                screen._compared.references,
                verdicts={(folded.key, "test"): verdict},  # type: ignore[dict-item]
            )
            table.marks = Marks({}, found)
            (text, style), _ = table._metric(folded, "test", colors)
            assert style == colors[name] and text.endswith(mark)
        for mark, name in (("", "dim"), ("better", "success"), ("worse", "error")):
            number = ComparedNumber(parse_metric("ndcg@10"), 0.2, 0.01, -0.03, mark)  # type: ignore[arg-type]
            assert _number(number, None, colors)[-1][1] == colors[name]


async def test_no_p_value_is_cut(filled: Path) -> None:
    for width in (80, 140, 200):
        async with opened(filled, (width, 40)) as pilot:
            app_of(pilot).compare([id_of(number) for number in (0, 1, 2, 3, 4)])
            await quiet(pilot)
            lines = [line for line in screen_text(pilot).splitlines() if ", over " in line and "[" in line]
            assert lines and all(re.search(r"\] p (< )?[01]\.\d{3}\b", line) for line in lines), lines
