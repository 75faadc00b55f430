"""Seeds folded into configurations, against the statistics module."""

import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.reports.boards.folding import Spread, fold_seeds


def row(run: str, config: str, seed: int, value: float | None, status: str = "finished") -> dict[str, Any]:
    return {
        "run": run,
        "config_hash": config,
        "spec_hash": f"{config}#{seed}",
        "status": status,
        "seed": seed,
        "ndcg": value,
        "lr": 0.1 if config == "a" else seed,
    }


def test_only_the_newest_finished_run_of_a_specification_counts() -> None:
    rows = [
        row("06", "b", 0, 0.9),
        row("05", "a", 1, None, "running"),
        row("04", "a", 0, 0.3),
        row("02", "a", 1, 0.5),
        row("01", "a", 0, 0.1),
        row("00", "a", 2, None, "failed"),
    ]
    b, a = fold_seeds(rows, ["ndcg"], ["lr"])
    assert (a.seeds, a.runs) == ((0, 1), ("04", "02"))
    assert a.values["ndcg"] == Spread(statistics.fmean([0.3, 0.5]), statistics.stdev([0.3, 0.5]), 2)
    assert a.values["lr"] == 0.1
    assert a.statuses == {"failed": 1, "finished": 3, "running": 1}
    assert b.values["ndcg"] == Spread(0.9, None, 1)
    assert b.first["run"] == "06"


def test_what_has_nothing_finished_has_no_value() -> None:
    (fold,) = fold_seeds([row("1", "c", 0, None, "failed")], ["ndcg"], ["lr"])
    assert (fold.values, fold.seeds) == ({"ndcg": None, "lr": None}, ())


def test_settings_that_differ_are_left_out() -> None:
    (fold,) = fold_seeds([row("1", "c", 0, 0.1), row("2", "c", 1, 0.1)], ["ndcg"], ["lr"])
    assert fold.values["lr"] is None


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20))
def test_the_spread_is_that_of_the_statistics_module(values: list[float]) -> None:
    (fold,) = fold_seeds([row(f"{i:02}", "a", i, value) for i, value in enumerate(values)], ["ndcg"])
    spread = fold.values["ndcg"]
    assert spread.mean == pytest.approx(statistics.fmean(values))
    assert spread.sd == pytest.approx(statistics.stdev(values))
    assert spread.n == len(values)
