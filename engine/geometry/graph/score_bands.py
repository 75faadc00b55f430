"""In which bands of the user-item graph, and of the item graph, a model's scores lie (docs/method.md D.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from engine.embeddings.graph.cooccurrence import Matrix
from engine.geometry.graph import spectra
from engine.geometry.table.rows import IntArray

EDGES = (0.01, 0.05, 0.10, 0.25, 1.0)
"""Upper ends of the bands, in shares of the eigenvectors, smoothest first."""


def score_bands(scores: npt.NDArray[np.floating], interactions: Matrix, item_graph: Matrix) -> dict[str, Any]:
    """Shares of |S|^2, S the scores [users, n] less each user's mean, by band of eigenvectors of two graphs of items:

        user_item:  L = I - R^T R, R = D_u^-1/2 X D_i^-1/2 of the interactions X [all users, n]
        item_graph: L = I - A_hat of the item graph [n, n]

    Of each graph the shares by band (they add up to 1; over the items that have edges in it, `of` is their share of all
    of |S|^2), the largest eigenvalue in each band, and how the spectrum was computed. A constant added to a user's
    scores changes no rank, so it counts in no band. Memory: R^T R, as sparse as co-occurrence is.
    """
    table = (scores - scores.mean(axis=1, keepdims=True, dtype=np.float64)).T
    links = {"user_item": projected(interactions), "item_graph": _linked(item_graph)}
    return {name: _bands(table, *each) for name, each in links.items() if len(each[1])}


def projected(interactions: Matrix) -> tuple[Matrix, IntArray]:
    """(R^T R among the items that have users, which they are)."""
    x = interactions.astype(np.float64)
    of_users, of_items = (np.asarray(x.sum(axis=axis)).ravel() for axis in (1, 0))
    items = np.flatnonzero(of_items).astype(np.int64)
    of_users[of_users == 0] = 1
    scaled = sparse.diags_array(of_users**-0.5) @ x.tocsc()[:, items] @ sparse.diags_array(of_items[items] ** -0.5)
    return Matrix(scaled.T @ scaled), items


def _linked(graph: Matrix) -> tuple[Matrix, IntArray]:
    return spectra.normalised_links(graph), spectra.connected(graph)


def _bands(table: npt.NDArray[np.float64], links: Matrix, items: IntArray) -> dict[str, Any]:
    spectrum, ends = spectra.spectrum(links), np.array(EDGES)
    rows = np.ascontiguousarray(table[items], dtype=spectrum.dtype)
    up_to = spectrum.energy(rows, ends[:-1])
    return {
        "shares": np.diff([0.0, *up_to, 1.0]).tolist(),
        "eigenvalues": spectra.quantiles(spectrum, ends).tolist(),
        "of": float(np.square(table[items]).sum() / max(float(np.square(table).sum()), 1e-300)),
        "items": len(items),
        "method": spectrum.method,
    }
