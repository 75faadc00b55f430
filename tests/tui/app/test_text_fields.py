"""Text fields: letters are text in them, and a key leads out to where they are keys; the footer says which."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.widgets import Input

from engine.views.plans import words
from tests.tui.app.bench import app_of, opened, press, screen_text
from tfllmer_tui.tui.screens.help import HelpScreen
from tfllmer_tui.tui.screens.launch import FORM
from tfllmer_tui.tui.screens.leaderboard import LeaderboardScreen
from tfllmer_tui.tui.widgets.filter_bar import FilterBar
from tfllmer_tui.tui.widgets.form_line import FormLine

LINES = [box.name for box in FORM]
FIELDS = {
    "the filter": ("slash",),
    "launch": ("4",),
    "the last line of launch": ("4", *("down",) * (len(FORM) - 2)),  # that of clusters is hidden
    "a copy of a run": ("e",),
    "the settings": ("4", "ctrl+s", "slash"),
    "the search in a log": ("enter", "slash"),
    "a study before it is launched": ("5", "l"),
}


@pytest.mark.parametrize("keys", FIELDS.values(), ids=FIELDS.keys())
async def test_every_text_field_has_a_way_out_and_the_footer_names_it(filled: Path, keys: Sequence[str]) -> None:
    async with opened(filled, (100, 30)) as pilot:
        app = app_of(pilot)
        for key in keys:
            await press(pilot, key)
        line, page = app.focused, app.screen
        assert isinstance(line, Input)
        await press(pilot, "question_mark", "2", "q")
        assert line.value.endswith("?2q") and app.screen is page
        foot = screen_text(pilot).splitlines()[-1]
        assert "esc " in foot and "f1 Help" in foot and "alt+1–6 Places" in foot and "? Help" not in foot
        await press(pilot, "f1")
        assert isinstance(app.screen, HelpScreen)
        await press(pilot, "escape", "escape")
        assert app.screen is page and not isinstance(app.focused, Input)
        await press(pilot, "question_mark")
        assert isinstance(app.screen, HelpScreen)
        await press(pilot, "escape", "2")
        assert isinstance(app.screen, LeaderboardScreen)


async def test_places_are_one_key_away_from_text(filled: Path) -> None:
    async with opened(filled, (100, 30)) as pilot:
        await press(pilot, "4", *"full", "alt+2")
        assert isinstance(app_of(pilot).screen, LeaderboardScreen)


async def test_a_key_leads_back_into_the_form(filled: Path) -> None:
    async with opened(filled, (100, 30)) as pilot:
        await press(pilot, "4", "escape", "i", *"full")
        line = app_of(pilot).focused
        assert isinstance(line, Input) and line.value == "full"
        await press(pilot, "escape", "escape", "4", "escape", "question_mark", "escape")
        assert not isinstance(app_of(pilot).focused, Input)  # the help leads back to where one was


async def test_a_completion_that_begins_otherwise_is_shown_whole_and_taken_by_tab(filled: Path) -> None:
    async with opened(filled, (100, 30)) as pilot:
        for typed, whole in (("lr", "train.lr"), ("arm:no-no", "arm:tf-llmer/no-norm"), ("stat", "status")):
            for key in ("tab", "right"):
                await press(pilot, "slash", "ctrl+u", *typed)
                assert whole in screen_text(pilot).splitlines()[1]
                await press(pilot, key)
                assert pilot.app.screen.query_one(FilterBar).text == whole
        await press(pilot, "slash", "ctrl+u", "escape", "4", *("down",) * LINES.index("set"), *"dropout", "tab")
        line = pilot.app.focused
        assert isinstance(line, Input) and line.value == "backbone.dropout="


async def test_the_form_names_the_presets_that_there_are(filled: Path) -> None:
    async with opened(filled, (140, 30)) as pilot:
        await press(pilot, "4")
        known = words()
        assert len(known["backbone"]) > 3
        for name in ("method", "backbone"):
            placeholder = pilot.app.screen.query_one(f"#{name}", FormLine).hint
            assert all(each in placeholder for each in known[name])
        others = [name for name in known["backbone"] if name != "sasrec"]
        assert ", ".join([*others[:4], "…"]) in screen_text(pilot)  # as many as there is room for
