"""What the result of a run holds of its metrics, and any other metric from the files that the run keeps.

valid, test     the metrics that lists offer, by their names: {"ndcg@10": 0.1, ...}
rank_counts     {"valid": {"users": n, "counts": [c_1, ..., c_100]}, "test": ...}: how many targets have rank 1, 2, ...
top             {"coverage": [v_1, ..., v_20], ...}: a measure of top lists at each cut-off; null where it has no value
train_ce        [{"epoch": 0, "value": 7.1}, ...]

Every metric of ranks up to cut-off 100 follows from the counts, exactly; one behind it, or of a run that was made
before there were counts, from the ranks of all users.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from engine.bounds import parse_json
from engine.errors import UserError
from engine.metrics.files import load_ranks, load_top
from engine.metrics.kinds import TOP, CurveMeasure, ListMeasure, Metric, RankMeasure, Split, TopLists
from engine.metrics.registry import CUTOFFS, measures, parse_metric
from engine.records import CurvePoint, RankCounts, RunResult

if TYPE_CHECKING:
    from engine.metrics.kinds import FloatArray, IntArray

COUNTED = 100
"""The last rank that is counted by itself."""
NO_TARGET = -1
"""In place of a rank, for a user without a target."""


# ------------------------------------------------------------------------------------ made by training


def rank_metrics(ranks: IntArray) -> dict[str, float]:
    """The metrics that every result holds, of the ranks of all targets (1 = best); 0 where there is none."""
    import numpy as np

    r = ranks.astype(np.float64)
    values = {}
    for measure in measures().values():
        if isinstance(measure, RankMeasure):
            for at in sorted(CUTOFFS) if measure.cutoff == "required" else (None,):
                values[Metric(measure, "test", at).key] = float(measure.gain(r, at).mean()) if len(r) else 0.0
    return values


def rank_counts(ranks: IntArray) -> dict[str, Any]:
    """How many targets there are, and how many have rank 1, 2, ... COUNTED."""
    import numpy as np

    return {"users": len(ranks), "counts": np.bincount(ranks[ranks <= COUNTED], minlength=COUNTED + 1)[1:].tolist()}


def top_metrics(lists: TopLists) -> dict[str, list[float | None]]:
    """Every measure of top lists at the cut-offs 1 to TOP; None where it is not finite, as without any list."""
    values: dict[str, list[float | None]] = {}
    some = bool((lists.items >= 0).any())
    for measure in measures().values():
        if isinstance(measure, ListMeasure):
            cut = (TopLists(lists.items[:, :k], lists.popularity) for k in range(1, TOP + 1))
            values[measure.name] = [_finite(measure.value(each)) if some else None for each in cut]
    return values


# ------------------------------------------------------------------------------------ read from a run


def value_in(metric: Metric, result: RunResult, ranks: Path | None, top: Path | None) -> float | None:
    """A metric of a finished run: from its result, else from its files (None: it has none). None where the run
    did not measure it."""
    known = metric.of(result)
    if known is not None:
        return known
    lists = result.top.get(metric.measure.name) if metric.split == "test" else None
    if lists is not None and metric.at is not None and metric.at <= len(lists):
        return lists[metric.at - 1]
    return from_run(metric, result.rank_counts.get(metric.split), ranks, top)


def metrics_of_test(result: RunResult) -> dict[str, float]:
    """What the result holds of test by its name, with the measures of top lists at the usual cut-offs."""
    listed = {
        f"{name}@{at}": value
        for name, values in result.top.items()
        for at in CUTOFFS
        if at <= len(values) and (value := values[at - 1]) is not None
    }
    return {**result.test, **listed}


def with_values(result: RunResult, values: Mapping[Metric, float | None]) -> RunResult:
    """The result with these metrics too, where `Metric.of` finds them; those that are None are left out."""
    curve = dict(result.train_ce)
    named: dict[Split, dict[str, float]] = {
        "valid": dict(result.valid),
        "test": dict(result.test),
        "train": dict(result.train),
    }
    last = None
    for metric, value in values.items():
        if value is None:
            continue
        if not isinstance(metric.measure, CurveMeasure) or metric.measure.mean:
            named[metric.split][metric.key] = value
        elif metric.at is None:
            last = value
        else:
            curve[metric.at] = value
    points = [CurvePoint(epoch, value) for epoch, value in sorted(curve.items())]
    if last is not None and result.last_train_ce != last:
        points.append(CurvePoint(points[-1].epoch + 1 if points else 0, last))
    return replace(result, train_ce=tuple(points), valid=named["valid"], test=named["test"], train=named["train"])


def from_run(metric: Metric, counts: RankCounts | None, ranks: Path | None, top: Path | None) -> float | None:
    """A metric that the result does not hold by its name: from its counts of ranks, or from the run's files; None
    where these are gone or damaged."""
    match metric.measure:
        case RankMeasure() if counts is not None and metric.at is not None and metric.at <= COUNTED:
            return _of_counts(metric, counts)
        case RankMeasure():
            return None if ranks is None else _of_ranks(metric, ranks)
        case ListMeasure():
            return None if top is None else _of_lists(metric, top)
        case CurveMeasure():
            return None
        case _:
            assert_never(metric.measure)


def from_row(name: str, counts: str | None, ranks: Path, top: Path) -> float | None:
    """The same for a row of the store, which has the counts as JSON; quick for thousands of rows."""
    return from_run(_parsed(name), None if counts is None else RankCounts.decode(parse_json(counts)), ranks, top)


def per_user(metric: Metric, ranks: IntArray) -> FloatArray:
    """A metric of ranks for every user, float64 [users], nan for users without a target (`NO_TARGET`)."""
    import numpy as np

    if not isinstance(metric.measure, RankMeasure):
        raise TypeError(f"{metric} has no value per user")
    known = ranks != NO_TARGET
    values = np.full(len(ranks), np.nan)
    values[known] = metric.measure.gain(ranks[known].astype(np.float64), metric.at)
    return values


_parsed = lru_cache(64)(parse_metric)


@lru_cache(64)
def _gains(metric: Metric) -> tuple[float, ...]:
    """Of the ranks 1 to COUNTED."""
    import numpy as np

    assert isinstance(metric.measure, RankMeasure)
    return tuple(metric.measure.gain(np.arange(1, COUNTED + 1, dtype=np.float64), metric.at).tolist())


def _of_counts(metric: Metric, counts: RankCounts) -> float:
    gained = math.fsum(gain * n for gain, n in zip(_gains(metric), counts.counts, strict=False))
    return gained / counts.users if counts.users else 0.0


_known: dict[tuple[Metric, Path], float] = {}
"""What was computed from files, which never change once a run is finished."""


def _of_ranks(metric: Metric, file: Path) -> float | None:
    if (metric, file) not in _known:
        try:
            ranks = _latest_ranks(file)[metric.split]
        except (UserError, KeyError):
            return None
        values = per_user(metric, ranks[ranks != NO_TARGET])
        _known[metric, file] = float(values.mean()) if len(values) else 0.0
    return _known[metric, file]


def _of_lists(metric: Metric, file: Path) -> float | None:
    assert isinstance(metric.measure, ListMeasure)
    if (metric, file) not in _known:
        try:
            lists = load_top(file)
        except UserError:
            return None
        if not (lists.items >= 0).any():
            return None
        _known[metric, file] = metric.measure.value(TopLists(lists.items[:, : metric.at], lists.popularity))
    return _finite(_known[metric, file])


_latest_ranks = lru_cache(4)(load_ranks)  # a row's metrics are asked for one after another


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
