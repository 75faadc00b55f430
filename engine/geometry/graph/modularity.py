"""Modularity of a partition (Newman and Girvan 2004).

Q = sum_c [ w_cc / 2m - (s_c / 2m)^2 ]      w_cc weight inside c (both directions), s_c its degrees, 2m all weight
"""

from __future__ import annotations

import numpy as np

from engine.embeddings.graph.cooccurrence import Matrix
from engine.geometry.graph.links import row_spans
from engine.geometry.table.rows import IntArray


def modularity(adjacency: Matrix, labels: IntArray) -> float:
    """Q of A [n x n] (symmetric; a diagonal counts as weight inside) for labels [n]; 0 without edges."""
    total = float(adjacency.data.sum())
    if total <= 0:
        return 0.0
    within = 0.0
    for first, last in row_spans(adjacency):
        part = slice(adjacency.indptr[first], adjacency.indptr[last])
        row = np.repeat(labels[first:last], np.diff(adjacency.indptr[first : last + 1]))
        within += float(adjacency.data[part][row == labels[adjacency.indices[part]]].sum())
    degrees = np.asarray(adjacency.sum(axis=1), dtype=np.float64).ravel()
    return within / total - float((np.bincount(labels, degrees) ** 2).sum()) / total**2
