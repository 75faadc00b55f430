"""PCA and Rec-PCA in closed form (docs/method.md A.4 step 3 and F.6; our reading of TF-LLMER).

    max_W tr(W^T S W),  W^T W = I_k,  S = X^T X - lambda X^T L X

By Ky Fan the optimum is the sum of the k largest eigenvalues of S and W holds their eigenvectors;
lambda = 0 is plain PCA of the given rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from engine.embeddings.reduce.gram import GramSums
from engine.errors import UserError

Array = npt.NDArray[np.float64]

WHOLE = 1024
"""Up to this D all eigenvectors are computed; beyond, the k wanted ones and the signs of the others."""


@dataclass(frozen=True)
class Reduction:
    """A linear map with orthonormal columns and what it keeps.

    w:           [D x k], columns by falling eigenvalue, each with its largest entry positive
    eigenvalues: [k] of S, falling; their sum is the objective
    positive:    number of positive eigenvalues of S among all D (fewer than k: lambda is too large)
    variance:    V = tr(Z^T Z) of Z = X W
    retained:    V / tr(X^T X), the share of variance that Z keeps
    variation:   T = tr(Z^T L Z); None without a graph
    """

    w: Array
    eigenvalues: Array
    positive: int
    variance: float
    retained: float
    variation: float | None

    @property
    def tv_ratio(self) -> float | None:
        """T / V, the smoothness of Z on the graph; None without a graph."""
        if self.variation is None:
            return None
        return self.variation / self.variance if self.variance > 0 else 0.0


def rec_pca(of: GramSums, k: int, lambda_: float = 0.0) -> Reduction:
    """Top-k eigenvectors of S = X^T X - lambda X^T L X (X already centred, if it is to be).

    Without the graph's roughness X^T L X the result is plain PCA. Raises UserError when k exceeds D.
    Cost: one symmetric eigenproblem, D x D.
    """
    d = len(of.gram)
    if k > d:
        raise UserError(f"cannot reduce vectors of {d} dimensions to {k}: set backbone.width to at most {d}")
    s = of.gram if of.roughness is None else of.gram - lambda_ * of.roughness
    values, vectors, positive = _leading((s + s.T) / 2, k, of)
    w = fix_signs(vectors)
    variance = _inside(of.gram, w)
    total = float(np.trace(of.gram))
    return Reduction(
        w=w,
        eigenvalues=values,
        positive=positive,
        variance=variance,
        retained=variance / total if total > 0 else 0.0,
        variation=None if of.roughness is None else _inside(of.roughness, w),
    )


def _inside(matrix: Array, w: Array) -> float:
    """tr(W^T M W)."""
    return float(np.einsum("dk,de,ek->", w, matrix, w, optimize=True))


def _leading(s: Array, k: int, of: GramSums) -> tuple[Array, Array, int]:
    """The k largest eigenvalues of S, falling, their vectors, and how many of all D are positive beyond rounding."""
    d = len(s)
    if d <= WHOLE:
        values, vectors = linalg.eigh(s)
        floor = _rounding(of) * float(np.abs(values).max(initial=0.0))
        return values[::-1][:k].copy(), vectors[:, ::-1][:, :k], int((values > floor).sum())
    values, vectors = linalg.eigh(s, subset_by_index=[d - k, d - 1])
    floor = _rounding(of) * float(np.abs(s).sum(axis=0).max())  # at least the largest eigenvalue by size
    blocks = linalg.ldl(s - floor * np.eye(d))[1]  # has as many positive eigenvalues as S - floor I (Sylvester)
    signs = linalg.eigvalsh_tridiagonal(np.diag(blocks).copy(), np.diag(blocks, -1).copy())
    return values[::-1].copy(), vectors[:, ::-1], int((signs > 0).sum())


def _rounding(of: GramSums) -> float:
    """An eigenvalue below this share of the largest is zero to rounding."""
    in_float32 = of.precision > np.finfo(np.float64).eps
    return of.precision if in_float32 else max(of.n, len(of.gram)) * of.precision


def fix_signs(w: Array) -> Array:
    """An eigenvector's sign is arbitrary: make the entry of largest size positive, so that results repeat."""
    largest = np.abs(w).argmax(axis=0)
    return np.ascontiguousarray(w * np.where(w[largest, np.arange(w.shape[1])] < 0, -1.0, 1.0))
