"""Seeds folded into configurations, against the statistics module."""

import statistics
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.views.folds import Spread, fold_seeds, spread


@dataclass(frozen=True)
class Trial:
    id: str
    config_hash: str
    seed: int
    value: float | None
    status: str = "finished"

    @property
    def spec_hash(self) -> str:
        return f"{self.config_hash}#{self.seed}"


MEASURES = {"ndcg": lambda trial: trial.value}


def test_only_the_newest_finished_run_of_a_specification_counts() -> None:
    trials = [
        Trial("06", "b", 0, 0.9),
        Trial("05", "a", 1, None, "running"),
        Trial("04", "a", 0, 0.3),
        Trial("02", "a", 1, 0.5),
        Trial("01", "a", 0, 0.1),
        Trial("00", "a", 2, None, "failed"),
    ]
    b, a = fold_seeds(trials, MEASURES)
    assert [trial.id for trial in a.counted] == ["04", "02"]
    assert a.spreads["ndcg"] == Spread(statistics.fmean([0.3, 0.5]), statistics.stdev([0.3, 0.5]), 2)
    assert a.statuses == {"failed": 1, "finished": 3, "running": 1}
    assert b.spreads["ndcg"] == Spread(0.9, None, 1)
    assert (a.first.id, b.first.id) == ("05", "06")


def test_what_has_nothing_finished_has_no_value() -> None:
    (fold,) = fold_seeds([Trial("1", "c", 0, 0.4, "failed")], MEASURES)
    assert (fold.spreads, fold.counted) == ({"ndcg": None}, ())


def test_numbers_that_are_not_there_or_not_finite_are_left_out() -> None:
    assert spread([None, float("nan"), 2.0, float("inf")]) == Spread(2.0, None, 1)
    assert spread([]) is None


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20))
def test_the_spread_is_that_of_the_statistics_module(values: list[float]) -> None:
    (fold,) = fold_seeds([Trial(f"{i:02}", "a", i, value) for i, value in enumerate(values)], MEASURES)
    own = fold.spreads["ndcg"]
    assert own is not None
    assert own.mean == pytest.approx(statistics.fmean(values))
    assert own.sd == pytest.approx(statistics.stdev(values))
    assert own.n == len(values)
