import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy  # its stats, whose import takes .8 CPU seconds, where they are first used
from hypothesis import given
from hypothesis import strategies as st

from engine.reports.stats.statistics import (
    NoTestError,
    Test,
    holm,
    over_both,
    over_seeds,
    over_users,
    seeds_to_decide,
    summary,
)

SIMULATIONS = 2000
numbers = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))


# ------------------------------------------------------------------------------------ by hand and against scipy


def test_a_hand_worked_example() -> None:
    # differences 1, 2, 3, 4: mean 2.5, sd sqrt(5/3), standard error sqrt(5/12) = 0.6455, t = 3.873 with 3 degrees
    # of freedom; t(.975, 3) = 3.1824, so the interval is 2.5 +- 2.0543
    test = over_seeds([1, 2, 3, 4])
    assert test.difference == 2.5
    assert (test.lo, test.hi) == pytest.approx((0.4457, 4.5543), abs=1e-4)
    assert test.p == pytest.approx(0.0305, abs=1e-4)
    assert test.d_z == pytest.approx(2.5 / math.sqrt(5 / 3))
    told = summary([1, 2, 3, 4])
    assert (told.n, told.mean) == (4, 2.5)
    assert told.sd == pytest.approx(math.sqrt(5 / 3))
    assert (told.lo, told.hi) == pytest.approx((0.4457, 4.5543), abs=1e-4)


@given(st.lists(numbers, min_size=2, max_size=12).filter(lambda x: np.std(x) > 1e-3))
def test_the_t_test_is_scipys(differences: list[float]) -> None:
    for alternative in ("two-sided", "greater", "less"):
        expected = scipy.stats.ttest_1samp(differences, 0, alternative=alternative)
        test = over_seeds(differences, alternative)
        assert test.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    test = over_seeds(differences)
    interval = scipy.stats.ttest_1samp(differences, 0).confidence_interval()
    assert (test.lo, test.hi) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


def test_the_permutation_test_agrees_with_all_sign_flips() -> None:
    d = np.array([0.5, 0.5, -0.25, 1.0, 0.0, 0.75, -0.5, 0.25, 0.5, 0.0])
    flips = np.array(list(itertools.product([-1, 1], repeat=len(d)))) @ d / len(d)
    exact = {
        "two-sided": (np.abs(flips) >= d.mean() - 1e-12).mean(),
        "greater": (flips >= d.mean() - 1e-12).mean(),
        "less": (flips <= d.mean() + 1e-12).mean(),
    }
    for alternative, p in exact.items():
        found = over_users(d, alternative, resamples=200_000)  # type: ignore[arg-type]
        assert found.p == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 200_000))


def test_the_bootstrap_interval_is_scipys() -> None:
    d = np.random.default_rng(1).choice([0.0, 0.0, 0.3, -0.3, 1.0], 400)
    expected = scipy.stats.bootstrap(
        (d,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(2)
    )
    found = over_users(d, resamples=20_000)
    assert (found.lo, found.hi) == pytest.approx(tuple(expected.confidence_interval), abs=0.002)
    assert found.n_users == 400


def test_equal_seeds_give_equal_numbers_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    d = np.random.default_rng(0).normal(size=50)
    first = over_users(d, resamples=500)
    assert first == over_users(d, resamples=500)
    assert first != over_users(d, resamples=500, seed=1)
    monkeypatch.setattr("engine.reports.stats.statistics._DRAWS", 1000)
    blocked = over_users(d, resamples=500)
    assert blocked.n_users == 50
    assert blocked.lo == pytest.approx(first.lo, abs=0.1)


# ------------------------------------------------------------------------------------ simulations with known effects


def share(draw: Callable[[np.random.Generator], Test], effect: float) -> tuple[float, float]:
    """Shares of simulations whose interval holds the effect, and whose p is below 5 %."""
    rng = np.random.default_rng(20)
    tests = [draw(rng) for _ in range(SIMULATIONS)]
    return (
        sum(test.lo <= effect <= test.hi for test in tests) / SIMULATIONS,
        sum(test.p < 0.05 for test in tests) / SIMULATIONS,
    )


WITHIN = 3 * math.sqrt(0.05 * 0.95 / SIMULATIONS)


@pytest.mark.parametrize("effect", [0.0, 0.3])
@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_over_seeds_hold_what_they_promise(effect: float, seeds: int) -> None:
    covered, positive = share(lambda rng: over_seeds(rng.normal(effect, 0.2, seeds)), effect)
    assert 0.93 <= covered <= 0.97
    if effect == 0:
        assert abs(positive - 0.05) <= WITHIN


@pytest.mark.parametrize("effect", [0.0, pytest.param(0.02, marks=pytest.mark.slow)])
def test_intervals_over_users_hold_what_they_promise(effect: float) -> None:
    gains = np.array([-1.0, -0.63, -0.5, -0.3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.3, 0.5, 0.63, 1.0])

    def draw(rng: np.random.Generator) -> Test:
        return over_users(rng.choice(gains, 500) + effect, resamples=399, seed=int(rng.integers(1 << 30)))

    covered, positive = share(draw, effect)
    assert 0.93 <= covered <= 0.97
    if effect == 0:
        assert abs(positive - 0.05) <= WITHIN


@pytest.mark.parametrize("between_seeds", [0.02, 0.1])
def test_intervals_over_both_hold_what_they_promise(between_seeds: float) -> None:
    def draw(rng: np.random.Generator) -> Test:
        seeds, users = rng.normal(0, between_seeds, (5, 1)), rng.normal(0, 0.5, (1, 200))
        return over_both(0.1 + seeds + users + rng.normal(0, 1, (5, 200)))

    covered, _ = share(draw, 0.1)
    assert 0.93 <= covered <= 0.97


def test_users_alone_know_nothing_of_another_training() -> None:
    """Seeds differ by .3, users hardly: the user test of one trained pair is nearly always "significant"."""
    rng = np.random.default_rng(3)
    alone, both = 0, 0
    for _ in range(100):
        d = rng.normal(0, 0.3, (4, 1)) + rng.normal(0, 0.5, (4, 300))
        alone += over_users(d[0], resamples=300).p < 0.05
        both += over_both(d).p < 0.05
    assert alone > 70
    assert both < 20


def test_a_bootstrap_over_five_seeds_would_be_too_narrow() -> None:
    """Why over_both takes the t quantile for seeds."""
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(500):
        test = over_users(rng.normal(0, 1, 5), resamples=500)
        covered += test.lo <= 0 <= test.hi
    assert covered / 500 < 0.9


# ------------------------------------------------------------------------------------ both levels


@given(st.integers(2, 6), st.integers(2, 30), st.floats(0, 2), st.floats(0.01, 2), st.integers(0, 1000))
def test_the_p_of_both_is_the_level_at_which_the_interval_reaches_zero(
    seeds: int, users: int, between: float, effect: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    d = effect + rng.normal(0, between, (seeds, 1)) + rng.normal(0, 1, (seeds, users))
    test = over_both(d)
    assert (test.p < 0.05) == (not test.lo <= 0 <= test.hi)
    assert test.hi - test.difference == pytest.approx(test.difference - test.lo)
    assert over_both(d[::-1, ::-1]).p == pytest.approx(test.p, rel=1e-6)


def test_without_users_that_differ_both_is_the_test_over_seeds() -> None:
    by_seed = np.array([0.1, 0.2, 0.4])
    both, seeds = over_both(np.repeat(by_seed[:, None], 50, axis=1)), over_seeds(by_seed)
    assert (both.difference, both.lo, both.hi, both.p) == pytest.approx(
        (seeds.difference, seeds.lo, seeds.hi, seeds.p), rel=1e-6
    )


# ------------------------------------------------------------------------------------ refusals and edges


def test_one_seed_is_refused_with_the_reason() -> None:
    with pytest.raises(NoTestError, match="one seed shows no spread between trainings; train both arms with at least"):
        over_seeds([0.2])
    with pytest.raises(NoTestError, match="one seed shows no spread"):
        over_both(np.ones((1, 5)))
    with pytest.raises(NoTestError, match="one user only"):
        over_users([1.0])
    assert (summary([0.2]).sd, summary([0.2]).lo) == (None, None)


def test_no_pairs_and_no_numbers_are_refused() -> None:
    for bad in ([], [0.1, math.nan], [math.inf, 1.0]):
        for test in (over_seeds, over_users):
            with pytest.raises(NoTestError):
                test(bad)
    with pytest.raises(NoTestError):
        over_both(np.zeros((0, 0)))
    with pytest.raises(ValueError, match="no values"):
        summary([])


def test_differences_that_do_not_vary() -> None:
    equal = over_seeds([0.0, 0.0, 0.0])
    assert (equal.p, equal.difference, equal.d_z) == (1.0, 0.0, None)
    with pytest.raises(NoTestError, match=r"all 3 differences are 0\.1, so there is no spread"):
        over_seeds([0.1, 0.1, 0.1])
    with pytest.raises(NoTestError, match="no spread"):
        over_seeds([0.1, 0.2 - 0.1, 0.3 - 0.2])  # equal but for rounding
    same = over_users([0.0] * 20, resamples=100)
    assert (same.p, same.lo, same.hi, same.d_z) == (1.0, 0.0, 0.0, None)
    shifted = over_users([0.2] * 20, resamples=1000)
    assert (shifted.lo, shifted.hi) == pytest.approx((0.2, 0.2))
    assert shifted.p < 0.01
    assert over_both(np.zeros((3, 4))).p == 1.0
    with pytest.raises(NoTestError, match="no spread"):
        over_both(np.full((3, 4), 0.1))


def test_the_wrong_side_of_a_one_sided_test_is_not_significant() -> None:
    worse = [-0.3, -0.4, -0.35, -0.45]
    test = over_seeds(worse, "greater")
    assert test.p > 0.99
    assert "points to the side that was not tested" in test.claim(higher_is_better=True)
    assert over_seeds(worse, "less").p < 0.01
    assert "not tested" not in over_seeds(worse, "less").claim(higher_is_better=True)
    assert over_users(worse * 10, "greater", resamples=500).p > 0.99


def test_every_test_names_the_claim_that_it_supports() -> None:
    seeds = over_seeds([0.3, 0.4, 0.35])
    assert seeds.claim(higher_is_better=True) == "over seeds: the method is better when trained again"
    assert seeds.claim(higher_is_better=False) == "over seeds: the method is worse when trained again"
    assert seeds.claim(higher_is_better=True, p=0.2) == "over seeds: no difference shown"
    users = over_users([0.3, 0.4, 0.35] * 10, resamples=500)
    assert "these trained models differ on these users" in users.claim(higher_is_better=True)
    both = over_both(np.random.default_rng(0).normal(3, 0.1, (3, 20)))
    assert both.claim(higher_is_better=True).endswith("better when trained again, for users like these")
    assert {t.method for t in (seeds, users, both)} == {
        "paired t-test over seeds",
        "paired permutation test over users",
        "paired two-level test over seeds and users",
    }


# ------------------------------------------------------------------------------------ many tests, more seeds


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.7]) == [0.7]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_as_the_step_down_procedure_does(ps: list[float]) -> None:
    adjusted = holm(ps)
    for level in (0.01, 0.05, 0.2):
        rejected: set[int] = set()
        for place, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
            if ps[index] * (len(ps) - place) >= level:
                break
            rejected.add(index)
        assert {i for i, p in enumerate(adjusted) if p < level} == rejected
    assert all(p <= q <= 1 for p, q in zip(ps, adjusted, strict=True))


def test_seeds_to_decide() -> None:
    few = seeds_to_decide([0.1, 0.3, -0.05], 0.0)
    assert few is not None
    assert few > 3
    d = np.array([0.1, 0.3, -0.05])
    rng = np.random.default_rng(0)
    decided = 0
    for _ in range(500):
        again = summary(rng.normal(d.mean(), d.std(ddof=1), few))
        assert again.lo is not None
        decided += again.lo > 0
    assert 0.72 < decided / 500 < 0.9  # promised: four times in five
    assert seeds_to_decide([0.1], 0.0) is None
    assert seeds_to_decide([0.1, -0.1], 0.0) is None  # exactly at the margin
    nearer = seeds_to_decide([0.1, 0.3, -0.05], 0.05)
    assert nearer is not None
    assert nearer > few
