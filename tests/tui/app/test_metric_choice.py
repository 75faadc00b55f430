"""Any metric on the leaderboard, by its name."""

from pathlib import Path

import pytest
from textual.widgets import Input, Static

from engine.errors import UserError
from engine.metrics import parse_metric
from tests.tui.app.bench import opened, press, quiet, screen_text
from tfllmer_tui.tui.screens.leaderboard import LeaderboardScreen
from tfllmer_tui.tui.screens.metric import MetricScreen


async def test_a_metric_is_named_and_shown(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "2", "M")
        assert isinstance(pilot.app.screen, MetricScreen)
        pilot.app.screen.query_one(Input).value = "VALID.HR@10"
        await quiet(pilot)
        assert "valid HR@10: how often" in screen_text(pilot) and "higher is better" in screen_text(pilot)
        await press(pilot, "enter")
        screen = pilot.app.screen
        assert isinstance(screen, LeaderboardScreen)
        await press(pilot, "C")
        assert "--metric valid.hr@10" in pilot.app.clipboard
        await press(pilot, "m")
        await press(pilot, "C")
        assert "--metric test.ndcg@10" in pilot.app.clipboard  # the first of those that m goes through
        await press(pilot, "M", "escape")
        assert isinstance(pilot.app.screen, LeaderboardScreen)


@pytest.mark.parametrize("name", ["hr@0", "ndgc@3", "coverage@21", "valid.gini@5"])
async def test_a_wrong_name_is_refused_with_the_words_of_the_commands(filled: Path, name: str) -> None:
    with pytest.raises(UserError) as error:
        parse_metric(name)
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "2", "M")
        screen = pilot.app.screen
        screen.query_one(Input).value = name
        await press(pilot, "enter")
        assert pilot.app.screen is screen
        assert str(screen.query_one("#about", Static).content) == str(error.value)


async def test_a_completed_name_is_a_metric(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "2", "M")
        screen = pilot.app.screen
        screen.query_one(Input).value = ""
        await press(pilot, *"cov")
        await quiet(pilot)
        await press(pilot, "tab")
        assert screen.query_one(Input).value == "coverage@10"
