"""The footer: the keys of where one is, made anew only where they differ."""

from pathlib import Path

from textual.widgets._footer import FooterKey

from tests.tui.app.bench import opened, press
from tfllmer_tui.tui.widgets.bars import KeyBar


async def test_the_footer_follows_the_focus_and_is_made_anew_only_for_other_keys(filled: Path) -> None:
    async with opened(filled, (100, 30)) as pilot:
        bar = pilot.app.screen.query_one(KeyBar)
        at_first = list(bar.query(FooterKey))
        assert "Filter" in [key.description for key in at_first]
        await press(pilot, "down", "down")
        pilot.app.screen.refresh_bindings()
        await press(pilot)
        assert list(bar.query(FooterKey)) == at_first  # the very same
        await press(pilot, "slash")
        in_the_filter = list(bar.query(FooterKey))
        assert in_the_filter and not set(in_the_filter) & set(at_first)
        await press(pilot, "escape")
        again = [key.description for key in bar.query(FooterKey)]
        assert again == [key.description for key in at_first]
