"""EASE: a linear autoencoder of items with a zero diagonal (Steck, WWW 2019; docs/method.md B.1)."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.arrays import FloatArray
from engine.data.cases import Cases


class EASEModel:
    """argmin_B |X - X B|_F^2 + l2 |B|_F^2 with diag B = 0; X [users, items] is 1 where the user has consumed the item:

        P = (X^T X + l2 I)^-1,   B = I - P diag(P)^-1,   scores of a case x B

    x is 1 at the items of the case's history, so a test case counts its validation item, as for sequential models.
    """

    def __init__(self, settings: spec.EASE, train: Sequences, n_items: int) -> None:
        self._l2, self._train, self._n_items = settings.l2, train, n_items
        self._weights: FloatArray | None = None

    def fit(self) -> None:
        """See `Fitted`. Memory: two dense n x n matrices in float64."""
        x = _binary(self._train, self._n_items)
        gram = torch.from_numpy((x.T @ x).toarray())
        gram.diagonal().add_(self._l2)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram, out=gram))
        weights = inverse.div_(-inverse.diagonal().clone())  # column j by P_jj
        weights.fill_diagonal_(0)
        self._weights = weights.float().numpy()

    def scorer(self) -> EASEModel:
        """See `Fitted`."""
        return self

    def scores(self, cases: Cases) -> Tensor:
        """See `Scorer`. Raises ValueError before `fit`."""
        if self._weights is None:
            raise ValueError("not fitted yet")
        return torch.from_numpy(_binary(cases.history, self._n_items, np.float32) @ self._weights)


def _binary(histories: Sequences, n_items: int, dtype: type[np.floating] = np.float64) -> sparse.csr_array:
    """[histories, items] 1 where an item is in the history, however often."""
    ones = np.ones(len(histories.items), dtype)
    x = sparse.csr_array((ones, histories.items, histories.offsets), shape=(len(histories), n_items))
    x.sum_duplicates()
    x.data[:] = 1
    return x
