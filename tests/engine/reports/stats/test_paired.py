"""One difference everywhere: between runs of equal seeds."""

import math
from pathlib import Path

import pytest

from engine.reports.boards.compare import Side, compare, to_json
from engine.reports.boards.evidence import Evidence
from engine.reports.boards.leaderboard import Versus, leaderboards
from engine.reports.boards.marks import marked
from engine.reports.render.layouts import grids
from engine.reports.stats.paired import mean_difference, paired_differences, shared_seeds
from engine.reports.stats.statistics import Over
from engine.reports.verdict.verdict import verdicts
from tests.engine.reports.trials import ranks_of, trial

# Seeds are far apart, so that a difference of means over other seeds has the wrong sign.
ID = {0: 5.0, 1: 6.0}
ARMS = {"all": {0: 4.9, 1: 5.9}, "more": {0: 4.9, 1: 5.9, 2: 9.0}, "some": {1: 5.8, 2: 1.0}, "none": {2: 1.0, 3: 2.0}}
EXPECTED = {"all": -0.1, "more": -0.1, "some": -0.2, "none": None}


def runs_of(arm: str, by_seed: dict[int, float], files: dict[str, Path] | None = None) -> tuple[Evidence, ...]:
    return tuple(trial(arm, ce=ce, seed=seed, files=files) for seed, ce in by_seed.items())


def versus(a: tuple[Evidence, ...], b: tuple[Evidence, ...], metric: str = "train_ce", over: Over = "seeds") -> Versus:
    boards = leaderboards([run.record for run in (*a, *b)], [metric])
    (board,) = marked(boards, {run.run: run for run in (*a, *b)}, "id", over)
    (only,) = [cell.versus for cell in board.cells if cell.versus is not None]
    return only


def test_only_equal_seeds_are_subtracted() -> None:
    assert shared_seeds([3, 1, 2], [2, 3, 9]) == [2, 3]
    assert paired_differences({1: 5.0, 2: 7.0}, {2: 4.0, 3: 1.0}) == [3.0]
    assert mean_difference({0: 2.0, 1: 4.0, 2: 100.0}, {0: 1.0, 1: 1.0}) == 2.0
    assert mean_difference({0: 2.0}, {1: 1.0}) is None
    assert mean_difference({}, {}) is None
    assert mean_difference({0: math.nan}, {0: 1.0}) is None


@pytest.mark.parametrize("name", ARMS)
def test_boards_comparisons_and_verdicts_have_one_difference(name: str) -> None:
    a, b = runs_of("id", ID), runs_of("both", ARMS[name])
    expected = None if EXPECTED[name] is None else pytest.approx(EXPECTED[name])
    assert versus(a, b).difference == expected
    (line,) = to_json(compare([Side("id", a), Side("both", b)], ["train_ce"]))["metrics"]
    assert line["difference"] == expected
    (verdict,) = verdicts([*a, *b])
    both = verdict.of("norm + Rec-PCA")
    assert both is not None
    assert (both.gap and both.gap.mean) == expected


@pytest.mark.parametrize("over", ["seeds", "users", "both"])
def test_without_a_shared_seed_there_is_no_difference_and_no_test(tmp_path: Path, over: Over) -> None:
    files = ranks_of(tmp_path, "a", [1, 2, 30, 4])
    a, b = runs_of("id", ID, files), runs_of("both", ARMS["none"], files)
    found = versus(a, b, "ndcg@10", over)
    assert (found.difference, found.p, found.mark, found.refused) == (None, None, "", "no seed is shared")
    compared = compare([Side("id", a), Side("both", b)], ["ndcg@10"])
    assert all(line.difference is None and not line.tests for line in compared.lines)
    boards = leaderboards([run.record for run in (*a, *b)], ["ndcg@10"])
    (grid,) = grids(marked(boards, {run.run: run for run in (*a, *b)}, "id", over), "difference")
    assert dict(grid.rows)["tf-llmer/full"] == (None,)
    assert any("no seed is shared" in sentence for sentence in grid.caption)
