"""Angular clusters of rows that may not fit into memory (docs/method.md D.2)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from engine.embeddings.clusters import spherical_kmeans
from engine.geometry.table.rows import Array, IntArray, Rows

_STARTS = 10
_SAMPLE = 10_000
"""Rows that the centres are fitted on at most; the others are assigned to them."""


def angular_clusters(unit: Rows, k: int, seed: int = 0) -> IntArray:
    """Labels [n] of unit rows by spherical k-means, at most k. The same seed gives the same labels.

    Over 10,000 rows the clusters are those of so many, drawn at random, and every row goes to the nearest centre.
    """
    draw = np.random.default_rng(seed)
    n = len(unit)
    if n <= _SAMPLE:
        return spherical_kmeans(unit.array(), k, draw, _STARTS)
    rows = unit.take(np.sort(draw.choice(n, _SAMPLE, replace=False)))
    found = spherical_kmeans(rows, k, draw, _STARTS)
    sums = sums_by_label(rows, found, int(found.max()) + 1)
    centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return np.concatenate([(block @ centres.T).argmax(axis=1) for _, block in unit.blocks()])


def sums_by_label(rows: npt.NDArray[np.floating], labels: IntArray, k: int) -> Array:
    """[k x d] sum of the rows of each label."""
    n = len(rows)
    member = sparse.csr_array((np.ones(n), labels, np.arange(n + 1)), shape=(n, k))
    return np.asarray(member.T @ rows.astype(np.float64), dtype=np.float64)
