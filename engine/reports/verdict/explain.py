"""How much of the arms' training gap their geometry explains: partial R^2 and Spearman (docs/method.md D.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from engine.metrics import parse_metric
from engine.records import TableGeometry
from engine.reports.boards.arms import Arm, Bench
from engine.reports.boards.shared import UNKNOWN, lengths_by_arm
from engine.reports.stats.paired import mean_difference
from engine.reports.stats.statistics import ALPHA

FloatArray: TypeAlias = npt.NDArray[np.float64]

QUANTITIES: dict[str, Callable[[TableGeometry], float | None]] = {
    "log kappa": lambda geometry: geometry.curvature.get("kappa"),
    "log norm CV": lambda geometry: geometry.norms.get("cv"),
    "misalignment": lambda geometry: geometry.misalignment,
    "c1": lambda geometry: geometry.angles.get("c1"),
    "lambda_1": lambda geometry: geometry.curvature.get("lambda_1"),
}
"""Each quantity of a table at the start, as its rows score."""

LOG_LENGTH = "log row length"
"""Beside them: a hidden learning rate (docs/method.md H)."""

LEAST_CV = 0.01
"""Rows that score at unit length count as this norm CV, so that it has a logarithm."""

_COLLINEAR = 1000.0
"""Condition number of the quantities, each of variance one, above which slopes say nothing: 30 is strong collinearity
(Belsley, Kuh and Welsch, 1980), and errors of 0.1 % in a quantity then move a slope by its own size."""

_CE = parse_metric("train_ce")


@dataclass(frozen=True)
class Share:
    """What one quantity explains over the arms."""

    name: str
    n: int
    spearman: float
    spearman_p: float
    partial_r2: float | None
    """Share of what the others leave unexplained; None where there was no regression."""
    lo: float | None
    hi: float | None
    """95 % interval of it, by Fisher's z of the partial correlation."""
    slope: float | None
    """nats per standard deviation of the quantity, the others held fixed."""


@dataclass(frozen=True)
class Explained:
    """Explained shares, or why there are none; `note` is for a person in either case."""

    n: int
    """Arms with all the quantities."""
    r2: float | None
    shares: tuple[Share, ...]
    note: str


def explained(bench: Bench, baseline: Arm) -> Explained:
    """Regress the mean gap in final training CE on the quantities that the arms' facts hold, one point per arm
    that starts from vectors and shares a seed with the baseline."""
    return shares(points_of(bench, baseline))


def points_of(bench: Bench, baseline: Arm) -> list[dict[str, float]]:
    """The points of that regression: the gap and the quantities of each arm."""
    b = baseline.values(_CE)
    words = lengths_by_arm({arm.name: arm.runs for arm in bench.arms})
    lengths = {name: math.log(float(word)) for name, word in words.items() if word != UNKNOWN}
    return [
        {"gap": gap} | _quantities(arm) | ({LOG_LENGTH: lengths[arm.name]} if arm.name in lengths else {})
        for arm in bench.arms
        if arm.runs[0].experiment.reads_vectors and (gap := mean_difference(arm.values(_CE), b)) is not None
    ]


def _quantities(arm: Arm) -> dict[str, float]:
    """Means over the arm's seeds."""
    quantities: dict[str, float] = {}
    tables = [run.facts.geometry for run in arm.runs if run.facts.geometry is not None]
    for name, quantity in QUANTITIES.items():
        values = [v for table in tables if (v := quantity(table)) is not None]
        if name == "log norm CV":
            values = [LEAST_CV if tables[0].unit_rows else max(v, LEAST_CV) for v in values]
        if values:
            quantities[name] = float(np.mean(np.log(values) if name.startswith("log ") else values))
    return quantities


def shares(points: Sequence[Mapping[str, float]]) -> Explained:
    """Partial R^2 of each quantity for `gap`, over points that hold it.

    With residual sums of squares S of the whole model and S_j of the one without quantity j, the partial R^2 is
    (S_j - S) / S_j, the squared partial correlation. Quantities that are missing for a point or do not vary are left
    out; there must be at least four points more than quantities, and none of these nearly a linear function of the
    others, else only Spearman's correlations are given.
    """
    names = [name for name in (*QUANTITIES, LOG_LENGTH) if sum(name in point for point in points) >= 4]
    names = [name for name in names if len({point[name] for point in points if name in point}) > 1]
    if not names:
        return Explained(0, None, (), "none, since fewer than four arms recorded the geometry of their table")
    complete = [point for point in points if all(name in point for name in names)]
    n, q = len(complete), len(names)
    alone = {name: _spearman(points, name) for name in names}
    x = np.array([[point[name] for name in names] for point in complete], dtype=np.float64).reshape(n, q)
    y = np.array([point["gap"] for point in complete], dtype=np.float64)
    if n < q + 4:
        rows = tuple(Share(name, *alone[name], None, None, None, None) for name in names)
        return Explained(n, None, rows, f"too few arms for a regression: {n} with {q} quantities; it needs {q + 4}")
    scale = x.std(0, ddof=1)
    scaled = (x - x.mean(0)) / np.where(scale > 0, scale, 1.0)
    condition = float(np.linalg.cond(scaled))
    if condition > _COLLINEAR:
        rows = tuple(Share(name, *alone[name], None, None, None, None) for name in names)
        nearly = "nearly " if condition < 1 / np.finfo(np.float64).eps else ""
        note = f"no regression: over these arms a quantity is {nearly}a linear function of the others"
        return Explained(n, None, rows, note)
    whole, total = _residual(scaled, y), _residual(scaled[:, :0], y)
    slopes = _fit(scaled, y)[1:]
    result = []
    for j, name in enumerate(names):
        without = _residual(np.delete(scaled, j, axis=1), y)
        partial = max(0.0, 1 - whole / without) if without > 0 else 0.0
        result.append(Share(name, *alone[name], partial, *_interval(math.sqrt(partial), n, q - 1), float(slopes[j])))
    few = f"; {n} arms for {q} quantities are few, so the intervals are wide" if n < 10 * q else ""
    return Explained(n, 1 - whole / total if total > 0 else None, tuple(result), f"over {n} arms{few}")


def _spearman(points: Sequence[Mapping[str, float]], name: str) -> tuple[int, float, float]:
    from scipy.stats import spearmanr

    with_it = [point for point in points if name in point]
    if any(len({point[each] for point in with_it}) < 2 for each in (name, "gap")):
        return len(with_it), math.nan, math.nan  # nothing varies, so there is no correlation
    correlation = spearmanr([point[name] for point in with_it], [point["gap"] for point in with_it])
    return len(with_it), float(correlation.statistic), float(correlation.pvalue)


def _fit(x: FloatArray, y: FloatArray) -> FloatArray:
    design = np.column_stack([np.ones(len(y)), x])
    return np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], dtype=np.float64)


def _residual(x: FloatArray, y: FloatArray) -> float:
    design = np.column_stack([np.ones(len(y)), x])
    return float(((y - design @ _fit(x, y)) ** 2).sum())


def _interval(r: float, n: int, controlled: int) -> tuple[float, float]:
    """95 % interval of a squared partial correlation |r| with `controlled` other quantities, n - controlled > 3."""
    z, half = math.atanh(min(r, 1 - 1e-12)), -float(ndtri(ALPHA / 2)) / math.sqrt(n - controlled - 3)
    lo, hi = math.tanh(z - half), math.tanh(z + half)
    return (0.0 if lo < 0 else lo**2, max(hi, -lo) ** 2)
