"""EASE: a linear autoencoder of items with a zero diagonal (Steck, WWW 2019; docs/method.md B.1)."""

from __future__ import annotations

import torch

from engine import spec
from engine.data import Sequences
from engine.models.closed_form.linear import LinearModel, Weights
from engine.models.interactions import dense_gram, interactions


class EASEModel(LinearModel):
    """argmin_B |X - X B|_F^2 + l2 |B|_F^2 with diag B = 0; X [users, items] is 1 where the user has consumed the item:

        P = (X^T X + l2 I)^-1,   B = I - P diag(P)^-1,   scores of a case x B

    Memory: two dense n x n matrices in float64.
    """

    def __init__(self, settings: spec.EASE, train: Sequences, n_items: int) -> None:
        super().__init__(train, n_items)
        self._l2 = settings.l2

    def solve(self) -> Weights:
        """See `LinearModel`."""
        gram = dense_gram(interactions(self.train, self.n_items))
        gram.diagonal().add_(self._l2)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram, out=gram))
        weights = inverse.div_(-inverse.diagonal().clone())  # column j by P_jj
        weights.fill_diagonal_(0)
        return weights.float().numpy()
