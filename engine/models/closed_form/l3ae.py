"""L3AE: a linear autoencoder that is drawn towards a semantic one (Moon et al., CIKM 2025; docs/method.md B.1)."""

from __future__ import annotations

import torch

from engine import spec
from engine.data import Sequences
from engine.data.arrays import FloatArray
from engine.models.closed_form.linear import LinearModel, Weights
from engine.models.interactions import dense_gram, interactions


class L3AEModel(LinearModel):
    """Two stages, both in closed form. F [items, d] are the item vectors, X [users, items] the interactions:

        S = argmin |F^T - F^T S|^2 + l2_vectors |S|^2,                    diag S = 0
        B = argmin |X - X B|^2 + l2 |B|^2 + align |B - S|^2,              diag B = 0
        B = I + align P S - P diag(mu),   P = (X^T X + (l2 + align) I)^-1,   mu_j = (1 + align (P S)_jj) / P_jj

    S is never made: S = I - Q diag(Q)^-1 with Q = (F F^T + l2_vectors I)^-1 = (I - F M F^T) / l2_vectors and
    M = (F^T F + l2_vectors I)^-1, so P S costs one product of P with F. l2 may be negative as long as l2 + align is
    not (the published settings are). Memory: two dense items x items matrices in float64.
    """

    def __init__(self, settings: spec.L3AE, train: Sequences, n_items: int, vectors: FloatArray) -> None:
        super().__init__(train, n_items)
        self._settings, self._vectors = settings, vectors

    def solve(self) -> Weights:
        """See `LinearModel`."""
        l2, align, l2_vectors = self._settings.l2, self._settings.align, self._settings.l2_vectors
        f = torch.from_numpy(self._vectors).double()
        inner = f.T @ f
        inner.diagonal().add_(l2_vectors)
        fm = f @ torch.cholesky_inverse(torch.linalg.cholesky(inner))
        scale = 1 / (1 - (fm * f).sum(1))  # 1 / (l2_vectors Q_jj)
        gram = dense_gram(interactions(self.train, self.n_items))
        gram.diagonal().add_(l2 + align)
        p = torch.cholesky_inverse(torch.linalg.cholesky(gram, out=gram))
        pf, diagonal = p @ f, p.diagonal().clone()
        # P S = P diag(1 - scale) + (P F) (F M)^T diag(scale)
        of_ps = diagonal * (1 - scale) + (pf * fm).sum(1) * scale
        mu = (1 + align * of_ps) / diagonal
        weights = p.mul_(align * (1 - scale) - mu).addmm_(pf, (fm * scale[:, None]).T, alpha=align)
        weights.fill_diagonal_(0)
        return weights.float().numpy()
