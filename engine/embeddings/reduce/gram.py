"""What Rec-PCA needs of a catalogue: X^T X and X^T L X, in one pass over its prepared rows X (docs/method.md A.4, F.6).

Products are formed in float32 for a block of rows at a time and added up in float64. Of a small catalogue
(`PreparedRows.exact`) all is float64. Memory does not grow with the number of items, but for a few numbers per item.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from engine.embeddings.graph.cooccurrence import Matrix
from engine.embeddings.graph.laplacian import Laplacian
from engine.embeddings.rows import Array, IntArray, PreparedRows

_CACHE = 1 << 27
"""Numbers of the rows that stay in memory, those of the items with most links (512 MiB); twice as many where edges
count at both ends."""
_COLUMNS = 96
"""Columns of the kept rows that are added up at once: of so few, more rows stay in the processor's cache."""
_FETCH = 1 << 24
"""Numbers of the other rows that are fetched at once (64 MiB)."""
_ENTRIES = 1 << 21
"""Entries of the graph that are looked at at once."""
_FLOPS = 1 / 31
"""Where n D exceeds 31 entries of the graph, half of a D x D product costs more than to add up another row for every
edge (about 100 multiplications take as long as to fetch one number of a row)."""


@dataclass(frozen=True)
class GramSums:
    """Sums over the prepared rows X [n x D] of a catalogue.

    n:         number of rows
    mean:      [D] of the rows: where they are centred but not at unit length, zero to rounding
    gram:      X^T X [D x D]
    roughness: X^T L X [D x D]; None without a graph
    precision: rounding of the products: the machine epsilon of float64, or of float32
    """

    n: int
    mean: Array
    gram: Array
    roughness: Array | None
    precision: float


def gram_sums(rows: PreparedRows, laplacian: Laplacian | None = None, device: str = "cpu") -> GramSums:
    """The sums over all rows; `laplacian` is L [n x n]. Block products are done on `device`, except those of a small
    catalogue.

    With L = diag(d) - A there are two ways to X^T L X, and the cheaper one is taken:

    half:  an edge counts once, at the end that has fewer links. y_i = (d_i / 2) x_i - sum_j a_ij x_j over the
           neighbours j of i with more links, so that few rows are read often, and X^T L X = P + P^T for P = X^T Y
    whole: an edge counts at both ends, Y = L X; X^T Y is symmetric, and only one half of it is computed
    """
    n, d = rows.shape
    if rows.exact is not None:
        x = rows.exact
        roughness = None if laplacian is None else x.T @ laplacian.product(x)
        return GramSums(n, x.mean(axis=0), x.T @ x, roughness, float(np.finfo(np.float64).eps))
    half = laplacian is not None and _FLOPS * n * d < laplacian.links.nnz
    sums = None if laplacian is None else NeighbourSums(rows, laplacian.links, device, half=half)
    mean, gram, product = np.zeros(d), np.zeros((d, d)), np.zeros((d, d))
    for which, block in rows.blocks():
        x_block = block.to(device)
        mean += x_block.sum(dim=0).cpu().numpy()
        gram += _square(x_block)
        if sums is not None and laplacian is not None:
            own = laplacian.diagonal[which] / 2 if half else laplacian.diagonal[which]
            y = sums.add(which, x_block * _column(own, x_block), -1.0)
            product += (x_block.T @ y if half else _upper(x_block, y)).cpu().numpy()
    whole = product + product.T if half else np.triu(product) + np.triu(product, 1).T
    return GramSums(n, mean / n, gram, None if sums is None else whole, float(np.finfo(np.float32).eps))


@dataclass(frozen=True)
class FilteredRows(PreparedRows):
    """X - lambda L X for the prepared rows X: what graph-PCA takes the principal axes of.

    unfiltered: X
    laplacian:  L
    lambda_:    lambda
    """

    unfiltered: PreparedRows
    laplacian: Laplacian
    lambda_: float

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """As of `Rows`."""
        if self.exact is not None:
            yield from super().blocks()
            return
        sums = NeighbourSums(self.unfiltered, self.laplacian.links, "cpu", half=False)
        for which, x in self.unfiltered.blocks():
            diagonal = _column(1 - self.lambda_ * self.laplacian.diagonal[which], x)
            yield which, sums.add(which, x * diagonal, self.lambda_)


def filtered(x: PreparedRows, laplacian: Laplacian, lambda_: float) -> FilteredRows:
    """X - lambda L X, by blocks too."""
    exact = None if x.exact is None else x.exact - lambda_ * laplacian.product(x.exact)
    return FilteredRows(x.vectors, x.mean, x.unit, x.norms, x.lengths, exact, x, laplacian, lambda_)


def _square(x: Tensor) -> npt.NDArray[np.floating]:
    """x^T x. On the CPU by numpy, which sees that it is symmetric and computes one half."""
    if x.device.type != "cpu":
        return (x.T @ x).cpu().numpy()
    rows = x.numpy()
    return np.asarray(rows.T @ rows)


def _upper(x: Tensor, y: Tensor) -> Tensor:
    """The upper triangle of x^T y [D x D], by blocks of columns halved down to 1/16; what is below means nothing."""
    product = torch.zeros(x.shape[1], y.shape[1], dtype=x.dtype, device=x.device)
    _fill_upper(product, x, y, max(96, x.shape[1] // 16))
    return product


def _fill_upper(product: Tensor, x: Tensor, y: Tensor, narrow: int) -> None:
    half = x.shape[1] // 2
    if x.shape[1] <= narrow:
        torch.mm(x.T, y, out=product)
        return
    torch.mm(x[:, :half].T, y[:, half:], out=product[:half, half:])
    _fill_upper(product[:half, :half], x[:, :half], y[:, :half], narrow)
    _fill_upper(product[half:, half:], x[:, half:], y[:, half:], narrow)


def _column(numbers: Array, like: Tensor) -> Tensor:
    """[m x 1], for the rows of a block."""
    return torch.from_numpy(numbers).to(like.device, like.dtype)[:, None]


class NeighbourSums:
    """sum_j a_ij x_j for blocks of items i: A X without X in memory.

    The rows of the items with most links are made once and kept, as many as `_CACHE` allows; the others are
    made whenever they are needed. With `half` an edge counts at one end only, the one with fewer links (of equals, the
    later item): the strict lower triangle of A in the order of falling links.
    """

    def __init__(self, rows: PreparedRows, links: Matrix, device: str, *, half: bool) -> None:
        self._rows, self._links, self._device, self._half = rows, links, device, half
        n, d = rows.shape
        order = np.argsort(-np.diff(links.indptr), kind="stable")
        self._place = np.empty(n, np.int32)
        self._place[order] = np.arange(n, dtype=np.int32)
        self._kept = min(n, max(1, (_CACHE if half else 2 * _CACHE) // d))
        self._tables = [torch.empty(self._kept, len(c), device=device) for c in torch.arange(d).split(_COLUMNS)]
        kept_order = np.sort(order[: self._kept])  # in the order in which they are stored
        for first in range(0, self._kept, max(1, _FETCH // d)):
            items = kept_order[first : first + max(1, _FETCH // d)]
            place = torch.from_numpy(self._place[items]).long().to(device)
            for table, part in zip(self._tables, rows.take(items).to(device).split(_COLUMNS, dim=1), strict=True):
                table.index_copy_(0, place, part)

    def add(self, which: slice, to: Tensor, times: float) -> Tensor:
        """`to` [m x D] float32, to which the sums of consecutive items are added in place, each `times` so much."""
        ends = self._links.indptr[which.start : which.stop + 1].astype(np.int64)
        for first in range(int(ends[0]), int(ends[-1]), _ENTRIES):
            cuts = np.clip(ends, first, min(first + _ENTRIES, int(ends[-1])))
            self._add(to, self._place[which], cuts, times)
        return to

    def _add(self, to: Tensor, own: npt.NDArray[np.int32], cuts: IntArray, times: float) -> None:
        """Add the entries of A from cuts[r] to cuts[r + 1], for each row r of `to` and its place `own[r]`."""
        entries = slice(int(cuts[0]), int(cuts[-1]))
        columns, weights = self._links.indices[entries], self._links.data[entries]
        place = self._place[columns]
        # an entry counts where its place is below
        below = np.repeat(own if self._half else np.full_like(own, len(self._place)), np.diff(cuts))
        starts = cuts[:-1] - cuts[0]
        kept_places = np.flatnonzero(place < np.minimum(below, np.int32(self._kept)))
        self._add_bags(
            to,
            self._tables,
            place.take(kept_places),
            times * weights.take(kept_places),
            np.searchsorted(kept_places, starts),
        )
        others = np.flatnonzero(place >= self._kept)
        others = others[place[others] < below[others]]
        step = max(1, _FETCH // self._rows.shape[1])
        for first in range(0, len(others), step):
            part = others[first : first + step]
            items, index = np.unique(columns[part], return_inverse=True)
            fetched = self._rows.take(items.astype(np.int64)).to(self._device)
            self._add_bags(to, [fetched], index, times * weights.take(part), np.searchsorted(part, starts))

    def _add_bags(
        self,
        to: Tensor,
        tables: list[Tensor],
        index: npt.NDArray[np.integer],
        weights: npt.NDArray[np.floating],
        starts: npt.NDArray[np.intp],
    ) -> None:
        """sum_e weights[e] table[index[e]] for each row's entries, those from starts[r] on; tables hold columns."""
        index_, starts_ = (torch.from_numpy(a.astype(np.int32, copy=False)).to(self._device) for a in (index, starts))
        weights_ = torch.from_numpy(weights.astype(np.float32)).to(self._device)
        for table, columns in zip(tables, to.split(tables[0].shape[1], dim=1), strict=True):
            columns.add_(functional.embedding_bag(index_, table, starts_, mode="sum", per_sample_weights=weights_))
