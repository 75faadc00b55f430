"""Tags, notes and the trash on screen, on every screen that shows runs, and the way back from each."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from engine.store import get_run, open_store, record
from engine.store.annotations import add_note, add_tag, trash
from engine.store.queries.feed import RunRow
from tests.tui.app.bench import app_of, id_of, opened, press, quiet, screen_text, until
from tfllmer_tui.tui.screens.noting import NoteScreen
from tfllmer_tui.tui.screens.run_keys import RunKeys
from tfllmer_tui.tui.screens.runs import RunsScreen
from tfllmer_tui.tui.screens.tagging import TagScreen

LAST = id_of(9)


def stored(path: Path, number: int) -> tuple[tuple[str, ...], list[str]]:
    """Tags and notes of a run, as the store has them."""
    store = open_store(path, read_only=True)
    known = record(store, get_run(store, id_of(number)))
    return known.tags, [note.text for note in known.notes]


def notices(pilot: Pilot[None]) -> list[str]:
    return [notice.message for notice in pilot.app._notifications]


async def to(pilot: Pilot[None], place: str) -> None:
    """A screen on which the newest run is meant, or that and the one before it."""
    match place:
        case "runs":
            pass
        case "run":
            await press(pilot, "enter")
        case "queue":
            await press(pilot, "3", "end")
        case _:
            await press(pilot, "space", "space", "home", "c")


@pytest.mark.parametrize(("place", "numbers"), [("runs", [9]), ("run", [9]), ("queue", [9]), ("compare", [9, 8])])
async def test_tag_and_note_on_every_screen_with_runs_and_back(filled: Path, place: str, numbers: list[int]) -> None:
    async with opened(
        filled,
        (120, 40),
    ) as pilot:
        await to(pilot, place)
        screen = app_of(pilot).screen
        assert isinstance(screen, RunKeys) and sorted(screen.run_ids()) == sorted(map(id_of, numbers))
        await press(pilot, "number_sign", *"paper", "enter")
        await press(pilot, "i", *"flat:", "enter", *"why?", "ctrl+s")
        assert [stored(filled, number) for number in numbers] == [(("paper",), ["flat:\nwhy?"])] * len(numbers)
        await press(pilot, "i", "end", *"!", "ctrl+s")
        assert stored(filled, 9)[1] == ["flat:\nwhy?!"], "edited in place"
        await press(pilot, "u", "u")
        assert stored(filled, 9) == (("paper",), [])
        await press(pilot, "alt+u")
        assert [stored(filled, number) for number in numbers] == [((), [])] * len(numbers)
        await press(pilot, "u")
        assert stored(filled, 9) == ((), [])


async def test_tags_are_completed_taken_off_and_shown(filled: Path) -> None:
    store = open_store(filled)
    for number in (9, 8):
        add_tag(store, [id_of(number)], "baseline")
    add_tag(store, [id_of(0)], "best-of-all")
    async with opened(filled, (200, 50)) as pilot:
        assert "baseline" in screen_text(pilot)
        await press(pilot, "number_sign", *"bes", "tab")
        screen = app_of(pilot).screen
        assert isinstance(screen, TagScreen) and screen.query_one(Input).value == "best-of-all"
        assert f"tfllmer tag {LAST} best-of-all" in screen_text(pilot)
        await press(pilot, "enter")
        assert stored(filled, 9)[0] == ("baseline", "best-of-all")
        await press(pilot, "number_sign", *"-ba", "tab", "enter")
        assert stored(filled, 9)[0] == ("best-of-all",)
        await press(pilot, "number_sign", "down", "enter")  # the list begins with what the run has
        assert stored(filled, 9)[0] == ()
        for typed, words in (
            ("two words", "a tag is up to 50"),
            ("-best-of-all", "on none of them"),
            ("none", "not none"),
        ):
            await press(pilot, "number_sign")
            app_of(pilot).screen.query_one(Input).value = typed
            await press(pilot, "enter")
            assert isinstance(app_of(pilot).screen, TagScreen) and words in screen_text(pilot)
            await press(pilot, "escape")
        await press(pilot, "u", "u")
        assert stored(filled, 9)[0] == ("baseline", "best-of-all")
        await press(pilot, "ctrl+y")
        assert app_of(pilot).clipboard == f"tfllmer tag {LAST} best-of-all --remove"


async def test_a_note_with_several_lines_is_seen_beside_the_table_and_thrown_away_only_when_said_twice(
    filled: Path,
) -> None:
    add_note(open_store(filled), LAST, "first line\nsecond line [red]")
    async with opened(filled, (200, 50)) as pilot:
        shown = screen_text(pilot)
        assert shown.count("first lin") == 2 and "second line [red]" in shown  # in the column, and in the details
        await press(pilot, "i", *"xyz", "escape")
        screen = app_of(pilot).screen
        assert isinstance(screen, NoteScreen) and "Esc again throws the change away" in screen_text(pilot)
        await press(pilot, "escape")
        assert stored(filled, 9)[1] == ["first line\nsecond line [red]"]
        await press(pilot, "i")
        app_of(pilot).screen.query_one(TextArea).text = ""
        await press(pilot, "ctrl+s")
        assert stored(filled, 9)[1] == [] and "first line" not in screen_text(pilot)
        await press(pilot, "u")
        assert stored(filled, 9)[1] == ["first line\nsecond line [red]"]


async def test_removed_runs_go_are_listed_by_the_filter_and_come_back(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        screen = app_of(pilot).screen
        assert isinstance(screen, RunsScreen)

        def ids() -> list[str]:
            return [row.id for row in screen.table.rows]

        await press(pilot, "X")
        await until(pilot, lambda: LAST not in ids())
        assert "9 runs" in screen_text(pilot)
        await press(pilot, "slash", *"trashed:true", "enter")
        assert ids() == [LAST] and "~" in screen_text(pilot)
        await press(pilot, "enter")
        assert "removed; R restores" in screen_text(pilot) and "needle" not in screen_text(pilot)
        await press(pilot, "escape", "R")
        await until(pilot, lambda: ids() == [])
        await press(pilot, "slash", "ctrl+u", "enter")
        await until(pilot, lambda: LAST in ids())
        await press(pilot, "u")
        await until(pilot, lambda: LAST not in ids())
        await press(pilot, "u")
        await until(pilot, lambda: LAST in ids())


async def test_what_is_live_is_not_removed_and_several_are_at_once(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        screen = app_of(pilot).screen
        assert isinstance(screen, RunsScreen)
        await press(pilot, "down", "X")  # a queued run
        assert any("is queued; `tfllmer cancel" in notice for notice in notices(pilot))
        assert get_run(open_store(filled), id_of(8)).trashed is None
        await press(pilot, "end", "space", "up", "up", "space", "delete")
        await until(pilot, lambda: len(screen.table.rows) == 8)
        assert {id_of(0), id_of(2)}.isdisjoint(row.id for row in screen.table.rows)
        await press(pilot, "u")
        await until(pilot, lambda: len(screen.table.rows) == 10)


async def test_a_run_that_is_removed_elsewhere_says_so_on_its_own_screen(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "enter")
        trash(open_store(filled), [LAST])
        app_of(pilot).watcher.wake()
        await until(pilot, lambda: "removed; R restores" in screen_text(pilot))
        await press(pilot, "R")
        await until(pilot, lambda: "removed" not in screen_text(pilot).splitlines()[1])


async def test_reading_only_changes_nothing(filled: Path) -> None:
    async with opened(filled, (120, 40), read_only=True) as pilot:
        await press(pilot, "X", "u", "R")
        await quiet(pilot)
        assert stored(filled, 9) == ((), []) and get_run(open_store(filled), LAST).trashed is None
        row = app_of(pilot).snapshot.rows[LAST]
        assert isinstance(row, RunRow) and not row.removed
