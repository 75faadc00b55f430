"""Communities of the item graph by modularity: igraph's Leiden, or Louvain for a graph that it does not hold.

`benchmarks/partition_scale.py` measures both.
"""

from __future__ import annotations

from engine.embeddings.graph.cooccurrence import Matrix
from engine.geometry.graph.louvain import louvain
from engine.geometry.table.rows import IntArray

LEIDEN_EDGES = 4_000_000
"""Leiden takes about 200 bytes an edge: .8 GB here, but 4.5 GB at 20 million, more than a diagnosis may have in all."""


def communities(adjacency: Matrix, seed: int = 0) -> IntArray:
    """Labels [n] in 0..C-1 of A [n x n] (symmetric, non-negative, no diagonal); an item without edges is alone.

    Leiden (Traag et al. 2019) until nothing changes, up to `LEIDEN_EDGES` edges; Louvain beyond. The same seed gives
    the same labels.
    """
    if adjacency.nnz // 2 > LEIDEN_EDGES:
        return louvain(adjacency, seed)
    from engine.geometry.graph.leiden import leiden  # igraph takes a while

    return leiden(adjacency, seed)
