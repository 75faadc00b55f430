"""The content graph: nearest neighbours of the item vectors themselves, the control that knows no histories."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.embeddings.graph.cooccurrence import Matrix, from_keys

_CELLS = 1 << 24
"""Similarities held at once (64 MiB)."""


def content_graph(x: npt.NDArray[np.floating], neighbours: int) -> Matrix:
    """A = (G + G^T) / 2 [n x n], G_ab = 1 where b is among a's nearest by cosine of the rows of X [n x D].

    An edge weighs 1 where each is the other's neighbour and 1/2 where only one is. Ties go to the
    earlier item; a row of zeros has no neighbours and is nobody's. Exact: the products are formed in
    blocks, so memory grows with n alone, but time grows with n^2 D.
    """
    n = len(x)
    k = min(neighbours, n - 1)
    lengths = np.linalg.norm(x, axis=1)
    directed = lengths > 0
    unit = np.divide(x, lengths[:, None], out=np.zeros(x.shape, np.float32), where=directed[:, None], casting="unsafe")
    neighbour_blocks: list[npt.NDArray[np.int64]] = []
    for first in range(0, n, max(1, _CELLS // n)):
        rows = np.arange(first, min(first + max(1, _CELLS // n), n))
        cosine = unit[rows] @ unit.T
        cosine[:, ~directed] = -np.inf
        cosine[np.arange(len(rows)), rows] = -np.inf
        cosine[~directed[rows]] = -np.inf
        neighbour_blocks.append(rows[0] * n + np.flatnonzero(_largest(cosine, k)))
    keys = np.concatenate(neighbour_blocks)
    nearest = from_keys(keys, np.ones(len(keys)), n)
    return Matrix((nearest + nearest.T) / 2)


def _largest(values: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.bool_]:
    """Marks the k largest finite values of each row, among equals the first."""
    if k == 0:
        return np.zeros(values.shape, np.bool_)
    least = np.partition(values, -k, axis=1)[:, [-k]]
    above = values > least
    level = values == least
    level &= np.cumsum(level, axis=1, dtype=np.int32) <= k - above.sum(axis=1, keepdims=True)
    chosen: npt.NDArray[np.bool_] = (above | level) & np.isfinite(values)
    return chosen
