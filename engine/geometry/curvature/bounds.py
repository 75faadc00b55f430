"""Bounds on the condition number and how tight they are (docs/method.md F.2-F.5, with its numbers).

(3) kappa(H) <= (p_max / p_min) kappa(Ebar)^2                   Ebar: the rows about their mean
(6) kappa(M) <= [max p r^2 / min p r^2] kappa(U^T U)            M = sum p e e^T, r the norms, U unit rows
(8) (1 + a) / (1 - a) <= kappa(M) <= (1 + b) / (1 - b)          unit rows, uniform p, q = d c2 - 1,
    a = sqrt(q / (d - 1)), b = sqrt(q (d - 1)); the upper one only where b < 1
(9) kappa(H) >= tr B / ((K - 1) lambda_1(W))                    K <= d clusters, B between, W within them
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.geometry.curvature.conditioning import condition_number
from engine.geometry.table.clusters import sums_by_label
from engine.geometry.table.moments import Moments, moments
from engine.geometry.table.rows import Array, IntArray, Rows


def centred_bound(p: Array, covariance: Array) -> float | None:
    """The right side of (3) for the uniform covariance of the rows [d x d]."""
    kappa = condition_number(np.linalg.eigvalsh(covariance))
    return None if kappa is None else float(p.max() / p.min()) * kappa


def norm_bound(p: Array, norms: Array, unit_second: Array) -> float | None:
    """The right side of (6); `unit_second` [d x d] is U^T U over any constant. None with a row of zeros."""
    kappa = condition_number(np.linalg.eigvalsh(unit_second))
    weight = p * norms**2
    return None if kappa is None or weight.min() <= 0 else float(weight.max() / weight.min()) * kappa


def angle_bounds(c2: float, d: int) -> tuple[float | None, float | None]:
    """Both sides of (8) for unit rows; None where a side says nothing."""
    if d < 2:
        return 1.0, 1.0
    q = max(0.0, d * c2 - 1)
    low, high = math.sqrt(q / (d - 1)), math.sqrt(q * (d - 1))
    return (1 + low) / (1 - low) if low < 1 else None, (1 + high) / (1 - high) if high < 1 else None


def cluster_bound(rows: Rows, labels: IntArray, p: Array) -> float | None:
    """The right side of (9) for labels [n] in 0..K-1, p-weighted. None where K is 1 or exceeds d."""
    names, labels = np.unique(labels, return_inverse=True)
    k, d = len(names), rows.width
    if not 1 < k <= d:
        return None
    mass = np.bincount(labels, p, k)
    centres = np.zeros((k, d))
    for first, block in rows.blocks():
        part = slice(first, first + len(block))
        centres += sums_by_label(block * p[part, None], labels[part], k)
    centres /= np.maximum(mass, 1e-300)[:, None]
    within = np.zeros((d, d))
    for first, block in rows.blocks():
        part = slice(first, first + len(block))
        about = (block - centres[labels[part]]) * np.sqrt(p[part])[:, None]
        within += about.T @ about
    between = centres - mass @ centres
    trace = float((mass[:, None] * between**2).sum())
    widest = float(np.linalg.eigvalsh(within)[-1])
    return trace / ((k - 1) * widest) if widest > 0 else None


def tightness(rows: Rows, popularity: IntArray, labels: IntArray | None) -> list[dict[str, Any]]:
    """Every bound beside what it bounds, at uniform p and at p in proportion to popularity + 1.

    `value / limit` is at most 1 for an upper bound and at least 1 for a lower one; the nearer to 1, the tighter.
    A bound that says nothing (rows that span too little, b >= 1) has no limit.
    """
    n, d = len(rows), rows.width
    of_rows, of_unit = moments(rows), moments(rows.at_unit_length())
    smoothed = popularity + 1.0
    records: list[dict[str, Any]] = []

    def note(name: str, side: str, at: str, value: float | None, limit: float | None) -> None:
        known = value is not None and limit is not None
        ratio = value / limit if known and limit else None  # type: ignore[operator]
        records.append({"bound": name, "side": side, "p": at, "value": value, "limit": limit, "tightness": ratio})

    for at, p in (("uniform", np.full(n, 1 / n)), ("popularity", smoothed / smoothed.sum())):
        statistics = of_rows if at == "uniform" else moments(rows, p)
        kappa_h, kappa_m = _kappa(statistics.covariance), _kappa(statistics.second)
        note("(3)", "upper", at, kappa_h, centred_bound(p, of_rows.covariance))
        note("(6)", "upper", at, kappa_m, norm_bound(p, of_rows.norms, of_unit.second))
        if labels is not None:
            note("(9)", "lower", at, kappa_h, cluster_bound(rows, labels, p))
    low, high = angle_bounds(_c2(of_unit), d)
    kappa = _kappa(of_unit.second)
    note("(8)", "lower", "unit rows", kappa, low)
    note("(8)", "upper", "unit rows", kappa, high)
    return records


def _kappa(matrix: Array) -> float | None:
    return condition_number(np.linalg.eigvalsh(matrix))


def _c2(of_unit: Moments) -> float:
    """Mean of (u_i.u_j)^2 over all ordered pairs, for rows of trace 1."""
    trace = float(np.trace(of_unit.second))
    return float((of_unit.second**2).sum()) / trace**2 if trace > 0 else 0.0
