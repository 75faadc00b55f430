"""Norm disparity: how unequal the lengths of the rows are (METHOD.md D.2; the first cause)."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.geometry.rows import Array, IntArray


def norm_disparity(norms: Array, popularity: IntArray) -> dict[str, Any]:
    """Of row norms r [n] and training counts c [n]; rows of zeros are counted and left out of the rest.

    max_min  max r / min r          p99_p1  99th over 1st percentile
    cv       sd(r) / mean(r)        gini    sum_ij |r_i - r_j| / (2 n^2 mean(r))
    log_popularity  Pearson correlation of r with log(1 + c); None where either does not vary
    """
    there = norms > 0
    r = norms[there]
    if not len(r):
        return {"zero_rows": len(norms), "mean": 0.0} | dict.fromkeys(("max_min", "p99_p1", "cv", "gini"))
    low, high = np.percentile(r, [1, 99])
    return {
        "zero_rows": int((~there).sum()),
        "mean": float(r.mean()),
        "max_min": float(r.max() / r.min()),
        "p99_p1": float(high / low),
        "cv": float(r.std() / r.mean()),
        "gini": gini(r),
        "log_popularity": _correlation(r, np.log1p(popularity[there].astype(np.float64))),
    }


def gini(values: Array) -> float:
    """Mean absolute difference of all ordered pairs over twice the mean; 0 where all are equal."""
    ordered = np.sort(values)
    n = len(ordered)
    rank = 2 * np.arange(1, n + 1) - n - 1
    return max(0.0, float(rank @ ordered) / (n * float(ordered.sum())))


def _correlation(a: Array, b: Array) -> float | None:
    if a.std() <= 1e-7 * abs(a.mean()) or b.std() <= 1e-7 * abs(b.mean()):  # to the rounding of float32 rows
        return None
    return float(np.corrcoef(a, b)[0, 1])
