"""Angular clusters of rows that may not fit into memory (docs/method.md D.2), by scikit-learn's k-means."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from scipy import sparse

from engine.geometry.table.rows import Array, IntArray, Rows
from engine.warmup import collector_at_rest

_STARTS = 10
_SAMPLE = 10_000
"""Rows that the centres are fitted on at most; the others are assigned to them."""


def angular_clusters(unit: Rows, k: int, seed: int = 0) -> IntArray:
    """Labels [n] of unit rows by k-means, at most k. The same seed gives the same labels.

    Over 10,000 rows the clusters are those of so many, drawn at random, and every row goes to the nearest centre.
    """
    with collector_at_rest():
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

    n = len(unit)
    draw = np.random.default_rng(seed)
    rows = unit.array() if n <= _SAMPLE else unit.take(np.sort(draw.choice(n, _SAMPLE, replace=False)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters
        clustering = KMeans(min(k, len(rows)), n_init=_STARTS, random_state=seed).fit(rows)
    labels = (
        clustering.labels_
        if n <= _SAMPLE
        else np.concatenate([clustering.predict(block) for _, block in unit.blocks()])
    )
    numbered: IntArray = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    return numbered


def sums_by_label(rows: npt.NDArray[np.floating], labels: IntArray, k: int) -> Array:
    """[k x d] sum of the rows of each label."""
    n = len(rows)
    member = sparse.csr_array((np.ones(n), labels, np.arange(n + 1)), shape=(n, k))
    return np.asarray(member.T @ rows.astype(np.float64), dtype=np.float64)
