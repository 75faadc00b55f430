"""The titles of a comparison's columns: names are whole, and what all sides say of their seeds is said once."""

from dataclasses import replace
from pathlib import Path

from tests.tui.app.bench import app_of, id_of, opened, quiet, screen_text
from tfllmer_tui.tui.palette import inks
from tfllmer_tui.tui.screens.compare import CompareScreen
from tfllmer_tui.tui.widgets.table import VirtualTable


async def test_seeds_that_all_sides_share_are_said_once_above(filled: Path) -> None:
    async with opened(filled, (80, 24)) as pilot:
        app_of(pilot).compare([id_of(number) for number in (0, 1, 3, 4)])
        await quiet(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, CompareScreen)

        def titles() -> list[str]:
            return [column.title for column in screen.query_one("#lines", VirtualTable).shown_columns[1:]]

        curves = inks(pilot.app.current_theme).curves
        heads = screen.query_one("#lines", VirtualTable).shown_columns[1:]
        assert [head.ink and head.ink.color for head in heads] == [each.color for each in curves[:2]]

        sides = screen._found.sides
        assert titles() == ["» full (2 of 3 seeds)", "no-norm (2 seeds)"]  # they differ
        assert "2 sides, differences to full (2 of 3 seeds)" in screen_text(pilot)
        for of_seeds, words in ((3, "2 of 3 seeds"), (0, "2 seeds")):
            screen._show(replace(screen._found, sides=tuple(replace(side, of_seeds=of_seeds) for side in sides)))
            assert titles() == ["» full", "no-norm"]
            await quiet(pilot)
            assert f"2 sides, {words} each, differences to full" in screen_text(pilot)
        screen._show(replace(screen._found, sides=(replace(sides[0], of_seeds=3),)))
        assert titles() == ["» full (2 of 3 seeds)"]  # one alone
