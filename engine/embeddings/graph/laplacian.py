"""Laplacians of an item graph: normalised, combinatorial, random-walk (docs/method.md A.4 step 2; our reading)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import linalg

from engine.embeddings.graph.cooccurrence import Matrix

Array = npt.NDArray[np.float64]
Kind = Literal["normalized", "combinatorial", "random-walk"]


@dataclass(frozen=True)
class Laplacian:
    """L = diag(diagonal) - links, symmetric.

    diagonal: [n], 0 for an item without edges: its row of L is zero and it bears no penalty
    links:    [n x n] symmetric, non-negative, the pattern of the adjacency
    """

    diagonal: Array
    links: Matrix

    def product(self, x: Array) -> Array:
        """L x [n x m] for x [n x m], without forming L."""
        product: Array = self.diagonal[:, None] * x
        product -= self.links @ x
        return product


def laplacian(adjacency: Matrix, kind: Kind = "normalized") -> Laplacian:
    """The Laplacian of A [n x n] symmetric, non-negative, empty diagonal; d = A 1, D = diag(d), P = D^-1 A.

    normalized:    I - D^-1/2 A D^-1/2. Positive semi-definite, eigenvalues in [0, 2]:
                   I - lambda L is positive semi-definite for lambda <= 1/2.
    combinatorial: (D - A) / lambda_max(D - A). Positive semi-definite, largest eigenvalue 1, so that
                   lambda does not depend on the scale of the weights; I - lambda L is positive
                   semi-definite for lambda <= 1.
    random-walk:   I - (P + P^T) / 2. Its smallest eigenvalue is at most 0, and 0 only where P is doubly
                   stochastic (all degrees equal in each component): in general it is *not* positive
                   semi-definite and the total variation can be negative (a star of m leaves has
                   1 - (sqrt(m) + 1 / sqrt(m)) / 2). On a regular graph it is the normalised one.

    I stands for the diagonal of items with edges. The index arrays of A are shared, not copied.
    """
    degree = np.asarray(adjacency.sum(axis=1), dtype=np.float64).ravel()
    connected = degree > 0
    inverse = np.divide(1.0, degree, out=np.zeros_like(degree), where=connected)
    per_row = np.diff(adjacency.indptr)
    if kind == "combinatorial":
        largest = _largest_eigenvalue(Laplacian(degree, adjacency)) if connected.any() else 1.0
        return Laplacian(degree / largest, _with_data(adjacency, adjacency.data / largest))
    if kind == "normalized":
        root = np.sqrt(inverse)
        data = np.repeat(root, per_row)
        data *= root[adjacency.indices]
        data *= adjacency.data
    else:
        data = np.repeat(inverse, per_row)
        data += inverse[adjacency.indices]
        data *= adjacency.data
        data /= 2
    return Laplacian(connected.astype(np.float64), _with_data(adjacency, data))


def _with_data(adjacency: Matrix, data: Array) -> Matrix:
    return Matrix((data, adjacency.indices, adjacency.indptr), shape=adjacency.shape)


def _largest_eigenvalue(of: Laplacian) -> float:
    """By Lanczos from a fixed start (dense for a handful of items, where ARPACK cannot run)."""
    n = len(of.diagonal)
    if n <= 16:
        return float(np.linalg.eigvalsh(of.product(np.eye(n)))[-1])
    operator = linalg.LinearOperator(
        (n, n), matvec=lambda v: of.product(v.reshape(-1, 1)).ravel(), matmat=of.product, dtype=np.float64
    )
    start = np.random.default_rng(0).standard_normal(n)
    return float(linalg.eigsh(operator, k=1, which="LA", v0=start, tol=1e-6, return_eigenvectors=False)[0])
