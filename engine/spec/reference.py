"""The graphs on which arms are measured, whatever graph, or none, they use themselves."""

from __future__ import annotations

from engine.spec.experiment import Experiment
from engine.spec.graphs import AllUsers, ContentGraph, CoOccurrence, Graph, HistoryGraph
from engine.spec.reductions import GraphReduction


def _own(experiment: Experiment) -> Graph:
    embedding = experiment.embedding
    reduce = None if embedding is None else embedding.reduce
    return reduce.graph if isinstance(reduce, GraphReduction) else CoOccurrence()


def reference_graph(experiment: Experiment) -> CoOccurrence:
    """Co-occurrence in the histories of all users, counted as the arm's own graph is where it counts histories."""
    own = _own(experiment)
    if not isinstance(own, HistoryGraph):
        return CoOccurrence()
    settings = own.model_dump(include=set(HistoryGraph.model_fields) - {"kind", "users"})
    return CoOccurrence(**settings, users=AllUsers())


def reference_neighbours(experiment: Experiment) -> int:
    """Neighbours per item by content: the arm's own number where its graph is one of content."""
    own = _own(experiment)
    return (own if isinstance(own, ContentGraph) else ContentGraph()).neighbours
