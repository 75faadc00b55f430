"""The leading singular values and vectors of a sparse matrix, exactly, and its normalisation by degrees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from scipy.sparse.linalg import svds

from engine.models.interactions import dense_gram

Floats = npt.NDArray[np.float64]

_SMALL = 1000  # up to so many items the whole spectrum costs less than the leading part of it
_FLAT = 1e-6  # a singular value below this share of the largest is rounding


def normalised(x: sparse.csr_array, shift: float, power: float) -> tuple[sparse.csr_array, Floats, Floats]:
    """(D_u + shift)^-power X (D_i + shift)^-power of X [users, items], with the two diagonals; 0 where D + shift is 0.

    D are the degrees: sums of X's rows and of its columns.
    """
    of_users, of_items = (_inverse(np.asarray(x.sum(axis), np.float64).ravel() + shift, power) for axis in (1, 0))
    return sparse.csr_array(sparse.diags_array(of_users) @ x @ sparse.diags_array(of_items)), of_users, of_items


def leading(x: sparse.csr_array, k: int) -> tuple[Floats, Floats]:
    """(sigma [r], V [items, r]) of X = U diag(sigma) V^T, the largest first; r = k, or fewer where X has a lower rank.

    By Lanczos iterations from a fixed vector (ARPACK), so two calls give the same; small matrices by X^T X.
    """
    n_items = x.shape[1]
    k = min(k, *x.shape)
    if n_items <= _SMALL or 2 * k >= min(x.shape):
        values, vectors = torch.linalg.eigh(dense_gram(x.astype(np.float64)))
        sigma, v = values[-k:].clamp(min=0).sqrt().numpy()[::-1], vectors[:, -k:].numpy()[:, ::-1]
    else:
        _, sigma, transposed = svds(x.astype(np.float64), k, v0=np.ones(min(x.shape)))
        order = np.argsort(-sigma)
        sigma, v = sigma[order], transposed[order].T
    is_kept = sigma > _FLAT * sigma.max(initial=0)
    return np.ascontiguousarray(sigma[is_kept]), np.ascontiguousarray(v[:, is_kept])


def _inverse(degrees: Floats, power: float) -> Floats:
    inverse = np.zeros(len(degrees))
    np.power(degrees, -power, out=inverse, where=degrees > 0)
    return inverse
