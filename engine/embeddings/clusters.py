"""Spherical k-means: clusters of directions.

scikit-learn has k-means of points only, and the table of the control `cluster-permuted` is made of these very clusters,
bit by bit: hence one of our own. What is only measured takes scikit-learn's (`engine.geometry.table.clusters`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_ROUNDS = 100
_GAIN = 1e-6  # a round that raises the mean cosine by less is the last


def spherical_kmeans(unit: Array, k: int, draw: np.random.Generator, starts: int = 5) -> Labels:
    """Cluster [n] of each unit row [n x d], numbered from 0 without gaps: at most k clusters, fewer where there
    are fewer different rows.

    The best of some starts by the mean cosine between rows and their cluster's unit centre. A start draws
    rows as centres with a chance proportional to their distance, 1 - cosine, from the nearest centre drawn
    before (k-means++ on the sphere); then rows go to the nearest centre (ties: the first) and centres to
    the direction of their rows' sum, for at most 100 rounds or until the mean cosine hardly rises.
    """
    best, best_value = np.zeros(len(unit), dtype=np.int64), -np.inf
    for _ in range(starts if len(unit) else 0):
        labels, value = _once(unit, k, draw)
        if value > best_value:
            best, best_value = labels, value
    numbered: Labels = np.unique(best, return_inverse=True)[1].astype(np.int64)
    return numbered


def _once(unit: Array, k: int, draw: np.random.Generator) -> tuple[Labels, float]:
    centres = _start(unit, k, draw)
    rows, before = np.arange(len(unit)), -np.inf
    for _ in range(_ROUNDS):
        cosines = unit @ centres.T
        labels = cosines.argmax(axis=1)
        value = float(cosines[rows, labels].mean())
        if value - before < _GAIN:
            break
        before = value
        members = sparse.csr_array((np.ones(len(unit)), (labels, rows)), shape=(len(centres), len(unit)))
        sums = members @ unit
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        np.divide(sums, lengths, out=centres, where=lengths > 0)  # an empty cluster keeps its centre
    return labels, value


def _start(unit: Array, k: int, draw: np.random.Generator) -> Array:
    """Up to k rows, all different."""
    chosen = [int(draw.integers(len(unit)))]
    distance = 1 - unit @ unit[chosen[0]]
    while len(chosen) < k:
        distance[distance < 1e-12] = 0  # rows equal to a centre, up to rounding
        total = float(distance.sum())
        if total <= 0:
            break
        chosen.append(int(draw.choice(len(unit), p=distance / total)))
        distance = np.minimum(distance, 1 - unit @ unit[chosen[-1]])
    return unit[chosen].copy()
