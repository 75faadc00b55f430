"""Communities of a large graph by modularity (Louvain: Blondel et al. 2008), in memory of a few numbers per item."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from engine.embeddings.graph.cooccurrence import Matrix
from engine.geometry.graph.links import row_spans
from engine.geometry.graph.modularity import modularity
from engine.geometry.table.rows import Array, IntArray

_ROUNDS = 40
_LARGE = 10_000_000
"""Entries from which on the finest level gets a quarter of the rounds."""


def louvain(adjacency: Matrix, seed: int = 0) -> IntArray:
    """Labels [n] in 0..C-1 of A [n x n] (symmetric, non-negative); an item without edges is alone.

    Levels of local moves and aggregation, as Louvain's, and at last moves of single items again. In a round every
    node of a random half goes to the neighbouring community that gains most, all at once, so that a round is one
    sparse product; the best labels of the rounds are kept. The same seed gives the same labels.
    """
    draw = np.random.default_rng(seed)
    large = adjacency.nnz > _LARGE
    labels = part = _moved(adjacency, np.arange(adjacency.shape[0]), draw, _ROUNDS // 4 if large else _ROUNDS)
    graph = adjacency
    while True:
        graph = _aggregated(graph, part)
        part = _moved(graph, np.arange(graph.shape[0]), draw, _ROUNDS)
        if int(part.max(initial=-1)) + 1 == graph.shape[0]:
            return labels if large else _moved(adjacency, labels, draw, _ROUNDS)
        labels = part[labels]


def _aggregated(graph: Matrix, part: IntArray) -> Matrix:
    """The graph whose nodes are the parts; weight inside a part goes to the diagonal."""
    count = int(part.max(initial=-1)) + 1
    member = _membership(part, count)
    return Matrix(member.T.tocsr() @ (graph @ member))


def _membership(labels: IntArray, count: int) -> Matrix:
    n = len(labels)
    narrow = np.int32  # as the graph's, or products would copy its indices
    return Matrix((np.ones(n), labels.astype(narrow), np.arange(n + 1, dtype=narrow)), shape=(n, count))


def _moved(graph: Matrix, labels: IntArray, draw: np.random.Generator, rounds: int) -> IntArray:
    """The labels [n], from 0 without gaps, after rounds of moves that raise modularity."""
    n = graph.shape[0]
    degrees = np.asarray(graph.sum(axis=1), dtype=np.float64).ravel()
    total = float(degrees.sum())
    if total <= 0:
        return labels
    best = labels
    itself = graph.diagonal()
    without_self = Matrix(graph - sparse.diags_array(itself, format="csr")) if itself.any() else graph
    most, still = modularity(graph, labels), 0
    for _ in range(rounds):
        some = np.flatnonzero(draw.random(n) < 0.5)
        target, gain = _best_moves(without_self, some, labels, degrees)
        moving = gain > 1e-12 * total
        labels = labels.copy()
        labels[some[moving]] = target[moving]
        reached = modularity(graph, labels)
        still = 0 if reached > most + 1e-5 else still + 1
        if reached > most:
            most, best = reached, labels
        if still >= 4:
            break
    return np.unique(best, return_inverse=True)[1]


def _best_moves(graph: Matrix, nodes: IntArray, labels: IntArray, degrees: Array) -> tuple[IntArray, Array]:
    """The neighbouring community with the largest gain for each of the nodes [m], and the gain over staying.

    The weight to a community d less what chance gives, k_i S_d / 2m, is compared; S_d without i itself.
    """
    n, total = len(labels), float(degrees.sum())
    size, member = np.bincount(labels, degrees, n), _membership(labels, n)
    gain, target = np.zeros(len(nodes)), labels[nodes]
    for first, last in row_spans(graph):
        part = slice(*np.searchsorted(nodes, (first, last)))
        if part.start == part.stop:
            continue
        rows = nodes[part]
        links = Matrix(graph[rows] @ member)
        row = np.repeat(np.arange(len(rows)), np.diff(links.indptr))
        degree, own = degrees[rows], links.indices == labels[rows][row]
        value = links.data - degree[row] * (size[links.indices] - np.where(own, degree[row], 0.0)) / total
        stay = -degree * (size[labels[rows]] - degree) / total
        stay[row[own]] = value[own]
        some = np.flatnonzero(np.diff(links.indptr))
        if not len(some):
            continue
        most = np.full(len(rows), -np.inf)
        most[some] = np.maximum.reduceat(value, links.indptr[some])
        at = np.flatnonzero(value == most[row])[::-1]  # among equals the first in the row is written last
        target[part.start + row[at]] = links.indices[at]
        gain[part.start + some] = (most - stay)[some]
    return target, gain
