"""The item co-occurrence graph of training sequences and its Laplacian (METHOD.md A.4 step 2; our reading)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from engine.data import Sequences
from engine.spec import Graph

Matrix = sparse.csr_array


def cooccurrence(train: Sequences, n_items: int, graph: Graph) -> Matrix:
    """A [n x n] symmetric, non-negative, empty diagonal.

    With a window w the count of (a, b) is the number of pairs of positions at most w apart in one
    training history that hold a and b; over the whole history it is the number of histories that hold
    both (R^T R). Weights are the counts c, 1, or log(1 + c). With `top_k` each item keeps its
    strongest neighbours G (ties: the earlier item) and A = (G + G^T) / 2.
    """
    counts = _whole_history(train, n_items) if graph.window is None else _windowed(train, n_items, graph.window)
    counts.setdiag(0)
    counts.eliminate_zeros()
    if graph.weight == "binary":
        counts.data[:] = 1.0
    elif graph.weight == "log":
        counts.data = np.log1p(counts.data)
    if graph.top_k is not None:
        counts = _strongest(counts, graph.top_k)
        counts = ((counts + counts.T) / 2).tocsr()
    return counts


def _windowed(train: Sequences, n_items: int, window: int) -> Matrix:
    owner = np.repeat(np.arange(len(train)), np.diff(train.offsets))
    total = Matrix((n_items, n_items), dtype=np.float64)
    for distance in range(1, window + 1):
        same = owner[:-distance] == owner[distance:]
        a, b = train.items[:-distance][same], train.items[distance:][same]
        pairs = sparse.coo_array((np.ones(len(a)), (a, b)), shape=(n_items, n_items)).tocsr()
        total = total + pairs
    return Matrix(total + total.T)


def _whole_history(train: Sequences, n_items: int) -> Matrix:
    owner = np.repeat(np.arange(len(train)), np.diff(train.offsets))
    seen = sparse.coo_array((np.ones(len(owner)), (owner, train.items)), shape=(len(train), n_items)).tocsr()
    seen.data[:] = 1.0  # a repeated item counts once per history
    return Matrix(seen.T @ seen)


def _strongest(weights: Matrix, k: int) -> Matrix:
    """The k largest entries of each row."""
    entries = weights.tocoo()
    row, column = entries.coords
    order = np.lexsort((column, -entries.data, row))
    starts = np.searchsorted(row[order], np.arange(weights.shape[0]))
    place = np.arange(len(order)) - starts[row[order]]
    kept = order[place < k]
    return sparse.coo_array((entries.data[kept], (row[kept], column[kept])), shape=weights.shape).tocsr()


def normalized_adjacency(adjacency: Matrix) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    """A_hat = D^{-1/2} A D^{-1/2} [n x n], and which items have any edge [n].

    The Laplacian is L = diag(connected) - A_hat: an isolated (cold) item has L_ii = 0 and bears no
    penalty, as in scipy, unlike I - A_hat taken literally.
    """
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    connected = degree > 0
    scale = np.zeros_like(degree)
    scale[connected] = degree[connected] ** -0.5
    half = sparse.diags_array(scale)
    return Matrix(half @ adjacency @ half), connected


def laplacian_product(adjacency: Matrix, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """L x [n x m] for the normalised Laplacian of the adjacency, without forming L."""
    a_hat, connected = normalized_adjacency(adjacency)
    product: npt.NDArray[np.float64] = x * connected[:, None] - a_hat @ x
    return product
