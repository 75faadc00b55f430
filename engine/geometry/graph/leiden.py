"""Leiden (Traag et al. 2019) by igraph, imported without what it draws with."""

from __future__ import annotations

import random
import sys

import numpy as np
from scipy import sparse

from engine.embeddings.graph.cooccurrence import Matrix
from engine.geometry.table.rows import IntArray

if "matplotlib" in sys.modules:
    import igraph
else:  # igraph imports pyplot where there is one, .7 CPU seconds of every run, and draws nothing here
    sys.modules["matplotlib"] = None  # type: ignore[assignment]
    try:
        import igraph
    finally:
        del sys.modules["matplotlib"]


def leiden(adjacency: Matrix, seed: int = 0) -> IntArray:
    """Labels [n] of A [n x n] (symmetric, non-negative, no diagonal) until nothing changes; see `communities`."""
    n = adjacency.shape[0]
    upper = sparse.triu(adjacency, k=1, format="coo")
    if not upper.nnz:
        return np.arange(n)
    igraph.set_random_number_generator(random.Random(seed))
    graph = igraph.Graph(n=n, edges=np.column_stack(upper.coords), directed=False)
    partition = graph.community_leiden("modularity", weights=upper.data, n_iterations=-1)
    return np.array(partition.membership, dtype=np.int64)
