"""The footer: the keys of where one is, made anew only where they differ."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets._footer import FooterKey

from engine.store.queries.feed import RunRow
from tests.tui.app.bench import app_of, id_of, opened, press, quiet, until
from tfllmer_tui.tui.widgets.bars import KeyBar
from tfllmer_tui.tui.widgets.run_table import RunTable


async def test_the_footer_follows_the_focus_and_is_made_anew_only_for_other_keys(filled: Path) -> None:
    async with opened(filled, (100, 30)) as pilot:
        await press(pilot, "end")
        bar = pilot.app.screen.query_one(KeyBar)
        at_first = list(bar.query(FooterKey))
        assert "Filter" in [key.description for key in at_first]
        await press(pilot, "up", "up")  # finished as well
        pilot.app.screen.refresh_bindings()
        await press(pilot)
        assert list(bar.query(FooterKey)) == at_first  # the very same
        await press(pilot, "slash")
        in_the_filter = list(bar.query(FooterKey))
        assert in_the_filter and not set(in_the_filter) & set(at_first)
        await press(pilot, "escape")
        again = [key.description for key in bar.query(FooterKey)]
        assert again == [key.description for key in at_first]


def keys_at_foot(pilot: Pilot[None]) -> set[str]:
    return {key.description for key in pilot.app.screen.query_one(KeyBar).query(FooterKey)}


ABOUT_A_RUN = {"Compare", "Cancel", "Retry", "Resume", "Earlier", "Later", "First"}
BY_STATUS = {"finished": set(), "running": {"Cancel"}, "queued": {"Cancel"}, "failed": {"Retry"}}


async def test_the_foot_offers_what_can_be_done_to_the_run_under_the_cursor(filled: Path) -> None:
    async with opened(filled, (110, 30)) as pilot:
        await press(pilot, "home")
        seen = set()
        for _ in range(10):
            row = pilot.app.screen.query_one(RunTable).row
            assert isinstance(row, RunRow)
            seen.add(str(row.status))
            assert keys_at_foot(pilot) & ABOUT_A_RUN == BY_STATUS[row.status], row.status
            await press(pilot, "down")
        assert seen == set(BY_STATUS)
        await press(pilot, "U", "home", "space", "space")  # the failed one, and one that waits
        assert keys_at_foot(pilot) & ABOUT_A_RUN == {"Compare", "Cancel"}
        await press(pilot, "U", "end")
        assert keys_at_foot(pilot) & ABOUT_A_RUN == set()
        await press(pilot, "x")  # by heart: one is told why nothing comes of it
        await until(pilot, lambda: any("have ended" in each.message for each in pilot.app._notifications))


async def test_the_foot_follows_a_run_that_ends_while_one_looks_at_it(filled: Path) -> None:
    async with opened(filled, (110, 30)) as pilot:
        app_of(pilot).open_run(id_of(7))
        await quiet(pilot)
        assert keys_at_foot(pilot) & ABOUT_A_RUN == {"Cancel"}
        await press(pilot, "x")
        assert keys_at_foot(pilot) & ABOUT_A_RUN == {"Resume"}
        await press(pilot, "u")
        assert keys_at_foot(pilot) & ABOUT_A_RUN == {"Cancel"}


async def test_the_foot_of_the_queue_offers_moves_to_what_waits_and_a_worker_where_none_is(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(filled, (130, 30)) as pilot:
        await press(pilot, "3", "home")
        assert keys_at_foot(pilot) & ABOUT_A_RUN == {"Cancel"}  # running
        await press(pilot, "down")
        moves = {"Earlier", "Later", "First"}
        assert keys_at_foot(pilot) & ABOUT_A_RUN == {"Cancel", *moves}
        assert "Worker" in keys_at_foot(pilot)
        monkeypatch.setattr("engine.queue.lacks_worker", lambda store: False)
        await until(pilot, lambda: "Worker" not in keys_at_foot(pilot))
        await press(pilot, "end")
        assert keys_at_foot(pilot) & ABOUT_A_RUN == {"Retry"}


@pytest.mark.parametrize("width", [80, 60])
async def test_the_foot_leaves_out_what_has_no_room_but_never_the_help(filled: Path, width: int) -> None:
    async with opened(filled, (width, 24)) as pilot:
        for keys in (
            ("1",),
            ("2",),
            ("3",),
            ("4",),
            ("alt+5", "home", "l"),
            ("escape", "escape", "1", "home", "enter"),
        ):
            await press(pilot, *keys)
            bar = pilot.app.screen.query_one(KeyBar)
            last = list(bar.query(FooterKey))[-1]
            assert last.description == "Help" and last.region.right <= width, keys
        await pilot.resize_terminal(200, 24)
        await until(pilot, lambda: "Copy id" in keys_at_foot(pilot))
