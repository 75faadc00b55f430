"""Runs side by side: who is compared, which settings differ, what the tests support."""

import math
import shlex

import pytest

from engine.errors import UserError
from engine.reports.boards.compare import METRICS
from engine.store import Store
from engine.store.queries.feed import Feed, RunRow
from engine.views.comparisons import (
    ComparedInterval,
    ComparedNumber,
    all_seeds,
    claims,
    command,
    compare_named,
    lines,
    notes,
    sides_of,
    with_settings,
    with_tests,
)
from tests.tui.app.bench import fill, id_of

FULL, NO_NORM, RUNNING = (0, 1, 2), (3, 4), 6


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Read only by every test here."""
    return fill(tmp_path_factory.mktemp("comparisons") / "experiments.db")


@pytest.fixture(scope="module")
def rows(store: Store) -> dict[str, RunRow]:
    feed = Feed(store)
    listed = {row.id: row for row in feed.read().rows}
    feed.close()
    return listed


def chosen(rows: dict[str, RunRow], *numbers: int) -> list[RunRow]:
    return [rows[id_of(number)] for number in numbers]


def test_seeds_of_several_configurations_are_sides_and_those_of_one_stand_alone(rows: dict[str, RunRow]) -> None:
    full, no_norm = sides_of(chosen(rows, 1, 3, 0, 4))
    assert (full.title, no_norm.title) == ("full (2 seeds)", "no-norm (2 seeds)")
    assert [row.seed for row in full.rows] == [0, 1]
    assert [side.name for side in sides_of(chosen(rows, *FULL))] == ["seed 0", "seed 1", "seed 2"]


def test_all_seeds_adds_the_finished_runs_of_these_configurations_alone(rows: dict[str, RunRow]) -> None:
    ids = all_seeds(rows.values(), [id_of(1), id_of(RUNNING)])
    assert ids == [id_of(1), id_of(RUNNING), id_of(0), id_of(2)]
    assert all_seeds(rows.values(), ids) == ids


def test_the_table_has_the_means_the_marks_and_the_intervals_of_the_tests(
    store: Store, rows: dict[str, RunRow]
) -> None:
    compared = with_tests(store, with_settings(store, sides_of(chosen(rows, *FULL, *NO_NORM))))
    assert compared.tested is not None and compared.notes == ()
    table = {line.id: line for line in lines(compared)}
    first, second = table["train_ce"].values
    assert isinstance(first, ComparedNumber) and isinstance(second, ComparedNumber)
    assert first.mean == pytest.approx(math.fsum(row.train_ce or 0 for row in chosen(rows, *FULL)) / 3)
    paired = [
        b.train_ce - a.train_ce
        for a, b in zip(chosen(rows, *FULL), chosen(rows, *NO_NORM), strict=False)
        if a.train_ce is not None and b.train_ce is not None
    ]
    assert second.difference == pytest.approx(math.fsum(paired) / 2) and first.difference is None
    assert second.difference != pytest.approx(second.mean - first.mean)  # the third seed is of one arm only
    (line,) = [each for each in compared.tested.lines if str(each.metric) == "train_ce"]
    interval = table["train_ce seeds"].values[1]
    assert isinstance(interval, ComparedInterval)
    assert (interval.lo, interval.hi, interval.p) == (line.tests[0].lo, line.tests[0].hi, line.adjusted[0])
    assert table["seeds"].values == ("0, 1, 2", "0, 1")


def test_the_command_line_names_the_same_sides_and_comes_to_the_same_numbers(
    store: Store, rows: dict[str, RunRow]
) -> None:
    sides = sides_of(chosen(rows, *FULL, *NO_NORM))
    words = shlex.split(command(sides))[2:]
    named = compare_named(store, words, METRICS)
    shown = with_tests(store, with_settings(store, sides)).tested
    assert shown is not None
    assert named.lines == shown.lines
    assert [claim for _, claim in claims(named)] == [claim for _, claim in claims(shown)]
    assert notes(named) == notes(shown)


def test_what_has_no_finished_run_is_shown_and_not_tested(store: Store, rows: dict[str, RunRow]) -> None:
    compared = with_tests(store, with_settings(store, sides_of(chosen(rows, *FULL, RUNNING))))
    assert compared.tested is None
    assert compared.notes == ("no-both: no finished run, so nothing is tested",)
    number = next(line for line in lines(compared) if line.id == "train_ce").values[1]
    assert isinstance(number, ComparedNumber)


def test_a_word_that_names_no_side_is_refused(store: Store) -> None:
    with pytest.raises(UserError, match="the run is running"):
        compare_named(store, [id_of(RUNNING), "full"], METRICS)
    with pytest.raises(UserError, match="narrow them by --dataset and --backbone"):
        compare_named(store, ["full", "no-norm"], METRICS)
