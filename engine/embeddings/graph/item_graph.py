"""The item graph that a specification names: co-occurrence, or one of its controls."""

from __future__ import annotations

from typing import assert_never

import numpy as np
import numpy.typing as npt

from engine import spec
from engine.data import Sequences
from engine.embeddings.graph import null_graphs
from engine.embeddings.graph.content_graph import content_graph
from engine.embeddings.graph.cooccurrence import Matrix, cooccurrence
from engine.errors import UserError


def item_graph(  # noqa: PLR0911 (one for each kind)
    train: Sequences, n_items: int, graph: spec.Graph, x: npt.NDArray[np.floating]
) -> Matrix:
    """A [n x n] symmetric, non-negative, empty diagonal, from training histories or from X [n x D].

    Raises UserError where no two items co-occur; only `kind: empty` may be without edges.
    """
    if isinstance(graph, spec.EmptyGraph):
        return Matrix((n_items, n_items), dtype=np.float64)
    if isinstance(graph, spec.ContentGraph):
        return content_graph(x, graph.neighbours)
    adjacency = cooccurrence(_of_some_users(train, graph.users), n_items, graph)
    if not adjacency.nnz:
        within = "one training history" if graph.window is None else f"{graph.window} positions of a training history"
        raise UserError(
            f"embedding.reduce.graph: empty, no two items occur within {within} with a positive weight; use a denser "
            "data set, embedding.reduce=pca, or embedding.reduce.graph=empty if that is meant"
        )
    match graph:
        case spec.CoOccurrence():
            return adjacency
        case spec.Rewired():
            return null_graphs.rewired(adjacency, graph.seed)
        case spec.ErdosRenyi():
            return null_graphs.erdos_renyi(adjacency, graph.seed)
        case spec.Permuted():
            return null_graphs.permuted(adjacency, graph.seed)
        case spec.PopularityGraph():
            return null_graphs.popularity(adjacency, graph.seed)
        case _:
            assert_never(graph)


def _of_some_users(train: Sequences, users: spec.AllUsers | spec.SampledUsers) -> Sequences:
    """The histories of a share of the users, drawn at random; at a smaller share, some of the same users."""
    if isinstance(users, spec.AllUsers):
        return train
    order = np.random.default_rng(users.seed).permutation(len(train))
    is_sampled = np.zeros(len(train), np.bool_)
    is_sampled[order[: max(1, round(users.share * len(train)))]] = True
    lengths = np.diff(train.offsets)
    return Sequences(train.items[np.repeat(is_sampled, lengths)], np.concatenate([[0], np.cumsum(lengths[is_sampled])]))
