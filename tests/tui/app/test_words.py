"""Words on screen are those of the filter and of the options; a fold that a filter cuts says so."""

import re
from pathlib import Path

from rich.text import Text

from engine.spec import Experiment
from engine.store import create_run, open_store
from engine.store.queries.filters import field_named
from engine.views.runs import RunGroup, RunView
from tests.tui.app.bench import app_of, opened, press, quiet, screen_text, until
from tfllmer_tui.tui.palette import inks
from tfllmer_tui.tui.screens.launch import FORM
from tfllmer_tui.tui.screens.queue import COLUMNS
from tfllmer_tui.tui.screens.runs import RunsScreen
from tfllmer_tui.tui.widgets.details import _lines
from tfllmer_tui.tui.widgets.filter_bar import FilterBar
from tfllmer_tui.tui.widgets.run_table import columns_of
from tfllmer_tui.tui.widgets.table import VirtualTable

OF_THE_MOMENT = {"", "curve", "left", "next", "since", "seeds"}
"""Titles of what is drawn, of what time makes of a run, and of how many seeds there are: nothing stored has them."""


def test_titles_of_columns_are_fields_of_filters() -> None:
    for view in (RunView(), RunView(grouped=True), RunView(metric="hr@20")):
        for column in columns_of(view, 10, (), False, ()):
            name = column.full or column.title
            if name not in OF_THE_MOMENT:
                field_named(name, "--columns")
    for column in COLUMNS:
        if column.title not in OF_THE_MOMENT:
            field_named(column.title, "--columns")


async def test_titles_of_the_plan_and_words_of_the_details_are_fields_too(filled: Path) -> None:
    async with opened(filled, (200, 50)) as pilot:
        await press(pilot, "end")
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        rows = list(screen.table.rows)
        await press(pilot, "f")
        assert "test.ndcg@10" in screen_text(pilot) and "valid.ndcg@10" in screen_text(pilot)
        for row in [*rows, *screen.table.rows]:
            words = _lines(row, inks(app_of(pilot).current_theme))
            for name, text in words:
                assert isinstance(text, Text)
                field_named({"valid": "valid.mrr", "test": "test.mrr", "seeds": "seed"}.get(name, name), "--columns")
        await press(pilot, "4")
        for column in pilot.app.screen.query_one("#grid", VirtualTable).shown_columns:
            if column.title:
                field_named(column.title, "--columns")
        for box in FORM:
            assert box.flag == f"--{box.name}"


async def test_what_all_runs_have_is_said_once_and_leaves_room_for_what_tells_them_apart(filled: Path) -> None:
    async with opened(filled, (80, 24)) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        assert screen.table.common.columns == {"dataset": "demo"}
        assert screen.table.common.overrides == {"train.epochs": 12}
        assert {"backbone", "valid"} <= {column.key for column in screen.table.shown_columns}
        assert "all demo, epochs=12" in screen_text(pilot) and "no-both epochs" not in screen_text(pilot)
        await press(pilot, "slash", *"backbone:sasrec", "enter")
        assert "all demo, sasrec, epochs=12" in screen_text(pilot)
        await pilot.resize_terminal(200, 50)  # where the columns have room
        await quiet(pilot)
        assert "all epochs=12" in screen_text(pilot)
        assert {"dataset", "backbone"} <= {column.key for column in screen.table.shown_columns}
        screen.query_one(FilterBar).set_text("seed:2 status:queued")
        await until(pilot, lambda: len(screen.table.rows) == 1)
        assert "no-both epochs=12" in screen_text(pilot)  # of one run nothing is common


async def test_what_tells_most_runs_apart_comes_first_in_an_arm(tmp_path: Path) -> None:
    store = open_store(tmp_path / "experiments.db")
    for number, rest in enumerate(({}, {}, {"evaluate.curvature": 0}, {"evaluate.curvature": 0})):
        changes = {"backbone.dropout": 0.1, "train.lr": 0.001 * number, "train.precision": "bf16", **rest}
        create_run(store, Experiment(), overrides=changes, command=["tfllmer"])
    async with opened(store.path, (160, 24)) as pilot:
        await until(pilot, lambda: "lr=0.003, curvature=0" in screen_text(pilot))
        text = screen_text(pilot)
        assert "lr=0.002, curvature=0" in text and "all demo, sasrec, dropout=0.1, precision=bf16" in text


async def test_a_filter_that_cuts_a_fold_says_so_wherever_its_mean_stands(filled: Path) -> None:
    async with opened(filled, (100, 40)) as pilot:
        await press(pilot, "f", "slash", *"seed:0,1", "enter")
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        row = next(row for row in screen.table.rows if isinstance(row, RunGroup) and row.first.arm.endswith("/full"))
        assert row.is_cut and row.test is not None and row.test.n == 2
        assert "2 of 3" in screen_text(pilot)
        screen._list(hidden=frozenset({"seed"}))  # how many seeds a mean is of is never hidden
        screen.table.cursor = list(screen.table.rows).index(row)
        await press(pilot, "slash", "escape")
        assert "2 of 3" in screen_text(pilot)
        told = {name: text.plain for name, text in _lines(row, inks(app_of(pilot).current_theme))}
        assert "the filter leaves 2 of 3 seeds" in told["seeds"] and "n = 2 of 3 seeds" in told["test"]
        await press(pilot, "slash", "ctrl+u", *"seed:2", "enter")
        row = next(row for row in screen.table.rows if isinstance(row, RunGroup) and row.first.arm.endswith("/full"))
        assert "1 of 3" in screen_text(pilot)  # one run that is left is no run without seeds
        await press(pilot, "slash", "ctrl+u", "enter")
        assert "×3" in screen_text(pilot) and "0 of 3" in screen_text(pilot)  # no-both has not finished


async def test_what_is_wrong_with_a_filter_is_read_to_its_end_on_a_narrow_screen(filled: Path) -> None:
    async with opened(filled, (80, 24)) as pilot:
        for text, words in (
            ("lr>0", "'lr' is no field (did you mean train.lr?)"),
            ("backbone:sasrec stats:finished", "'stats' is no field (did you mean status?)"),
        ):
            await press(pilot, "slash", "ctrl+u", *text)
            lines = screen_text(pilot).splitlines()
            head = next(number for number, line in enumerate(lines) if line.split()[:2] == ["run", "arm"])
            assert words in " ".join(" ".join(line[32:] for line in lines[1:head]).split())
        await press(pilot, "ctrl+u")
        assert screen_text(pilot).splitlines()[2].split()[:2] == ["run", "arm"]


async def test_a_legend_names_its_curves_where_it_gives_their_values(filled: Path) -> None:
    async with opened(filled, (80, 24)) as pilot:
        await press(pilot, "end", *("space", "up") * 6)
        for key in ("", "s", "l", "L", "a"):  # each takes room from the legend
            await press(pilot, *key)
            legend = next(line for line in screen_text(pilot).splitlines() if line.startswith("train CE"))
            assert re.search(r"━━ [a-z]{3}", legend) and not re.search(r"━━ +[\d–+]", legend), legend
