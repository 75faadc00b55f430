"""Do neighbours in the graph point the same way: AUC of u_i.u_j, edges against non-edges (docs/method.md D.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.embeddings.graph.cooccurrence import Matrix
from engine.geometry.graph.links import draw_entries, inner_products
from engine.geometry.table.rows import Array, IntArray, Rows

SAMPLED_EDGES = 50_000
_TRIES = 20


@dataclass(frozen=True)
class MatchedPairs:
    """Edges (i, j) and non-edges (i, other) with the same items on the left and, as many times, on the right."""

    i: IntArray
    j: IntArray
    other: IntArray


def matched_pairs(adjacency: Matrix, seed: int = 0) -> MatchedPairs:
    """A sample of edges, each with a non-edge: the right ends are dealt out anew among the left ones.

    So both sides hold items as often as their degrees have it. A deal that is an edge or a loop is dealt again,
    20 times; edges that then have no non-edge (items joined to nearly all) are left out.
    """
    draw = np.random.default_rng(seed)
    i, j = draw_entries(adjacency, min(SAMPLED_EDGES, adjacency.nnz), draw)
    other = np.full(len(i), -1)
    open_ = np.arange(len(i))
    free = j.copy()
    for _ in range(_TRIES):
        draw.shuffle(free)
        refused = (free == i[open_]) | (np.asarray(adjacency[i[open_], free]).ravel() > 0)
        other[open_[~refused]] = free[~refused]
        open_, free = open_[refused], free[refused]
        if len(open_) < 2:
            break
    has_other = other >= 0
    return MatchedPairs(i[has_other], j[has_other], other[has_other])


def edge_auc(unit: Rows, pairs: MatchedPairs) -> dict[str, Any]:
    """P(u_i.u_j of an edge > that of a non-edge), ties one half; .5 is chance. The standard error is that of
    Hanley and McNeil (1982), for independent pairs."""
    m = len(pairs.i)
    if m < 2:
        return {"auc": None, "se": None, "pairs": m}
    ranks = average_ranks(np.concatenate([inner_products(unit, pairs.i, j) for j in (pairs.j, pairs.other)]))
    auc = (float(ranks[:m].sum()) - m * (m + 1) / 2) / m**2
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (m - 1) * (q1 - auc**2 + q2 - auc**2)) / m**2
    return {"auc": auc, "se": math.sqrt(max(0.0, variance)), "pairs": m}


def average_ranks(values: Array) -> Array:
    """[m] ranks from 1, those of equal values at their mean; no numbers where a value is none. As
    `scipy.stats.rankdata`, which takes .7 CPU seconds to import."""
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks
