"""Intervals and paired tests, each with the claim that it can support (docs/method.md D.2, D.4).

Three questions are told apart. *Seeds*: would the method be better when trained again? A t-test on one
difference per seed. *Users*: do these trained models differ on users like these? A bootstrap and a
permutation test on one difference per user; it says nothing of another training. *Both* at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

from engine.errors import UserError

Over: TypeAlias = Literal["seeds", "users", "both"]
Alternative: TypeAlias = Literal["two-sided", "greater", "less"]
FloatArray: TypeAlias = npt.NDArray[np.float64]

ALPHA = 0.05
RESAMPLES = 10_000
POWER = 0.8
FEW_SEEDS = 5
"""Below so many paired seeds what is significant carries a caution."""
NOT_ADJUSTED = "95 % intervals are of each difference alone, not adjusted as p and the marks are"
MOST_SEEDS = 1000
_ONE_SEED, _NO_SPREAD = "there is one seed only", "differences do not vary over seeds"
_DRAWS = 1 << 22  # numbers drawn at a time

METHODS: dict[Over, str] = {
    "seeds": "paired t-test over seeds",
    "users": "paired permutation test over users",
    "both": "paired two-level test over seeds and users",
}
CLAIMS: dict[Over, str] = {
    "seeds": "over seeds: the method is {} when trained again",
    "users": "over users: these trained models differ on these users ({})",
    "both": "over both: the method is {} when trained again, for users like these",
}


class NoTestError(UserError):
    """A test that cannot be made; its text says why and what would make it possible, `why` in few words."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(text)
        self.why = why


@dataclass(frozen=True)
class Summary:
    """Mean and spread of one number per seed."""

    n: int
    mean: float
    sd: float | None
    """Sample standard deviation; None where n is 1."""
    lo: float | None
    hi: float | None
    """95 % interval of the mean (t, n - 1 degrees of freedom); None where n is 1."""


@dataclass(frozen=True)
class Test:
    """A paired difference, its 95 % interval, and a test of "no difference"."""

    __test__ = False  # not one of pytest's

    over: Over
    difference: float
    lo: float
    hi: float
    """95 % interval, two-sided whatever the alternative."""
    p: float
    n_seeds: int
    n_users: int | None
    """None where users play no part."""
    d_z: float | None
    """Effect size: mean over standard deviation of the differences; None where they do not vary."""
    alternative: Alternative = "two-sided"

    @property
    def method(self) -> str:
        return METHODS[self.over]

    @property
    def wrong_side(self) -> bool:
        """Whether a one-sided test was asked for and the difference is on the other side."""
        return (self.alternative == "greater" and self.difference < 0) or (
            self.alternative == "less" and self.difference > 0
        )

    def claim(self, *, higher_is_better: bool | None, p: float | None = None, alpha: float = ALPHA) -> str:
        """What the test supports, in words; `p` is its p-value after a correction, where there is one. None: neither
        direction is better."""
        if (self.p if p is None else p) >= alpha:
            side = "; it points to the side that was not tested" if self.wrong_side else ""
            return f"over {self.over}: no difference shown{side}"
        if higher_is_better is None:
            return CLAIMS[self.over].format(f"of a {'higher' if self.difference > 0 else 'lower'} value")
        better = (self.difference > 0) == higher_is_better
        return CLAIMS[self.over].format("better" if better else "worse")


def caution(n_seeds: Iterable[int]) -> str:
    """How much weight differences over so few paired seeds bear."""
    few = sorted(set(n_seeds))
    seeds = f"{few[0]} to {few[-1]}" if len(few) > 1 else str(few[0])
    plural = "" if few == [1] else "s"
    return f"{seeds} paired seed{plural}, fewer than {FEW_SEEDS}, are weak evidence: train more seeds"


# ------------------------------------------------------------------------------------ intervals


def t_quantile(df: float, tail: float = ALPHA) -> float:
    """The t with `tail` outside of [-t, t] (two-sided)."""
    return float(stdtrit(df, 1 - tail / 2))


def summary(values: Sequence[float] | FloatArray) -> Summary:
    """Mean, sample standard deviation and 95 % t interval of one number per seed. Raises ValueError
    where there is none."""
    x = np.asarray(values, dtype=np.float64)
    n, mean = len(x), float(x.mean()) if len(x) else math.nan
    if n == 0:
        raise ValueError("no values")
    if n == 1:
        return Summary(1, mean, None, None, None)
    sd = _sd(x)
    half = t_quantile(n - 1) * sd / math.sqrt(n)
    return Summary(n, mean, sd, mean - half, mean + half)


def _sd(x: FloatArray) -> float:
    """Sample standard deviation; exactly 0 where the values differ by rounding only."""
    sd = float(x.std(ddof=1))
    return 0.0 if sd <= 1e-12 * float(np.abs(x).max()) else sd


# ------------------------------------------------------------------------------------ tests


def over_seeds(differences: Sequence[float] | FloatArray, alternative: Alternative = "two-sided") -> Test:
    """Paired t-test.

    differences: [seeds] the method minus the reference, one per seed that both were trained with.
    alternative: the side named beforehand; a difference on the other side then gets p > 1/2.
    Raises NoTestError for one seed, and where all differences are equal but not 0.
    """
    d = _checked(differences, 1)
    if len(d) == 1:
        raise NoTestError(
            "no test over seeds: one seed shows no spread between trainings; train both arms with at least two "
            "seeds (five or more are better)",
            _ONE_SEED,
        )
    n, mean, sd = len(d), float(d.mean()), _sd(d)
    if sd == 0:
        if mean == 0:
            return Test("seeds", 0.0, 0.0, 0.0, 1.0, n, None, None, alternative)
        raise NoTestError(
            f"no test over seeds: all {n} differences are {mean:.6g}, so there is no spread to test against; "
            "does the seed reach these runs?",
            _NO_SPREAD,
        )
    half = t_quantile(n - 1) * sd / math.sqrt(n)
    t = mean * math.sqrt(n) / sd
    lower = float(stdtr(n - 1, t))
    p = {"two-sided": 2 * float(stdtr(n - 1, -abs(t))), "greater": float(stdtr(n - 1, -t)), "less": lower}[alternative]
    return Test("seeds", mean, mean - half, mean + half, p, n, None, mean / sd, alternative)


def over_users(
    differences: Sequence[float] | FloatArray,
    alternative: Alternative = "two-sided",
    *,
    n_seeds: int = 1,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Test:
    """Paired bootstrap (percentile interval of the mean) and sign-flip permutation test over users.

    differences: [users] the method minus the reference, of one pair of models, or the mean over `n_seeds` pairs.
    Users with equal differences are drawn together, which changes nothing in distribution; with cut-off
    metrics there are so few distinct differences that the time does not depend on the number of users.
    p counts the observed arrangement, so it is at least 1 / (resamples + 1).
    """
    d = _checked(differences, 1)
    if len(d) == 1:
        raise NoTestError("no test over users: there is one user only", "there is one user only")
    n, mean, sd = len(d), float(d.mean()), _sd(d)
    rng = np.random.default_rng(seed)
    values, counts = np.unique(d, return_counts=True)
    means = np.concatenate(
        [rng.multinomial(n, counts / n, size=size) @ values / n for size in _blocks(resamples, len(values))]
    )
    lo, hi = np.quantile(means, [ALPHA / 2, 1 - ALPHA / 2]).tolist()
    sizes, counts = np.unique(np.abs(d[d != 0]), return_counts=True)
    flipped = np.concatenate(
        [(2 * rng.binomial(counts, 0.5, size=(size, len(sizes))) - counts) @ sizes / n for size in
         _blocks(resamples, max(len(sizes), 1))]
    )  # fmt: skip
    slack = 1e-12 * float(sizes.max(initial=0.0))
    extreme = {
        "two-sided": np.abs(flipped) >= abs(mean) - slack,
        "greater": flipped >= mean - slack,
        "less": flipped <= mean + slack,
    }[alternative]
    p = (1 + int(extreme.sum())) / (1 + resamples)
    return Test("users", mean, lo, hi, p, n_seeds, n, mean / sd if sd else None, alternative)


def over_both(differences: FloatArray) -> Test:
    """Interval and test for the mean over seeds and users, both taken as samples (crossed).

    differences: [seeds, users] the method minus the reference. With V_s the variance of the seed means
    over their number and V_u that of the user means, less the residual that both hold, the half-width is
    sqrt(t_{S-1}^2 V_s + t_{U-1}^2 V_u): each part has the quantile of its own degrees of freedom, since a
    bootstrap over a few seeds is too narrow. p is the level at which the interval just reaches 0.
    d_z is that of the user means. Raises NoTestError for one seed or user, or without any spread.
    """
    d = _checked(differences, 2)
    seeds, users = d.shape
    if seeds < 2 or users < 2:
        raise NoTestError(
            f"no test over both: needs two or more seeds and users, not {seeds} and {users}; one seed shows no "
            "spread between trainings",
            _ONE_SEED,
        )
    mean, by_seed, by_user = float(d.mean()), d.mean(1), d.mean(0)
    residual = d - by_seed[:, None] - by_user[None, :] + mean
    shared = float((residual**2).sum()) / ((seeds - 1) * (users - 1)) / (seeds * users)
    v_seed = _sd(by_seed) ** 2 / seeds
    v_user = max(_sd(by_user) ** 2 / users - shared, 0.0)

    def half(tail: float) -> float:
        return math.sqrt(t_quantile(seeds - 1, tail) ** 2 * v_seed + t_quantile(users - 1, tail) ** 2 * v_user)

    sd = _sd(by_user)
    effect = mean / sd if sd else None
    if v_seed + v_user == 0:
        if mean == 0:
            return Test("both", 0.0, 0.0, 0.0, 1.0, seeds, users, None)
        raise NoTestError(
            f"no test over both: every seed and user differs by {mean:.6g}; there is no spread", _NO_SPREAD
        )
    p = _level_at(half, abs(mean))
    return Test("both", mean, mean - half(ALPHA), mean + half(ALPHA), p, seeds, users, effect)


def _level_at(half: object, distance: float) -> float:
    """The tail for which the half-width equals the distance."""
    assert callable(half)
    smallest = 1e-12
    if distance == 0:
        return 1.0
    if half(smallest) <= distance:
        return smallest
    return float(brentq(lambda tail: half(tail) - distance, smallest, 1.0))


def _checked(differences: Sequence[float] | FloatArray, dimensions: int) -> FloatArray:
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != dimensions or d.size == 0:
        raise NoTestError(
            "no test: there are no pairs; both arms must be trained with the same seeds", "no seed is shared"
        )
    if not np.isfinite(d).all():
        raise NoTestError("no test: a value is not a number; leave out the run that diverged", "a run diverged")
    return d


def _blocks(resamples: int, width: int) -> list[int]:
    """How many resamples of `width` numbers to draw at a time."""
    size = max(1, _DRAWS // width)
    return [min(size, resamples - first) for first in range(0, resamples, size)]


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the given order: the family-wise error stays below the level."""
    adjusted, largest = [0.0] * len(ps), 0.0
    for place, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - place) * ps[index]))
        adjusted[index] = largest
    return adjusted


def seeds_to_decide(differences: Sequence[float] | FloatArray, margin: float) -> int | None:
    """How many seeds in all would probably put the 95 % interval on one side of `margin`: the smallest n with
    (t_{n-1, .975} + t_{n-1, .8}) sd / sqrt(n) <= |mean - margin|, which succeeds four times in five if mean
    and sd are as seen so far. None for one seed (the spread is unknown), or above 1000."""
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < 2:
        return None
    distance, sd = abs(float(d.mean()) - margin), _sd(d)
    for n in range(len(d) + 1, MOST_SEEDS + 1):
        needed = t_quantile(n - 1) + float(stdtrit(n - 1, POWER))
        if needed * sd / math.sqrt(n) <= distance:
            return n
    return None
