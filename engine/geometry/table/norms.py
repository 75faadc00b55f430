"""Norm disparity: how unequal the lengths of the rows are (docs/method.md D.2; the first cause)."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.geometry.table.rows import Array, IntArray

BINS = 41
"""Of a histogram; odd, so that norms that are all equal fill the middle one."""
_WIDE = 10.0
"""From this ratio of the largest norm to the smallest on, bins are equally wide in log r."""


def norm_disparity(norms: Array, popularity: IntArray) -> dict[str, Any]:
    """Of row norms r [n] and training counts c [n]; rows of zeros are counted and left out of the rest.

    max_min  max r / min r          p99_p1  99th over 1st percentile
    cv       sd(r) / mean(r)        gini    sum_ij |r_i - r_j| / (2 n^2 mean(r))
    log_popularity  Pearson correlation of r with log(1 + c); None where either does not vary
    histogram       see `histogram`
    """
    is_nonzero = norms > 0
    r = norms[is_nonzero]
    if not len(r):
        return {"zero_rows": len(norms), "mean": 0.0} | dict.fromkeys(("max_min", "p99_p1", "cv", "gini", "histogram"))
    low, high = np.percentile(r, [1, 99])
    return {
        "zero_rows": int((~is_nonzero).sum()),
        "mean": float(r.mean()),
        "max_min": float(r.max() / r.min()),
        "p99_p1": float(high / low),
        "cv": float(r.std() / r.mean()),
        "gini": gini(r),
        "log_popularity": _correlation(r, np.log1p(popularity[is_nonzero].astype(np.float64))),
        "histogram": histogram(r),
    }


def histogram(norms: Array) -> dict[str, Any]:
    """How many of the norms (positive, at least one) lie in each of 41 bins from the smallest to the largest.

    `edges` [42], `counts` [41], and `scale`: bins are equally wide in r (linear), or in log r (log) where the
    largest is more than 10 times the smallest. Norms that are equal to rounding lie in the middle of bins from .9
    to 1.1 of them.
    """
    low, high = float(norms.min()), float(norms.max())
    if high - low <= 1e-5 * high:  # to the rounding of float32 rows
        low, high = 0.9 * low, 1.1 * high
    wide = high > _WIDE * low
    edges = np.geomspace(low, high, BINS + 1) if wide else np.linspace(low, high, BINS + 1)
    edges[[0, -1]] = low, high
    counts = np.histogram(norms, edges)[0]
    return {"scale": "log" if wide else "linear", "edges": edges.tolist(), "counts": counts.tolist()}


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
