"""Every theme that is offered works: its colours, the start with it, and all places drawn in it."""

from pathlib import Path

import pytest
from textual.theme import BUILTIN_THEMES

from tests.tui.app.bench import app_of, opened, press
from tfllmer_tui.tui.memory import Memory
from tfllmer_tui.tui.palette import THEMES, inks
from tfllmer_tui.tui.screens.base import PLACES

OFFERED = BUILTIN_THEMES | {theme.name: theme for theme in THEMES}
USUAL = {THEMES[0].name, "ansi-dark"}
"""Drawn in every suite; the snapshots have the light one and that of high contrast."""
DRAWN = [pytest.param(name, marks=() if name in USUAL else pytest.mark.slow) for name in sorted(OFFERED)]


@pytest.mark.parametrize("name", sorted(OFFERED))
def test_every_theme_has_colours_that_can_be_drawn_and_mixed(name: str) -> None:
    drawn = inks(OFFERED[name])
    assert all(drawn[style].color or drawn[style].bgcolor or drawn[style].underline for style in drawn.styles)
    dark = OFFERED[name].dark
    text, found = drawn["text"].color, drawn["found"].color
    assert text is not None and found is not None
    assert (sum(text.get_truecolor()) > sum(found.get_truecolor())) == dark  # text on its own background


@pytest.mark.parametrize("name", DRAWN)
async def test_every_theme_starts_and_draws_every_place(filled: Path, name: str) -> None:
    memory = Memory(filled)
    memory.keep("theme", name)
    memory.save()
    async with opened(filled) as pilot:
        assert app_of(pilot).theme == name
        for number in range(1, len(PLACES) + 1):
            await press(pilot, f"alt+{number}")
    assert app_of(pilot).return_code in (0, None)
