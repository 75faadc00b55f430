"""Angular clusters: spherical k-means on unit rows (METHOD.md D.2)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from engine.geometry.rows import Array, IntArray, Rows

RESTARTS = 10
_STEPS = 30
_SAMPLE = 10_000
"""Rows that the centres are fitted on at most; the others are assigned to them."""

_Single = npt.NDArray[np.float32]


def spherical_kmeans(unit: Rows, k: int, seed: int = 0, restarts: int = RESTARTS) -> IntArray:
    """Labels [n] in 0..k-1 of unit rows: the best of `restarts` starts by sum of cosines to the own centre.

    Starts are drawn as in k-means++ (distance 1 - cosine); an empty cluster takes the row farthest from its centre.
    Over 10,000 rows the centres come from so many, drawn at random. The same seed gives the same labels.
    """
    draw = np.random.default_rng(seed)
    n = len(unit)
    sample = np.arange(n) if n <= _SAMPLE else np.sort(draw.choice(n, _SAMPLE, replace=False))
    rows = unit.take(sample).astype(np.float32)
    best, centres = -np.inf, rows[:k]
    for _ in range(restarts):
        score, found = _fitted(rows, min(k, len(rows)), draw)
        if score > best:
            best, centres = score, found
    labels = [(block.astype(np.float32) @ centres.T).argmax(axis=1) for _, block in unit.blocks()]
    return np.concatenate(labels).astype(np.int64)


def _fitted(rows: _Single, k: int, draw: np.random.Generator) -> tuple[float, _Single]:
    """Sum of cosines and unit centres [k x d]."""
    centres = rows[_seeds(rows, k, draw)]
    before = -np.inf
    for _ in range(_STEPS):
        cosine = rows @ centres.T
        labels = cosine.argmax(axis=1)
        own = cosine[np.arange(len(rows)), labels]
        score = float(own.sum(dtype=np.float64))
        if score <= before + 1e-4 * len(rows):
            break
        before = score
        empty = np.flatnonzero(np.bincount(labels, minlength=k) == 0)
        labels[np.argsort(own)[: len(empty)]] = empty
        sums = sums_by_label(rows, labels, k)
        centres = (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return before, centres


def _seeds(rows: _Single, k: int, draw: np.random.Generator) -> list[int]:
    chosen = [int(draw.integers(len(rows)))]
    distance = np.full(len(rows), np.inf)
    while len(chosen) < k:
        distance = np.minimum(distance, np.maximum(1 - rows @ rows[chosen[-1]], 0))
        ends = np.cumsum(distance, dtype=np.float64)
        at = int(np.searchsorted(ends, draw.random() * ends[-1], "right"))
        chosen.append(min(at, len(rows) - 1))
    return chosen


def sums_by_label(rows: npt.NDArray[np.floating], labels: IntArray, k: int) -> Array:
    """[k x d] sum of the rows of each label."""
    n = len(rows)
    member = sparse.csr_array((np.ones(n), labels, np.arange(n + 1)), shape=(n, k))
    return np.asarray(member.T @ rows.astype(np.float64), dtype=np.float64)
