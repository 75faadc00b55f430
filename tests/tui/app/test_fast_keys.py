"""Keys that come faster than screens go: the app lives, and nothing is opened or ended twice."""

from pathlib import Path

import pytest
from textual.events import Key, Paste
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, TabbedContent, TextArea

from engine.store import get_run, list_runs, open_store
from tests.tui.app.bench import RUNS, app_of, id_of, opened, press, quiet, screen_text, until
from tfllmer_tui.tui.keys import bound, shortcuts
from tfllmer_tui.tui.screens.base import PLACES, Page
from tfllmer_tui.tui.screens.launch import LaunchScreen
from tfllmer_tui.tui.screens.overlay import ConfirmScreen
from tfllmer_tui.tui.screens.run import TABS, RunScreen

ENDS = ("app.quit", "app.suspend", "launch.go", "study.go", "run.open-folder", "runs.missing", "confirm.yes")
"""What ends the app, or starts work; pressed in tests of their own."""
OPENED = {
    **{mode: (f"alt+{number}",) for number, (mode, _) in enumerate(PLACES, 1)},
    "run": ("alt+1", "enter"),
    "compare": ("alt+1", "space", "space", "c"),
    "study": ("alt+5", "l"),
    "copy": ("alt+1", "e"),
    "help": ("alt+1", "question_mark"),
    "columns": ("alt+1", "vertical_line"),
    "metric": ("alt+2", "M"),
    "jump": ("alt+1", "ctrl+o"),
    "confirm": ("alt+1", "home", "down", "down", "down", "x"),
    "filter": ("alt+1", "slash"),
    "settings": ("alt+4", "ctrl+s"),
}


async def fast(pilot: Pilot[None], *keys: str) -> None:
    """Keys that are all there before the first one is dealt with, as a held key or a paste through SSH sends them."""
    for key in keys:
        pilot.app.post_message(_event(key))
    await quiet(pilot)


def _event(key: str) -> Key:
    character = key if len(key) == 1 else None
    return Key(_character_to_key(key) if character else key, character)


def keys_on(screen: Screen[object]) -> list[str]:
    """The keys of the screen, of every widget on it, and of the app; a few letters that nothing binds."""
    kinds = {type(node) for node in (screen, *screen.walk_children(), screen.app)}
    kinds |= {base for kind in kinds for base in kind.__mro__}
    own = [shortcut for node in bound() if node in kinds for shortcut in shortcuts(node)]
    keys = [key for shortcut in own if shortcut.id not in ENDS for key in shortcut.keys.split(",")]
    return list(dict.fromkeys([*keys, "enter", "escape", "tab", "a", "k"]))


@pytest.mark.parametrize(
    "name", [name if name in ("confirm", "jump") else pytest.param(name, marks=pytest.mark.slow) for name in OPENED]
)
async def test_every_key_of_every_screen_twice_at_once(filled: Path, name: str) -> None:
    async with opened(filled, (100, 40)) as pilot:
        await press(pilot, *OPENED[name])
        for key in keys_on(pilot.app.screen):
            here = pilot.app.screen
            for _ in range(2):
                pilot.app.post_message(_event(key))
            await pilot.pause(0.05)
            assert pilot.app.is_running, key
            stack = pilot.app.screen_stack
            targets = [(type(screen), getattr(screen, "run_id", None)) for screen in stack]
            assert len(set(targets)) == len(targets), (key, stack)
            if pilot.app.screen is not here:
                while len(pilot.app.screen_stack) > 1:
                    if isinstance(pilot.app.screen, Page):
                        await app_of(pilot).action_back()
                    else:
                        pilot.app.pop_screen()
                    await pilot.pause()
                await press(pilot, *OPENED[name])


async def test_two_letters_in_jump_mode_lead_to_the_first(filled: Path) -> None:
    async with opened(filled) as pilot:
        await press(pilot, "ctrl+o")
        await fast(pilot, "s", "a", "x")
        assert pilot.app.is_running and type(pilot.app.screen).__name__ == "RunsScreen"


async def test_a_letter_right_behind_the_jump_key_jumps(filled: Path) -> None:
    async with opened(filled) as pilot:
        await fast(pilot, "ctrl+o", "a", "b", "2", "x")
        assert type(pilot.app.screen).__name__ == "RunsScreen" and type(pilot.app.focused).__name__ == "FilterLine"


async def test_keys_behind_the_one_that_closes_an_overlay_hold(filled: Path) -> None:
    async with opened(filled) as pilot:
        for keys, screen in (
            (("ctrl+o", "s", "alt+3"), "QueueScreen"),
            (("ctrl+o", "s", "b", "s", "2", "slash", "3", "1", "vertical_line"), "ColumnsScreen"),
            (("question_mark", "escape", "2"), "LeaderboardScreen"),
            (("vertical_line", "q", "f1"), "HelpScreen"),
            (("#", "escape", "enter"), "RunScreen"),
            (("home", "down", "down", "down", "x", "n", "2", "M"), "MetricScreen"),
        ):
            await fast(pilot, *keys)
            assert type(pilot.app.screen).__name__ == screen, keys
            await press(pilot, "escape")
            await press(pilot, "alt+1")

        # But a key twice is meant for the overlay that it closes, where it is no text.
        for opening, closing in (("question_mark", "q"), ("vertical_line", "q"), ("ctrl+o", "f")):
            await fast(pilot, opening, closing, closing)
            assert pilot.app.is_running and type(pilot.app.screen).__name__ == "RunsScreen"
        assert "±" not in screen_text(pilot)  # nothing is folded
        await fast(pilot, "ctrl+o", "a", "a", "q")
        assert isinstance(pilot.app.focused, Input) and pilot.app.focused.value == "aq"


async def test_enter_twice_opens_one_run(filled: Path) -> None:
    async with opened(filled) as pilot:
        await fast(pilot, "enter", "enter")
        assert [type(screen).__name__ for screen in pilot.app.screen_stack] == ["RunsScreen", "RunScreen"]


async def test_a_tab_that_was_left_does_not_come_back(filled: Path) -> None:
    """Also where a busy machine hides its pane before the screen has heard of it."""
    async with opened(filled, (80, 24)) as pilot:
        app_of(pilot).open_run(id_of(0))
        await quiet(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, RunScreen)
        for by, names in ((1, [*TABS[1:], TABS[0]]), (-1, TABS[::-1])):
            for name in names:
                screen.action_tab(by)
                screen._refresh_layout()
                await quiet(pilot)
                assert screen.query_one(TabbedContent).active == name


TEXT = "xqr2b#"
"""Each of these letters does something where there is no line to type into."""


async def test_text_typed_ahead_reaches_the_line_that_a_key_opens(filled: Path) -> None:
    store = open_store(filled)
    before = {run.id: run.status for run in list_runs(store)}
    async with opened(filled, (120, 40)) as pilot:
        for keys in (
            *(("alt+1", key) for key in ("slash", "#", "i", "V", "n", "ctrl+p")),
            *(("alt+4", "ctrl+s", "slash"), ("alt+1", "ctrl+o", "a")),
        ):
            await fast(pilot, *keys, *TEXT)
            line = pilot.app.focused
            assert isinstance(line, Input | TextArea), keys
            assert (line.value if isinstance(line, Input) else line.text) == TEXT, keys
            if isinstance(line, Input):
                line.value = ""
            while not isinstance(pilot.app.screen, Page):
                pilot.app.pop_screen()
                await pilot.pause()
            await press(pilot, "alt+1", "escape")
        for event in (_event("slash"), Paste("status:finished")):
            pilot.app.post_message(event)
        await fast(pilot, "end", "x")
        assert isinstance(pilot.app.focused, Input) and pilot.app.focused.value == "status:finishedx"
    assert {run.id: run.status for run in list_runs(store)} == before


# ------------------------------------------------------------------------------------ nobody is moved


async def test_a_launch_leaves_the_person_where_they_are(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "4", "ctrl+r")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen) or "queued" in screen_text(pilot))
        await press(pilot, "y", "alt+3")
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == len(RUNS) + 1)
        await quiet(pilot)
        assert pilot.app.current_mode == "queue"
        await press(pilot, "alt+4")
        assert isinstance(pilot.app.screen, LaunchScreen)


async def test_the_same_is_launched_twice_only_where_one_says_so(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "4")
        pilot.app.screen.query_one("#set").value = "train.lr=0.005"  # type: ignore[attr-defined]
        await quiet(pilot)
        await fast(pilot, "ctrl+r", "ctrl+r")
        assert isinstance(pilot.app.screen, ConfirmScreen) and "once more?" in screen_text(pilot)
        await press(pilot, "n")
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == len(RUNS) + 1)
        await press(pilot, "ctrl+r")
        assert "1 queued" in screen_text(pilot)
        await press(pilot, "y")
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == len(RUNS) + 2)
    assert len(list_runs(open_store(filled))) == len(RUNS) + 2


@pytest.mark.parametrize("place", ["runs", "run", "queue"])
async def test_running_work_is_stopped_only_after_a_yes(filled: Path, place: str) -> None:
    store = open_store(filled)
    async with opened(filled, (120, 40)) as pilot:
        if place == "run":
            app_of(pilot).open_run(id_of(6))
        elif place == "runs":
            await press(pilot, "down", "down", "down")
        else:
            await press(pilot, "3")
        await press(pilot, "x")
        assert isinstance(pilot.app.screen, ConfirmScreen) and "Stop tf-llmer/no-both seed 0?" in screen_text(pilot)
        await fast(pilot, "x", "x", "n")
        assert get_run(store, id_of(6)).status == "running" and len(pilot.app.screen_stack) == (
            2 if place == "run" else 1
        )
        assert not store.folder(id_of(6)).root.joinpath("stop").exists()
