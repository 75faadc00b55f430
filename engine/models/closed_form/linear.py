"""Models whose scores are x W: x [items] is 1 at what a case's history holds, W [items, items] is what is fitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from engine.data import Sequences
from engine.data.arrays import FloatArray, IntArray
from engine.data.cases import Cases
from engine.models.base import Scorer
from engine.models.interactions import interactions

Weights: TypeAlias = FloatArray | sparse.csr_array
"""[items, items], float32."""

_MANY = 0.25  # a matrix with more than this share of its entries is smaller and faster as a dense one


class LinearModel(ABC):
    """Base of the models with an item-to-item matrix; see `Fitted`."""

    def __init__(self, train: Sequences, n_items: int) -> None:
        self.train, self.n_items = train, n_items
        self._weights: Weights | None = None

    @abstractmethod
    def solve(self) -> Weights:
        """W of the training histories. Entry (i, j) is what item i of a history says for item j."""

    def fit(self) -> None:
        """See `Fitted`."""
        self._weights = self.solve()

    def scorer(self) -> Scorer:
        """See `Fitted`. Raises ValueError before `fit`."""
        if self._weights is None:
            raise ValueError("not fitted yet")
        return LinearScorer(self._weights)


@dataclass(frozen=True)
class LinearScorer:
    """x W for the history of each case. A test case counts its validation item, as for sequential models."""

    weights: Weights

    def scores(self, cases: Cases) -> Tensor:
        """See `Scorer`."""
        return product(interactions(cases.history, self.weights.shape[0], np.float32), self.weights)


def gram(x: sparse.csr_array) -> Weights:
    """X^T X [items, items] of X [users, items], float32, sparse where most of it is zero."""
    counts = sparse.csr_array(x.T.tocsr().astype(np.float32) @ x.astype(np.float32))
    if counts.nnz > _MANY * counts.shape[0] * counts.shape[1]:
        dense: FloatArray = counts.toarray()
        return dense
    return counts


def entries(matrix: Weights, rows: IntArray, columns: IntArray) -> npt.NDArray[np.float32]:
    """[N] the entries at (rows [N], columns [N])."""
    values: Any = cast(Any, matrix)[rows, columns]  # the stubs of scipy know no index arrays
    return np.asarray(cast(Any, values).toarray() if sparse.issparse(values) else values, np.float32).ravel()


def product(x: sparse.csr_array, weights: Weights) -> Tensor:
    """X W [B, items], dense."""
    scores = x @ weights
    return torch.from_numpy(scores.toarray() if sparse.issparse(scores) else scores)


def dense_rows(matrix: Weights, first: int, last: int) -> Tensor:
    """Rows first .. last - 1."""
    rows = matrix[first:last]
    return torch.from_numpy(rows.toarray() if sparse.issparse(rows) else np.ascontiguousarray(rows))
