"""Item-based nearest neighbours: cosine with shrinkage (Sarwar et al., WWW 2001; docs/method.md B.1)."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.arrays import FloatArray, IntArray
from engine.models.closed_form.linear import LinearModel, Weights, dense_rows, gram
from engine.models.interactions import interactions

_CELLS = 1 << 24  # of a block of similarities


class ItemKNNModel(LinearModel):
    """scores of a case x W, W_ij = s_ij where i is one of the `neighbours` items most similar to j, else 0:

        s_ij = c_ij / (sqrt(c_i c_j) + shrink),   i != j

    c_ij users have consumed both items, c_i have consumed i. Of equally similar items the first ones are kept.
    """

    def __init__(self, settings: spec.ItemKNN, train: Sequences, n_items: int) -> None:
        super().__init__(train, n_items)
        self._settings = settings

    def solve(self) -> Weights:
        """See `LinearModel`."""
        n, counts = self.n_items, gram(interactions(self.train, self.n_items))
        values, items = nearest(counts, self._settings.neighbours, self._settings.shrink)
        of = np.repeat(np.arange(n), items.shape[1])
        weights = sparse.csr_array((values.ravel(), (items.ravel(), of)), shape=(n, n))
        weights.eliminate_zeros()
        return weights


def nearest(counts: Weights, k: int, shrink: float) -> tuple[FloatArray, IntArray]:
    """(similarities [items, k], which items [items, k]) of each item's most similar others, for co-occurrence counts
    [items, items]; at most all others."""
    n = counts.shape[0]
    k, sizes = min(k, n - 1), torch.from_numpy(counts.diagonal().copy()).sqrt()
    values: list[Tensor] = []
    items: list[Tensor] = []
    step = max(1, _CELLS // n)
    for first in range(0, n, step):
        rows = dense_rows(counts, first, first + step)
        rows = rows / (sizes[first : first + step, None] * sizes + shrink).clamp(min=1e-12)
        rows[torch.arange(len(rows)), torch.arange(first, first + len(rows))] = -1  # no item is its own neighbour
        ordered = rows.sort(dim=1, descending=True, stable=True)
        values.append(ordered.values[:, :k].clone())
        items.append(ordered.indices[:, :k].clone())
    return torch.cat(values).numpy(), torch.cat(items).numpy()
