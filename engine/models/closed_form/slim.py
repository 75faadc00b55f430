"""SLIM: a sparse, non-negative item-to-item matrix by elastic nets (Ning & Karypis, ICDM 2011; docs/method.md B.1)."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.arrays import IntArray
from engine.models.closed_form.item_knn import nearest
from engine.models.closed_form.linear import LinearModel, Weights, entries, gram
from engine.models.interactions import interactions

_CELLS = 1 << 24  # of the small Gram matrices of a block of items
_TOLERANCE, _MOST_SWEEPS = 1e-6, 200


class SLIMModel(LinearModel):
    """scores of a case x W. Column j of W is the elastic net of x_j on the columns of its candidates:

        argmin_w |x_j - X w|^2 / 2 + l2 |w|^2 / 2 + l1 |w|_1,   w >= 0, w_i = 0 unless i is a candidate of j

    Candidates are the `neighbours` items of the largest cosine with j, never j itself: with all items as candidates it
    is SLIM, with fewer the same authors' fsSLIM. Solved by coordinate descent, many items at once, until no weight
    moves by more than 1e-6, or 200 times. Memory: X^T X, as sparse as co-occurrence is.
    """

    def __init__(self, settings: spec.SLIM, train: Sequences, n_items: int) -> None:
        super().__init__(train, n_items)
        self._settings = settings

    def solve(self) -> Weights:
        """See `LinearModel`."""
        n, counts = self.n_items, gram(interactions(self.train, self.n_items))
        _, candidates = nearest(counts, self._settings.neighbours, 0.0)
        k = candidates.shape[1]
        step, weights = max(1, _CELLS // k**2), np.zeros((n, k), np.float32)
        for first in range(0, n, step):
            own = candidates[first : first + step]
            items = np.arange(first, first + len(own))
            among = _entries(counts, np.repeat(own, k, axis=1), np.tile(own, (1, k))).view(-1, k, k)
            towards = _entries(counts, own, np.repeat(items[:, None], k, axis=1))
            solution = non_negative(among, towards, self._settings.l1, self._settings.l2)
            weights[first : first + step] = solution.float().numpy()
        of = np.repeat(np.arange(n), k)
        matrix = sparse.csr_array((weights.ravel(), (candidates.ravel(), of)), shape=(n, n))
        matrix.eliminate_zeros()
        return matrix


def non_negative(among: Tensor, towards: Tensor, l1: float, l2: float) -> Tensor:
    """[B, k] w >= 0 that minimise w H w / 2 - c w + l2 |w|^2 / 2 + l1 sum(w) for each H of `among` [B, k, k] and c of
    `towards` [B, k], by cyclic coordinate descent."""
    solved, rows = torch.zeros_like(towards), torch.arange(len(towards))
    weights, left = torch.zeros_like(towards), towards - l1
    for _ in range(_MOST_SWEEPS):
        before = weights.clone()
        for at in range(towards.shape[1]):
            # left = c - l1 - H w, so the gradient at coordinate `at` is l2 w - left
            curvature = among[:, at, at]
            new = (left[:, at] + curvature * weights[:, at]).clamp_(min=0) / (curvature + l2).clamp(min=1e-12)
            left -= among[:, at] * (new - weights[:, at])[:, None]
            weights[:, at] = new
        solved[rows] = weights
        moving = (weights - before).abs().amax(1) > _TOLERANCE
        if not moving.any():
            break
        if moving.sum() < len(rows) / 2:  # most are done: go on with the others alone
            rows, among, left, weights = rows[moving], among[moving], left[moving], weights[moving]
    return solved


def _entries(matrix: Weights, rows: IntArray, columns: IntArray) -> Tensor:
    """The entries at (rows, columns), in float64 and in their shape."""
    return torch.from_numpy(entries(matrix, rows.ravel(), columns.ravel()).astype(np.float64)).view(rows.shape)
