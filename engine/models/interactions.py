"""The interactions of histories as a sparse matrix, and its products."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from engine.data import Sequences

_CELLS = 1 << 26  # of a block of a dense matrix that is made sparse row by row


def interactions(histories: Sequences, n_items: int, dtype: type[np.floating] = np.float64) -> sparse.csr_array:
    """X [histories, items]: 1 where an item is in the history, however often."""
    ones = np.ones(len(histories.items), dtype)
    shape = len(histories), n_items
    x = sparse.csr_array((ones, histories.items, histories.offsets), shape=shape, copy=True)  # it is sorted in place
    x.sum_duplicates()
    x.data[:] = 1
    return x


def dense_gram(x: sparse.csr_array) -> Tensor:
    """X^T X [items, items] of X [users, items] in X's precision, dense, made in blocks of columns."""
    n_items = x.shape[1]
    whole = np.empty((n_items, n_items), x.dtype)
    transposed, columns = x.T.tocsr(), x.tocsc()
    step = max(1, _CELLS // n_items)
    for first in range(0, n_items, step):
        part = slice(first, first + step)
        whole[:, part] = (transposed @ columns[:, part]).toarray()
    return torch.from_numpy(whole)
