"""Ways of looking at the runs, kept under names: on screen, in the palette, and the same on the command line."""

from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Input

from engine.views.saved import SavedView, save_view, saved_views
from tests.tui.app.bench import app_of, fill, id_of, opened, press, quiet, screen_text, until
from tests.tui.cli.calls import Cli
from tfllmer_tui.tui.screens.runs import RunsScreen
from tfllmer_tui.tui.screens.view_list import ViewsScreen
from tfllmer_tui.tui.widgets.filter_bar import FilterBar


def runs_screen(pilot: Pilot[None]) -> RunsScreen:
    screen = app_of(pilot).screen
    assert isinstance(screen, RunsScreen)
    return screen


def listed(pilot: Pilot[None]) -> list[str]:
    return [row.id for row in runs_screen(pilot).table.rows]


async def test_a_view_is_kept_opened_renamed_and_removed(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "slash", *"ablation:full", "enter", "O", "M", "f")
        shown, listing = listed(pilot), runs_screen(pilot).present_view()
        await press(pilot, "V", *"paper", "enter")
        assert saved_views(filled)["paper"].filter == "ablation:full" and "view paper" in screen_text(pilot)
        await press(pilot, "slash", "ctrl+u", "enter", "f", "o")
        assert "view paper" not in screen_text(pilot) and listed(pilot) != shown
        await press(pilot, "V")
        assert isinstance(app_of(pilot).screen, ViewsScreen) and "ablation:full" in screen_text(pilot)
        await press(pilot, "enter")
        assert listed(pilot) == shown and runs_screen(pilot).query_one(FilterBar).text == "ablation:full"
        assert runs_screen(pilot).present_view() == listing and "view paper" in screen_text(pilot)
        await press(pilot, "V", "r", "ctrl+u", *"final", "enter")
        assert list(saved_views(filled)) == ["final"] and "view final" in screen_text(pilot)
        await press(pilot, "V", "d")
        assert saved_views(filled) == {} and "view final" not in screen_text(pilot)
        await press(pilot, "u")
        assert list(saved_views(filled)) == ["final"] and "view final" in screen_text(pilot)
        await press(pilot, "u", "u")
        assert saved_views(filled) == {}
    async with opened(filled, (120, 40)) as pilot:  # the listing itself is remembered as ever
        assert listed(pilot) == shown


async def test_a_view_in_the_place_of_another_is_undone_and_is_the_same_as_a_command(filled: Path) -> None:
    save_view(filled, SavedView("mine", "seed:1"))
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "slash", *"status:finished", "enter", "V", "s", *"mine", "enter")
        assert saved_views(filled)["mine"].filter == "status:finished"
        await press(pilot, "ctrl+y")
        assert app_of(pilot).clipboard == "tfllmer view save mine --filter status:finished --sort -created"
        ids = listed(pilot)
        assert [run["run"] for run in Cli(filled.parent).runs("--view", "mine")] == ids
        await press(pilot, "u")
        assert saved_views(filled)["mine"].filter == "seed:1"
        assert [run["run"] for run in Cli(filled.parent).runs("--view", "mine")] == [id_of(7), id_of(4), id_of(1)]


async def test_the_palette_has_the_views_of_this_store_alone(filled: Path, tmp_path: Path) -> None:
    save_view(filled, SavedView("failed ones", "status:failed"))
    other = tmp_path / "other" / "experiments.db"
    other.parent.mkdir()
    fill(other).engine.dispose()
    async with opened(other) as pilot:
        assert "View failed ones" not in [command.title for command in runs_screen(pilot).commands()]
    async with opened(filled) as pilot:
        await until(pilot, lambda: "View failed ones" in [each.title for each in runs_screen(pilot).commands()])
        await press(pilot, "ctrl+p", *"View failed ones", "enter")
        await until(pilot, lambda: listed(pilot) == [id_of(9)])


async def test_escape_leaves_all_as_it_was_and_a_name_is_asked_for(filled: Path) -> None:
    async with opened(filled, (80, 24)) as pilot:
        await press(pilot, "V", "enter")
        assert isinstance(app_of(pilot).screen, ViewsScreen) and "it needs a name" in screen_text(pilot)
        await press(pilot, "escape")
        runs_screen(pilot)
        save_view(filled, SavedView("one", "seed:1"))
        runs_screen(pilot).read_views()
        await quiet(pilot)
        await press(pilot, "V", "s", *"two", "escape")
        assert isinstance(app_of(pilot).screen, ViewsScreen) and not app_of(pilot).screen.query_one(Input).display
        await press(pilot, "escape")
        assert list(saved_views(filled)) == ["one"] and len(listed(pilot)) == 10


async def test_who_may_only_look_opens_views_and_keeps_none(filled: Path) -> None:
    save_view(filled, SavedView("failed ones", "status:failed"))
    async with opened(filled, (100, 30), read_only=True) as pilot:
        await press(pilot, "V", "s", "r", "d")
        assert "keeps" not in screen_text(pilot) and list(saved_views(filled)) == ["failed ones"]
        await press(pilot, "enter")
        assert listed(pilot) == [id_of(9)]
