"""A view for reading only offers nothing that it refuses, and a view in a browser remembers its own."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button

from engine.store import list_runs, open_store
from tests.tui.app.bench import RUNS, app_of, id_of, opened, press, quiet, screen_text
from tfllmer_tui.tui.app import TfllmerApp
from tfllmer_tui.tui.memory import Memory
from tfllmer_tui.tui.screens.base import READ_ONLY, Page
from tfllmer_tui.tui.screens.help import sections

CHANGING = (
    "cancel",
    "retry",
    "resume",
    "launch",
    "missing seeds",
    "edit a",
    "tag",
    "note",
    "remove",
    "restore",
    "undo",
    "worker",
    "write",
    "a shell in",
    "later",
)
"""Words of what changes something."""
EVERYWHERE = ("alt+1", "run", "compare", "alt+2", "alt+3", "alt+5", "alt+6")


async def go(pilot: Pilot[None], place: str) -> Page:
    if place.startswith("alt"):
        await press(pilot, place)
    elif place == "run":
        app_of(pilot).open_run(id_of(6))
    else:
        app_of(pilot).compare([id_of(0), id_of(3)])
    await quiet(pilot)
    assert isinstance(pilot.app.screen, Page)
    return pilot.app.screen


def offered(pilot: Pilot[None], page: Page) -> list[str]:
    """Everything that the footer, the help and the palette name."""
    footer = [each.binding.description for each in page.active_bindings.values() if each.binding.show]
    helped = [words for _, lines in sections(page) for _, words in lines]
    return [*footer, *helped, *(command.title for command in app_of(pilot).get_system_commands(page))]


def that_change(words: list[str]) -> list[str]:
    return [each for each in words if any(name in each.lower() for name in CHANGING)]


async def test_whoever_may_only_look_is_offered_nothing_else(filled: Path) -> None:
    async with opened(filled, (140, 40)) as pilot:
        assert all([that_change(offered(pilot, await go(pilot, place))) for place in EVERYWHERE if place != "alt+6"])
    async with opened(filled, (140, 40), read_only=True) as pilot:
        for place in EVERYWHERE:
            page = await go(pilot, place)
            assert that_change(offered(pilot, page)) == [], place
            assert that_change(screen_text(pilot).splitlines()[:1] + screen_text(pilot).splitlines()[-1:]) == []
            assert "Launch" not in screen_text(pilot).splitlines()[0]
            assert {name.removeprefix("action_") for name in dir(page) if name.startswith("action_")} >= page.CHANGES


KEYS = ("x", "m", "e", "n", "w", "4", "alt+3 w", "alt+2 w")


@pytest.mark.parametrize("keys", KEYS)
async def test_a_key_known_by_heart_is_answered_and_does_nothing(filled: Path, keys: str) -> None:
    async with opened(filled, (140, 40), read_only=True) as pilot:
        before = pilot.app.screen
        await press(pilot, *keys.split())
        assert READ_ONLY in [notice.message for notice in pilot.app._notifications]
        assert " " in keys or pilot.app.screen is before
    assert len(list_runs(open_store(filled))) == len(RUNS)


async def test_the_first_screen_of_a_view_for_reading_launches_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "none.db", read_only=True) as pilot:
        assert not pilot.app.screen.query(Button)
        assert "Launch" not in screen_text(pilot) and "for reading only" in " ".join(screen_text(pilot).split())


async def test_the_browser_and_the_terminal_remember_each_their_own(filled: Path) -> None:
    async with opened(filled) as pilot:
        await press(pilot, "slash", *"seed:0", "enter", "s")
        app_of(pilot).theme = "tfllmer-light"
        app_of(pilot).memory.save()
    web = TfllmerApp(str(filled), view="web")
    assert web.theme == "tfllmer-dark" and web.memory.get("runs") is None and web.memory.get("look") is None
    async with opened(filled, view="web") as pilot:
        assert "seed:0" not in screen_text(pilot)
        await press(pilot, "slash", *"seed:1", "enter")
        app_of(pilot).memory.save()
    assert Memory(filled).section("runs")["filter"] == "seed:0"
    assert Memory(filled, "web").section("runs")["filter"] == "seed:1"
