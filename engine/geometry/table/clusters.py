"""Angular clusters of rows that may not fit into memory, by spherical k-means (docs/method.md D.2)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from engine.embeddings.clusters import spherical_kmeans
from engine.geometry.table.rows import Array, IntArray, Rows

_STARTS = 10
_SAMPLE = 10_000
"""Rows that the clusters are made of at most; the others are assigned to them."""


def angular_clusters(unit: Rows, k: int, seed: int = 0) -> IntArray:
    """Labels [n] of unit rows by spherical k-means, at most k. The same seed gives the same labels.

    Over 10,000 rows the clusters are those of so many, drawn at random, and every row goes to the nearest centre.
    """
    n = len(unit)
    draw = np.random.default_rng(seed)
    if n <= _SAMPLE:
        return spherical_kmeans(unit.array(), k, draw, _STARTS)
    rows = unit.take(np.sort(draw.choice(n, _SAMPLE, replace=False)))
    labels = spherical_kmeans(rows, k, draw, _STARTS)
    centres = sums_by_label(rows, labels, int(labels.max()) + 1)
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    nearest = np.concatenate([(block @ centres.T).argmax(axis=1) for _, block in unit.blocks()])
    numbered: IntArray = np.unique(nearest, return_inverse=True)[1].astype(np.int64)
    return numbered


def sums_by_label(rows: npt.NDArray[np.floating], labels: IntArray, k: int) -> Array:
    """[k x d] sum of the rows of each label."""
    n = len(rows)
    member = sparse.csr_array((np.ones(n), labels, np.arange(n + 1)), shape=(n, k))
    return np.asarray(member.T @ rows.astype(np.float64), dtype=np.float64)
