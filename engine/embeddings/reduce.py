"""PCA and Rec-PCA in closed form (METHOD.md A.4 step 3 and F.6; our reading of TF-LLMER).

    max_W tr(W^T S W),  W^T W = I_k,  S = X^T X - lambda X^T L X

By Ky Fan the optimum is the sum of the k largest eigenvalues of S and W holds their eigenvectors;
lambda = 0 is plain PCA of the given rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from engine.embeddings.laplacian import Laplacian
from engine.spec import UserError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reduction:
    """A linear map with orthonormal columns and what it keeps.

    w:           [D x k], columns by falling eigenvalue, each with its largest entry positive
    eigenvalues: [k] of S, falling; their sum is the objective
    positive:    number of positive eigenvalues of S among all D (fewer than k: lambda is too large)
    retained:    V / tr(X^T X), the share of variance that Z = X W keeps
    tv_ratio:    T / V = tr(Z^T L Z) / tr(Z^T Z), the smoothness of Z on the graph; None without a graph
    """

    w: Array
    eigenvalues: Array
    positive: int
    retained: float
    tv_ratio: float | None

    @property
    def objective(self) -> float:
        """tr(W^T S W)."""
        return float(self.eigenvalues.sum())


def rec_pca(x: Array, k: int, laplacian: Laplacian | None = None, lambda_: float = 0.0) -> Reduction:
    """Top-k eigenvectors of X^T X - lambda X^T L X for X [n x D] (already centred, if it is to be).

    `laplacian` is L of the item graph [n x n]; without it the result is plain PCA.
    Raises UserError when k exceeds D. Cost: one D x D symmetric eigenproblem and a sparse product.
    """
    n, d = x.shape
    if k > d:
        raise UserError(f"cannot reduce vectors of {d} dimensions to {k}: set backbone.width to at most {d}")
    gram = x.T @ x
    roughness = None if laplacian is None else x.T @ laplacian.product(x)
    s = gram if roughness is None else gram - lambda_ * roughness
    values, vectors = linalg.eigh((s + s.T) / 2)
    w = fix_signs(vectors[:, ::-1][:, :k])
    variance = float(np.einsum("dk,de,ek->", w, gram, w, optimize=True))
    variation = None if roughness is None else float(np.einsum("dk,de,ek->", w, roughness, w, optimize=True))
    total = float(np.trace(gram))
    floor = max(n, d) * np.finfo(np.float64).eps * float(np.abs(values).max(initial=0.0))
    return Reduction(
        w=w,
        eigenvalues=values[::-1][:k].copy(),
        positive=int((values > floor).sum()),
        retained=variance / total if total > 0 else 0.0,
        tv_ratio=None if variation is None else variation / variance if variance > 0 else 0.0,
    )


def fix_signs(w: Array) -> Array:
    """An eigenvector's sign is arbitrary: make the entry of largest size positive, so that results repeat."""
    largest = np.abs(w).argmax(axis=0)
    return np.ascontiguousarray(w * np.where(w[largest, np.arange(w.shape[1])] < 0, -1.0, 1.0))
