"""Anisotropy: how the directions of the rows are spread (docs/method.md D.2, F.4)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.geometry.table.moments import Moments
from engine.geometry.table.rows import Rows

EXACT_PAIRS = 4096
"""Up to so many rows all pairs are looked at."""
SAMPLED_PAIRS = 200_000


def anisotropy(unit: Rows, of_unit: Moments, of_rows: Moments) -> dict[str, Any]:
    """Of unit rows u [n x d] with their moments, and the moments of the rows they come from.

    c1        mean over i != j of u_i.u_j               c2  mean over all i, j of (u_i.u_j)^2
    welch     d c2 - 1 >= 0: 0 for a tight frame        r1  s_1^2 / sum s^2, s the singular values of the rows
    uniformity  log of the mean over i != j of exp(-2 |u_i - u_j|^2), with its standard error where sampled

    Rows of zeros are left out of c1 and c2.
    """
    n = int((of_unit.norms > 0).sum())
    d = unit.width
    total = of_unit.mean * of_unit.count
    c2 = float((of_unit.second**2).sum()) * (of_unit.count / n) ** 2 if n else 0.0
    second = np.linalg.eigvalsh(of_rows.second)
    value, error = uniformity(unit)
    return {
        "c1": (float(total @ total) - n) / (n * (n - 1)) if n > 1 else 0.0,
        "c2": c2,
        "welch": d * c2 - 1,
        "r1": float(second[-1] / second.sum()) if second.sum() > 0 else 0.0,
        "uniformity": value,
        "uniformity_se": error,
    }


def uniformity(unit: Rows, seed: int = 0) -> tuple[float | None, float | None]:
    """(value, standard error): exact with no error up to EXACT_PAIRS rows, else over SAMPLED_PAIRS random pairs."""
    n = len(unit)
    if n < 2:
        return None, None
    if n <= EXACT_PAIRS:
        u = unit.array()
        total = 0.0
        squares = (u**2).sum(axis=1)
        for first in range(0, n, 512):
            block = u[first : first + 512]
            distance = squares[first : first + 512, None] + squares - 2 * block @ u.T
            total += float(np.exp(-2 * np.maximum(distance, 0)).sum())
        return math.log((total - n) / (n * (n - 1))), None
    draw = np.random.default_rng(seed)
    i = draw.integers(n, size=SAMPLED_PAIRS)
    j = (i + draw.integers(1, n, size=SAMPLED_PAIRS)) % n
    values = np.concatenate(
        [
            np.exp(-2 * ((unit.take(i[at : at + 8192]) - unit.take(j[at : at + 8192])) ** 2).sum(axis=1))
            for at in range(0, SAMPLED_PAIRS, 8192)
        ]
    )
    mean = float(values.mean())
    return math.log(mean), float(values.std()) / math.sqrt(SAMPLED_PAIRS) / mean
