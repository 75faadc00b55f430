"""Graph smoothness of a table: its total variation ratio, and how far from chance that is (docs/method.md D.2).

    TV = tr(Z^T L Z) / tr(Z^T Z),  L = I - A_hat,  A_hat = D^-1/2 A D^-1/2

L_ii is 0 for an item without edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.embeddings.graph.cooccurrence import Matrix
from engine.embeddings.graph.laplacian import Laplacian
from engine.geometry.graph.links import Estimate, link_energy
from engine.geometry.table.rows import Array, IntArray, Rows

_STRATA = 32
_LEVELS = 1 << 20


def tv_ratio(laplacian: Laplacian, rows: Rows, squares: Array) -> Estimate:
    """The ratio; `squares` [n] are |z_i|^2. 0 for a table of zeros."""
    total = float(squares.sum())
    if total <= 0:
        return Estimate(0.0)
    links = link_energy(laplacian.links, rows)
    value = (float(laplacian.diagonal @ squares) - links.value) / total
    return Estimate(value, None if links.se is None else links.se / total)


def against(value: float, nulls: Sequence[float]) -> dict[str, float | int | None]:
    """Mean and standard deviation of null values, and z = (value - mean) / sd; None where they do not vary."""
    mean, sd = float(np.mean(nulls)), float(np.std(nulls, ddof=1)) if len(nulls) > 1 else 0.0
    return {"null": mean, "null_sd": sd, "nulls": len(nulls), "z": z_score(value, mean, sd)}


def z_score(value: float, mean: float, sd: float) -> float | None:
    return (value - mean) / sd if sd > 1e-9 * max(abs(mean), abs(value)) else None


def stub_matching(adjacency: Matrix, laplacian: Laplacian, rows: Rows, squares: Array) -> dict[str, Any]:
    """Mean and standard deviation of the TV ratio over random graphs with the degrees of A, in closed form.

    The random graph matches the ends of edges at random among edges of (nearly) equal weight: unlike
    rewiring it may join an item to itself or two items twice, which matters little where the graph is
    sparse. With the m edges of a stratum and their 2m ends a = sqrt(w / d_i) z_i, S = sum a and C their covariance,
    sum of a.a' over the matched pairs has the mean (|S|^2 - sum |a|^2) / (2 (2m - 1)) and, to leading order
    in 1/m, the variance m tr(C^2): a random matching is nearly m independent pairs.
    """
    total = float(squares.sum())
    degrees = np.asarray(adjacency.sum(axis=1), dtype=np.float64).ravel()
    root = np.sqrt(np.divide(1.0, degrees, out=np.zeros_like(degrees), where=degrees > 0))
    stratum, weights = _strata(adjacency)
    mean = variance = 0.0
    for s, weight in enumerate(weights):
        ends = _ends(adjacency, stratum == s)
        count = float(ends.sum())
        if count < 2:
            continue
        with_ends = np.flatnonzero(ends)
        total_a, squares_a = np.zeros(rows.width), np.zeros((rows.width, rows.width))
        for at in range(0, len(with_ends), 1 << 15):
            part = with_ends[at : at + (1 << 15)]
            a = rows.take(part) * (np.sqrt(weight) * root[part])[:, None]
            total_a += ends[part] @ a
            squares_a += (a * ends[part][:, None]).T @ a
        # each matched pair stands for two entries of A
        mean += 2 * (float(total_a @ total_a) - float(np.trace(squares_a))) / (2 * (count - 1))
        covariance = squares_a / count - np.outer(total_a, total_a) / count**2
        variance += 4 * (count / 2) * float((covariance**2).sum())
    base = float(laplacian.diagonal @ squares)
    return {"null": (base - mean) / total, "null_sd": float(np.sqrt(variance)) / total}


def _ends(adjacency: Matrix, member: npt.NDArray[np.bool_]) -> IntArray:
    """[n] how many of each row's entries are members."""
    before = np.concatenate([[0], np.cumsum(member, dtype=np.int32)])
    return np.diff(before[adjacency.indptr]).astype(np.int64)


def _strata(adjacency: Matrix) -> tuple[npt.NDArray[np.int8], Array]:
    """The stratum of every entry, and the mean weight of each stratum."""
    values = adjacency.data
    levels = np.unique(values[:: 1 + len(values) // _LEVELS])
    if len(levels) > _STRATA:
        levels = np.unique(np.quantile(values[:: 1 + len(values) // _LEVELS], np.linspace(0, 1, _STRATA + 1)[1:]))
        cuts = levels[:-1]
    else:
        cuts = (levels[:-1] + levels[1:]) / 2
    stratum = np.empty(len(values), np.int8)
    count, total = np.zeros(len(levels)), np.zeros(len(levels))
    for at in range(0, len(values), _LEVELS):
        part = slice(at, at + _LEVELS)
        stratum[part] = np.searchsorted(cuts, values[part], "left")
        count += np.bincount(stratum[part], minlength=len(levels))
        total += np.bincount(stratum[part], values[part], len(levels))
    return stratum, np.divide(total, count, out=np.zeros(len(levels)), where=count > 0)
