"""Bands of scores against dense eigendecompositions of both graphs."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from engine.geometry.graph import spectra
from engine.geometry.graph.score_bands import EDGES, score_bands

USERS, ITEMS = 60, 40
DRAW = np.random.default_rng(0)
X = (DRAW.random((USERS, ITEMS)) < 0.15).astype(np.float64)
X[:, 7] = 0  # an item without users
X[3] = 0  # a user without items
GRAPH = X.T @ X * (1 - np.eye(ITEMS))
Matrix = npt.NDArray[np.float64]


def dense_shares(scores: Matrix, laplacian: Matrix, items: npt.NDArray[np.intp]) -> list[float]:
    table = (scores - scores.mean(1, keepdims=True))[:, items]
    values, vectors = np.linalg.eigh(laplacian)
    energy = np.concatenate([[0], np.cumsum(((table @ vectors) ** 2).sum(0))])
    up_to = np.interp(np.array(EDGES) * len(values), np.arange(len(energy)), energy) / energy[-1]
    return list(np.diff([0, *up_to]))


def projected() -> tuple[Matrix, npt.NDArray[np.intp]]:
    items = np.flatnonzero(X.sum(0))
    x = X[:, items]
    r = x / np.sqrt(np.maximum(x.sum(1, keepdims=True), 1) * x.sum(0))
    return np.eye(len(items)) - r.T @ r, items


def measured(scores: Matrix) -> dict[str, Any]:
    return score_bands(scores, sparse.csr_array(X), sparse.csr_array(GRAPH))


def test_shares_are_those_of_a_dense_decomposition() -> None:
    scores = DRAW.standard_normal((20, ITEMS)) + 100 * DRAW.random((20, 1))
    found = measured(scores)
    laplacian, items = projected()
    np.testing.assert_allclose(found["user_item"]["shares"], dense_shares(scores, laplacian, items), atol=1e-9)
    linked = np.flatnonzero(GRAPH.sum(0))
    a = GRAPH[np.ix_(linked, linked)]
    of_graph = np.eye(len(linked)) - a / np.sqrt(np.outer(a.sum(0), a.sum(0)))
    np.testing.assert_allclose(found["item_graph"]["shares"], dense_shares(scores, of_graph, linked), atol=1e-9)
    for each in found.values():
        assert sum(each["shares"]) == pytest.approx(1)
        assert each["items"] == ITEMS - 1
        assert 0 < each["of"] < 1


def test_scores_in_one_eigenvector_lie_in_its_band() -> None:
    """A filter that keeps the smoothest is told from one that keeps the roughest."""
    laplacian, items = projected()
    _, vectors = np.linalg.eigh(laplacian)
    for column, band in ((-1, 4), (4, 3)):
        scores = np.zeros((5, ITEMS))
        scores[:, items] = np.outer(np.arange(1, 6), vectors[:, column])
        shares = measured(scores)["user_item"]["shares"]
        assert int(np.argmax(shares)) == band
        assert shares[band] > 0.8  # not all of it, since each user's mean is taken off


def test_a_constant_added_to_a_users_scores_changes_nothing() -> None:
    scores = DRAW.standard_normal((6, ITEMS))
    one, other = measured(scores), measured(scores + np.arange(6)[:, None])
    np.testing.assert_allclose(one["user_item"]["shares"], other["user_item"]["shares"], atol=1e-12)


def test_polynomials_come_near_the_exact_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = DRAW.standard_normal((10, ITEMS)) @ GRAPH
    exact = measured(scores)["item_graph"]
    monkeypatch.setattr(spectra.spectrum, "__defaults__", (0, 0))
    near = measured(scores)["item_graph"]
    assert near["method"].startswith("kernel polynomials")
    np.testing.assert_allclose(np.cumsum(near["shares"]), np.cumsum(exact["shares"]), atol=0.15)


def test_a_graph_without_edges_has_no_bands() -> None:
    found = score_bands(np.ones((2, ITEMS)), sparse.csr_array(X), sparse.csr_array((ITEMS, ITEMS)))
    assert list(found) == ["user_item"]
