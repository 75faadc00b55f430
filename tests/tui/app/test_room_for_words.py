"""Words on screen are whole where there is room, and say that they are cut where there is none."""

from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console
from textual.widgets import Static

from engine.reports.render.layouts import Entry, Grid
from engine.views.studies import StudyProgress, StudyRow
from tests.tui.app.bench import app_of, id_of, opened, press, quiet, screen_text, until
from tfllmer_tui.tui.screens.leaderboard import LeaderboardScreen
from tfllmer_tui.tui.screens.studies import COLUMNS, columns_in_use
from tfllmer_tui.tui.widgets.chart import difference_of_names
from tfllmer_tui.tui.widgets.form_line import cut_list
from tfllmer_tui.tui.widgets.table import Column, widen
from tfllmer_tui.view.grid import grid_table


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (36, "full; or ace, bce, gbce, uniform, …"),
        (26, "full; or ace, bce, gbce, …"),
        (25, "full; or ace, bce, …"),
        (60, "full; or ace, bce, gbce, uniform, whitening"),
        (3, "full; or ace, …"),
    ],
)
def test_a_list_ends_with_a_whole_name_and_says_that_it_goes_on(width: int, shown: str) -> None:
    assert cut_list("full; or ace, bce, gbce, uniform, whitening", width) == shown


@pytest.mark.parametrize(
    ("name", "before", "difference"),
    [
        ("id sasrec seed 1", "id sasrec seed 0", "seed 1"),
        ("full gru4rec", "full sasrec", "gru4rec"),
        ("seed 1", "seed 0", "seed 1"),
        ("id", "full", "id"),
        ("id seed 1", "id", "seed 1"),
        ("id", "", "id"),
    ],
)
def test_a_legend_goes_on_with_what_differs(name: str, before: str, difference: str) -> None:
    assert difference_of_names(name, before) == difference


def test_spare_room_goes_to_cut_words_first() -> None:
    columns = [Column("name", "", 10, grow=1, most=22, text_width=19), Column("title", "", 10, grow=3, most=60)]
    for spare, name, title in ((4, 14, 10), (12, 20, 12), (60, 22, 58)):
        widths = {"name": 10, "title": 10}
        left = widen(columns, widths, spare, lambda column: column.text_width)
        assert widen(columns, widths, left, lambda column: column.most) == 0
        assert widths == {"name": name, "title": title}


@pytest.mark.parametrize("width", [40, 60, 78, 100, 200])
def test_a_report_keeps_names_and_numbers_whole(width: int) -> None:
    numbers = (Entry("3.1322", spread="0.0093"), Entry("+0.3190", interval="[+0.2015, +0.4365]"))
    cells = (Entry("baseline b"), Entry("3"), *numbers, Entry("misses"), Entry("0.4875", spread="0.0048"))
    columns = ("role", "seeds", "train CE ↓", "gap to b", "outcome", "NDCG@10 ↑")
    grid = Grid("verdict", ("A caption.",), "arm", (), columns, (("tf-llmer/no-rec-pca", cells),))
    console = Console(width=width)
    with console.capture() as capture:
        console.print(grid_table(grid))
    text = capture.get()
    assert "…" not in text
    for word in ("tf-llmer/no-rec-pca", "baseline", "3.1322", "±0.0093", "[+0.2015,", "+0.4365]", "misses", "NDCG@10"):
        assert word in text, text
    assert max(len(line) for line in text.splitlines()) <= width


def test_long_names_are_folded_for_the_columns_beside_them() -> None:
    """Whole, they would leave room for one column a table."""
    columns = ("role", "seeds", "train CE ↓", "gap to b", "outcome", "NDCG@10 ↑")
    cells = tuple(Entry("0.1234", spread="0.0056") for _ in columns)
    long = "tf-llmer/full [embedding.reduce.columns=128, table.inject=linear]"
    grid = Grid("verdict", (), "arm", (), columns, (("id", cells), (long, cells), ("tf-llmer/no-norm", cells)))
    console = Console(width=80)
    with console.capture() as capture:
        console.print(grid_table(grid))
    text = capture.get()
    assert text.count("tf-llmer/no-norm") == 1 and text.count("table.inject=linear]") == 1
    assert len(text.splitlines()) <= 14 and max(map(len, text.splitlines())) <= 80


async def test_a_store_that_cannot_be_read_is_not_read_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "experiments.db"
    path.write_text("this is no database " * 100)
    async with opened(path, (120, 36)) as pilot:
        for key in ("alt+1", "alt+2", "alt+3", "alt+6"):
            await press(pilot, key)
            text = screen_text(pilot)
            assert "the store could not be read" in text and "not a SQLite file" in text
            for words in ("reading…", " 0 runs", "nothing runs", "no run yet", "no finished run", "nothing measured"):
                assert words not in text, text


async def test_without_a_run_geometry_reads_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "experiments.db", (120, 36)) as pilot:
        await press(pilot, "alt+6")
        text = screen_text(pilot)
        assert text.count("no run yet: 4 launches one") == 1
        assert "reading…" not in text


async def test_a_layout_that_cannot_be_is_not_written(filled: Path) -> None:
    async with opened(filled, (120, 36)) as pilot:
        await press(pilot, "2", "l", "l")
        screen = pilot.app.screen
        assert isinstance(screen, LeaderboardScreen)
        text = screen_text(pilot)
        assert "needs a baseline: b makes it the arm under the cursor" in text and "--baseline" not in text
        assert "tf-llmer/full" in text  # the board stays, for b
        before = set(Path.cwd().iterdir())
        await press(pilot, "w")
        assert set(Path.cwd().iterdir()) == before
        await press(pilot, "b")
        await until(pilot, lambda: screen.board is not None and screen.board.compared)
        await quiet(pilot)
        assert "needs a baseline" not in screen_text(pilot)


async def test_runs_of_an_open_group_are_set_in_and_a_failure_says_why(filled: Path) -> None:
    async with opened(filled, (120, 36)) as pilot:
        await press(pilot, "f", "end", "right")
        lines = [line for line in screen_text(pilot).splitlines() if "tf-llmer/full" in line and "gru4rec" not in line]
        assert [line.index("tf-llmer") for line in lines[:4]] == [3, 5, 5, 5]
        alone = next(line for line in screen_text(pilot).splitlines() if "gru4rec" in line)
        assert alone.index("tf-llmer") == 3
    async with opened(filled, (80, 24)) as pilot:
        row = next(row for row in app_of(pilot).snapshot.rows.values() if row.reason)
        app_of(pilot).open_run(row.id)
        await quiet(pilot)
        assert row.reason in screen_text(pilot)


async def test_a_screen_of_120_columns_has_whole_names_all_notes_and_says_not_measured(filled: Path) -> None:
    async with opened(filled, (120, 36)) as pilot:
        app_of(pilot).open_run(id_of(0))
        await quiet(pilot)
        shown = screen_text(pilot)
        assert "nothing measured" in shown and "nothing measured yet" not in shown  # of its batch loss: it has ended
        await press(pilot, "right_square_bracket")
        assert "embedding.reduce.graph.window" in screen_text(pilot)
        await press(pilot, "escape")
        app_of(pilot).open_run(id_of(6))
        await quiet(pilot)
        await press(pilot, "left_square_bracket")
        assert "nothing measured yet" in screen_text(pilot)
        await press(pilot, "escape", "2")
        pane, notes = pilot.app.screen.query_one("#notes-pane"), pilot.app.screen.query_one("#notes", Static)
        long = "\n".join(f"caution {number}" for number in range(12))
        notes.update(long)
        await quiet(pilot)
        assert pane.size.height == 9 and pane.max_scroll_y == 3  # nothing is cut: it is gone through


def test_studies_have_room_for_their_questions_where_none_is_under_way() -> None:
    def columns(**states: int) -> list[str]:
        progress = StudyProgress("a", Counter(states), ("demo",), 5.0 if "running" in states else None)
        return [column.key for column in columns_in_use([StudyRow("a", None, progress), StudyRow("b", None, None)])]

    assert columns(finished=2) == ["name", "share", "count", "question"]
    assert columns(finished=2, failed=1) == ["name", "share", "count", "states", "question"]
    assert columns(running=1) == [column.key for column in COLUMNS]
