"""GDE: smooth and rough eigenvectors instead of layers (Peng et al., SIGIR 2022; docs/method.md B.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from engine import spec
from engine.models.bipartite import Links
from engine.models.dropout import Dropout
from engine.models.singular import Floats, leading

_SMALL = 1000
"""Up to so many nodes of a side the whole spectrum costs less than its lower end."""


class GDEPropagation(nn.Module):
    """E_u <- V_u diag(e^(beta lambda)) V_u^T E_u over users, the same over items: V are eigenvectors of
    A_U = R R^T and A_I = R^T R, R = D_u^-1/2 B D_i^-1/2, those of the largest eigenvalues (smooth) and of the smallest
    (rough), a share of the nodes each. Nothing of it is trained."""

    def __init__(self, settings: spec.GDE) -> None:
        super().__init__()
        self._settings = settings
        self.dropout = Dropout(settings.dropout)
        self._filters: tuple[SpectralFilter, SpectralFilter] | None = None

    def propagate(self, links: Links, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `Propagation`."""
        of_users, of_items = self._filters_of(links)
        return of_users.apply(self.dropout(users)), of_items.apply(self.dropout(items))

    def _filters_of(self, links: Links) -> tuple[SpectralFilter, SpectralFilter]:
        """Decomposed once: one model sees one graph."""
        filters = self._decomposed(links) if self._filters is None else self._filters
        if not filters[0].like(links.matrix):
            filters = filters[0].to(links.matrix), filters[1].to(links.matrix)
        self._filters = filters
        return filters

    def _decomposed(self, links: Links) -> tuple[SpectralFilter, SpectralFilter]:
        """R = U diag(sigma) V^T: the eigenvectors of A_U are U, those of A_I are V, the eigenvalues sigma^2."""
        r = links.csr()
        counts = [max(1, round(self._settings.smooth_ratio * n)) for n in r.shape]
        sigma, v = leading(r, max(counts))
        of_users, of_items = sparse.csr_array(r.T), r
        return (
            self._filter(of_users, sigma[: counts[0]], (r @ v / sigma)[:, : counts[0]]),
            self._filter(of_items, sigma[: counts[1]], v[:, : counts[1]]),
        )

    def _filter(self, r: sparse.csr_array, sigma: Floats, smooth: Floats) -> SpectralFilter:
        """Of the n nodes of R [m, n], whose smooth eigenvectors are given."""
        n = r.shape[1]
        values, vectors = sigma**2, smooth
        if count := min(round(self._settings.rough_ratio * n), n - len(values)):
            low, rough = smallest(r, count)
            values, vectors = np.concatenate([values, low]), np.concatenate([vectors, rough], axis=1)
        return SpectralFilter(torch.from_numpy(vectors), torch.from_numpy(np.exp(self._settings.beta * values)))


@dataclass(frozen=True)
class SpectralFilter:
    """V diag(weights) V^T for orthonormal V [n, k]."""

    vectors: Tensor
    weights: Tensor

    def apply(self, rows: Tensor) -> Tensor:
        """Rows [n, d] filtered."""
        return self.vectors @ (self.weights[:, None] * (self.vectors.T @ rows))

    def like(self, other: Tensor) -> bool:
        """Whether it has the device and precision of the other."""
        return (self.vectors.device, self.vectors.dtype) == (other.device, other.dtype)

    def to(self, other: Tensor) -> SpectralFilter:
        """On the device and in the precision of the other."""
        return SpectralFilter(*(each.to(other.device, other.dtype) for each in (self.vectors, self.weights)))


def smallest(r: sparse.csr_array, count: int) -> tuple[Floats, Floats]:
    """(values [count] rising, vectors [n, count]) of the smallest eigenvalues of R^T R, for R [m, n] with singular
    values of at most 1: the largest of I - R^T R."""
    n = r.shape[1]
    if n <= _SMALL or 3 * count >= n:
        values, vectors = np.linalg.eigh((r.T @ r).toarray())
        return values[:count].clip(min=0), vectors[:, :count]

    def multiply(x: Any) -> Any:
        return x - r.T @ (r @ x)

    operator = LinearOperator((n, n), matvec=multiply, matmat=multiply, dtype=np.float64)
    values, vectors = eigsh(operator, k=count, which="LA", v0=np.random.default_rng(0).standard_normal(n), tol=1e-6)
    order = np.argsort(-values)
    return (1 - values[order]).clip(min=0), vectors[:, order]
