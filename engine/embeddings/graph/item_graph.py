"""The item graph that a specification names: co-occurrence, or one of its controls."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.data import Sequences
from engine.embeddings.graph import null_graphs
from engine.embeddings.graph.content_graph import content_graph
from engine.embeddings.graph.cooccurrence import Matrix, cooccurrence
from engine.errors import UserError
from engine.spec import Graph

_NULLS = {
    "rewired": null_graphs.rewired,
    "erdos-renyi": null_graphs.erdos_renyi,
    "permuted": null_graphs.permuted,
    "popularity": null_graphs.popularity,
}


def item_graph(train: Sequences, n_items: int, graph: Graph, x: npt.NDArray[np.floating]) -> Matrix:
    """A [n x n] symmetric, non-negative, empty diagonal, from training histories or from X [n x D].

    Raises UserError where no two items co-occur; only `kind: empty` may be without edges.
    """
    if graph.kind == "empty":
        return Matrix((n_items, n_items), dtype=np.float64)
    if graph.kind == "content":
        return content_graph(x, graph.neighbours)
    adjacency = cooccurrence(_of_some_users(train, graph), n_items, graph)
    if not adjacency.nnz:
        within = "one training history" if graph.window is None else f"{graph.window} positions of a training history"
        raise UserError(
            f"embedding.graph: empty, no two items occur within {within} with a positive weight; use a denser "
            "data set, embedding.reduce=pca, or embedding.graph.kind=empty if that is meant"
        )
    return _NULLS[graph.kind](adjacency, graph.seed) if graph.kind in _NULLS else adjacency


def _of_some_users(train: Sequences, graph: Graph) -> Sequences:
    """The histories of a share of the users, drawn at random; at a smaller share, some of the same users."""
    if graph.users == 1:
        return train
    order = np.random.default_rng(graph.seed).permutation(len(train))
    kept = np.zeros(len(train), np.bool_)
    kept[order[: max(1, round(graph.users * len(train)))]] = True
    lengths = np.diff(train.offsets)
    return Sequences(train.items[np.repeat(kept, lengths)], np.concatenate([[0], np.cumsum(lengths[kept])]))
