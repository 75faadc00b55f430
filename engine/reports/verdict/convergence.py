"""Whether training was long enough, and how early a level was reached (docs/method.md H)."""

from __future__ import annotations

from engine.metrics import fall
from engine.reports.boards.arms import Arm
from engine.reports.boards.evidence import Evidence
from engine.spec import Converged


def _curve(run: Evidence) -> dict[int, float]:
    return {point.epoch: point.value for point in run.result.train_ce if point.value is not None}


def has_converged(run: Evidence, margin: float) -> bool:
    """docs/method.md H: what `train.until=converged` stops at, in shares of the verdict's own margin."""
    flat = Converged()
    fallen = fall(_curve(run), flat.window)
    return fallen is not None and fallen < flat.share * margin


def first_epoch_at(arm: Arm, level: float) -> int | None:
    """Where the mean curve of the arm's seeds first is at this level, over the epochs that all were measured at."""
    curves = [_curve(run) for run in arm.runs]
    common = sorted(set.intersection(*(set(curve) for curve in curves)))
    means = ((epoch, sum(curve[epoch] for curve in curves) / len(curves)) for epoch in common)
    return next((epoch for epoch, mean in means if mean <= level), None)
