"""The user-item graph of the training interactions, and propagation over it that never makes it dense."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from engine.data import Sequences
from engine.data.arrays import IntArray


class BipartiteGraph:
    """Users on one side, items on the other; an edge where the user has consumed the item, however often.

    users, items: [E] the edges, sorted by user, then item
    offsets:      [users + 1] where each user's edges begin
    """

    def __init__(self, train: Sequences, n_items: int) -> None:
        n_users = len(train)
        owner = np.repeat(np.arange(n_users), np.diff(train.offsets))
        edges = np.unique(owner * n_items + train.items)
        self.n_users, self.n_items = n_users, n_items
        self.users: IntArray = edges // n_items
        self.items: IntArray = edges % n_items
        degrees = np.bincount(self.users, minlength=n_users)
        self.offsets: IntArray = np.concatenate([[0], np.cumsum(degrees)])
        # The r-th item without an edge is r + (how many consumed items i_j, ascending, have i_j - j <= r).
        nth = np.arange(len(self.items)) - self.offsets[self.users]
        self._gaps: IntArray = self.users * (n_items + 1) + (self.items - nth)

    def symmetric(self, like: Tensor) -> Links:
        """D_u^-1/2 B D_i^-1/2 with B [users, items] the edges and D the degrees (docs/method.md); device and dtype are
        those of `like`."""
        of_users, of_items = np.bincount(self.users), np.bincount(self.items)
        return self._links(1 / np.sqrt(of_users[self.users] * of_items[self.items]), like)

    def mean(self, like: Tensor) -> Links:
        """D_u^-1 B: the mean of each user's items; zero for users without any."""
        return self._links(1 / np.diff(self.offsets)[self.users], like)

    def draw_edges(self, n: int, generator: np.random.Generator) -> IntArray:
        """[n] edges: of a user that is drawn uniformly among those who have one, uniformly (with replacement)."""
        degrees = np.diff(self.offsets)
        users = generator.choice(np.flatnonzero(degrees), n)
        drawn: IntArray = self.offsets[users] + generator.integers(0, degrees[users])
        return drawn

    def draw_negatives(self, users: IntArray, targets: IntArray, k: int, generator: np.random.Generator) -> IntArray:
        """[N, k] items for each pair of user and target, uniform over those without an edge to the user, each draw by
        itself (with replacement). Of a user who has consumed everything: over the other items than the target."""
        free = self.n_items - np.diff(self.offsets)[users]
        full = free == 0
        drawn: IntArray = generator.integers(0, np.where(full, self.n_items - 1, free)[:, None], (len(users), k))
        before = np.searchsorted(self._gaps, users[:, None] * (self.n_items + 1) + drawn, side="right")
        missing = drawn + before - self.offsets[users][:, None]
        return np.where(full[:, None], drawn + (drawn >= targets[:, None]), missing)

    def _links(self, weights: np.ndarray[Any, Any], like: Tensor) -> Links:
        order = np.argsort(self.items, kind="stable")
        size = self.n_users, self.n_items
        degrees = np.diff(self.offsets), np.bincount(self.items, minlength=self.n_items)
        return Links(
            _sparse(self.users, self.items, weights, size, like),
            _sparse(self.items[order], self.users[order], weights[order], size[::-1], like),
            *(torch.from_numpy(of).to(like.device, like.dtype)[:, None] for of in degrees),
        )


def _sparse(
    rows: IntArray, columns: IntArray, weights: np.ndarray[Any, Any], size: tuple[int, ...], like: Tensor
) -> Tensor:
    """A sparse matrix of entries that are sorted by row. Its indices have 32 bits, which halves their memory, unless
    there are more entries than they count."""
    begins = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=size[0]))])
    index = np.int32 if max(len(rows), *size) <= np.iinfo(np.int32).max else np.int64
    parts = (torch.from_numpy(begins.astype(index)), torch.from_numpy(columns.astype(index)), torch.from_numpy(weights))
    with warnings.catch_warnings():  # torch calls its compressed rows a beta; what is used of them here is tested
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(*parts, size, check_invariants=True).to(like.device, like.dtype)


@dataclass(frozen=True)
class Links:
    """A sparse matrix A [users, items] between the two sides, with its transpose, which makes the gradients; and how
    many edges each user [users, 1] and each item [items, 1] has."""

    matrix: Tensor
    transposed: Tensor
    user_degrees: Tensor
    item_degrees: Tensor

    def csr(self) -> sparse.csr_array:
        """A for scipy, in float64."""
        matrix = self.matrix.detach().cpu()
        parts = (matrix.values().double().numpy(), matrix.col_indices().numpy(), matrix.crow_indices().numpy())
        return sparse.csr_array(parts, shape=(matrix.shape[0], matrix.shape[1]))

    def to_users(self, items: Tensor) -> Tensor:
        """A x [users, d] for x [items, d], differentiable in x."""
        return _product(self.matrix, self.transposed, items)

    def to_items(self, users: Tensor) -> Tensor:
        """A^T x [items, d] for x [users, d], differentiable in x."""
        return _product(self.transposed, self.matrix, users)


class _Product(torch.autograd.Function):
    """A x with the gradient A^T g, by the transpose that is there: torch would make one for each step."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
        ctx.matrices = matrix, transposed
        product: Tensor = torch.sparse.mm(matrix, x)
        return product

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[None, None, Tensor]:
        matrix, transposed = ctx.matrices
        return None, None, _product(transposed, matrix, upstream[0].contiguous())


def _product(matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
    product: Tensor = _Product.apply(matrix, transposed, x)  # type: ignore[no-untyped-call]
    return product
