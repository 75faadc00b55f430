"""The item co-occurrence graph of training histories (docs/method.md A.4 step 2; our reading).

Nothing here is quadratic in users or items. Memory is bounded by the distinct pairs of the result:
with a window of w at most w times the interactions; over whole histories at most the sum of squared
history lengths, or n * top_k where neighbours are cut (`_MOST` entries otherwise, then it refuses).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import sparse

from engine.data import Sequences
from engine.errors import UserError
from engine.spec import HistoryGraph

Matrix = sparse.csr_array
Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_PAIRS = 1 << 23
"""Pairs held at once while counting (64 MiB of keys)."""
_MOST = 1 << 29
"""Entries of a graph over whole histories without top_k (6 GiB in CSR)."""


def cooccurrence(train: Sequences, n_items: int, graph: HistoryGraph) -> Matrix:
    """A [n x n] symmetric, non-negative, empty diagonal.

    With a window w the count c_ab is the number of pairs of positions at most w apart in one training
    history that hold a and b, a != b; over the whole history it is the number of histories that hold
    both (R^T R). Weights of a count:

        count   c_ab
        binary  1
        log     log(1 + c_ab)
        ppmi    max(0, log(c_ab s / (s_a s_b))),  s_a = sum_b c_ab,  s = sum_a s_a
        cosine  c_ab / sqrt(c_a c_b),  c_a the positions (whole history: the histories) that hold a;
                over whole histories this is the cosine of two columns of R

    With `top_k` each item keeps its strongest neighbours G (ties: the earlier item) and
    A = (G + G^T) / 2. Raises UserError when a whole-history graph would not fit into memory.
    """
    blocks, pairs, held = (_whole_history if graph.window is None else _windowed)(train, n_items, graph)
    parts = []
    entries = 0
    for first, rows in blocks:
        _weigh(rows, first, graph, pairs, held)
        parts.append(rows if graph.top_k is None else _strongest(rows, graph.top_k))
        entries += parts[-1].nnz
        if entries > _MOST and graph.window is None:
            raise UserError(
                f"embedding.reduce.graph: over whole histories more than {_MOST // 2:,} pairs of items co-occur; "
                "set embedding.reduce.graph.top_k or embedding.reduce.graph.window"
            )
    adjacency = parts[0] if len(parts) == 1 else Matrix(sparse.vstack(parts, format="csr"))
    return adjacency if graph.top_k is None else Matrix((adjacency + adjacency.T) / 2)


_Counted = tuple[Iterator[tuple[int, Matrix]], Array, Array]
"""Blocks of rows of the counts with their first row, s_a [n] and c_a [n]."""


def _windowed(train: Sequences, n_items: int, graph: HistoryGraph) -> _Counted:
    upper = Matrix((n_items, n_items), dtype=np.float64)
    pending: list[IntArray] = []
    n_pending = 0
    for keys in _window_keys(train, n_items, graph.window or 1):
        pending.append(keys)
        n_pending += len(keys)
        if n_pending >= max(_PAIRS, upper.nnz):  # as much again as is there: adding stays linear in all
            upper = Matrix(upper + _counted(np.concatenate(pending), n_items))
            pending, n_pending = [], 0
    upper = Matrix(upper + _counted(np.concatenate([*pending, np.empty(0, np.int64)]), n_items))
    counts = Matrix(upper + upper.T)
    del upper
    occurrences = np.bincount(train.items, minlength=n_items).astype(np.float64)
    blocks = iter([(0, counts)]) if graph.top_k is None else _row_blocks(counts)
    return blocks, np.asarray(counts.sum(axis=1), dtype=np.float64).ravel(), occurrences


def _window_keys(train: Sequences, n_items: int, window: int) -> Iterator[IntArray]:
    """lower * n + higher of every pair of different items at most `window` apart."""
    owner = np.repeat(np.arange(len(train), dtype=np.int32), np.diff(train.offsets))
    for start in range(0, len(owner), _PAIRS // 4):
        for distance in range(1, window + 1):
            stop = min(start + _PAIRS // 4, len(owner) - distance)
            if stop <= start:
                break
            a, b = train.items[start:stop], train.items[start + distance : stop + distance]
            counts = (owner[start:stop] == owner[start + distance : stop + distance]) & (a != b)
            a, b = a[counts], b[counts]
            yield np.minimum(a, b) * n_items + np.maximum(a, b)


def _counted(keys: IntArray, n_items: int) -> Matrix:
    """How often each key occurs, as a matrix; the keys are sorted in place."""
    keys.sort()
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    counts = np.diff(starts, append=len(keys)).astype(np.float64)
    return from_keys(keys[starts], counts, n_items)


def from_keys(keys: IntArray, data: Array, n_items: int) -> Matrix:
    """The matrix [n x n] with data[e] at row keys[e] // n, column keys[e] % n; the keys rise strictly."""
    index = np.int32 if max(len(keys), n_items) < 2**31 else np.int64
    edges = np.searchsorted(keys, np.arange(n_items + 1, dtype=np.int64) * n_items).astype(index)
    return Matrix((data, (keys % n_items).astype(index), edges), shape=(n_items, n_items))


def _whole_history(train: Sequences, n_items: int, graph: HistoryGraph) -> _Counted:
    owner = np.repeat(np.arange(len(train)), np.diff(train.offsets))
    interactions = sparse.coo_array((np.ones(len(owner)), (owner, train.items)), shape=(len(train), n_items)).tocsr()
    interactions.data[:] = 1.0  # a repeated item counts once per history
    by_item = Matrix(interactions.T.tocsr())
    lengths = np.diff(interactions.indptr).astype(np.float64)
    pairs = np.asarray(by_item @ (lengths - 1), dtype=np.float64)
    histories = np.diff(by_item.indptr).astype(np.float64)

    def blocks() -> Iterator[tuple[int, Matrix]]:
        # a row has at most n entries, and at most one for each item of each history that holds it
        bound = np.minimum(np.asarray(by_item @ lengths, dtype=np.float64), n_items)
        for first, last in _spans(bound):
            rows = Matrix(by_item[first:last] @ interactions)
            rows.sort_indices()
            yield first, _without_diagonal(rows, first)

    return blocks(), pairs, histories


def _without_diagonal(rows: Matrix, first: int) -> Matrix:
    row = np.repeat(np.arange(first, first + rows.shape[0]), np.diff(rows.indptr))
    rows.data[rows.indices == row] = 0.0
    rows.eliminate_zeros()
    return rows


def _row_blocks(matrix: Matrix) -> Iterator[tuple[int, Matrix]]:
    for first, last in _spans(np.diff(matrix.indptr).astype(np.float64)):
        yield first, Matrix(matrix[first:last])


def _spans(sizes: Array) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of rows of about `_PAIRS` entries each, at least one row."""
    block = (np.cumsum(sizes) // _PAIRS).astype(np.int64)
    cuts = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(sizes)]
    yield from itertools.pairwise(cuts)


def _weigh(rows: Matrix, first: int, graph: HistoryGraph, pairs: Array, held: Array) -> None:
    """Turn counts into weights, in place."""
    if graph.weight == "binary":
        rows.data[:] = 1.0
    elif graph.weight == "log":
        np.log1p(rows.data, out=rows.data)
    elif graph.weight in ("ppmi", "cosine"):
        size = pairs if graph.weight == "ppmi" else np.sqrt(held)
        # the product first: it is the same number for (a, b) and (b, a)
        rows.data /= np.repeat(size[first : first + rows.shape[0]], np.diff(rows.indptr)) * size[rows.indices]
    if graph.weight == "ppmi":
        rows.data *= pairs.sum()
        np.log(rows.data, out=rows.data)
        np.maximum(rows.data, 0.0, out=rows.data)
        rows.eliminate_zeros()


def _strongest(rows: Matrix, k: int) -> Matrix:
    """The k largest entries of each row, among equals those of earlier items (column indices are sorted)."""
    is_kept = np.ones(rows.nnz, np.bool_)
    for row in np.flatnonzero(np.diff(rows.indptr) > k):
        start, stop = rows.indptr[row : row + 2]
        data = rows.data[start:stop]
        least = np.partition(data, -k)[-k]
        chosen = is_kept[start:stop]
        np.greater_equal(data, least, out=chosen)
        surplus = int(chosen.sum()) - k
        if surplus:
            chosen[np.flatnonzero(data == least)[-surplus:]] = False
    indptr = np.concatenate([[0], np.cumsum(np.minimum(np.diff(rows.indptr), k))])
    return Matrix((rows.data[is_kept], rows.indices[is_kept], indptr), shape=rows.shape)
