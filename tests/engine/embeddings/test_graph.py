"""The co-occurrence graph against pairs counted in plain loops."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data import Sequences
from engine.embeddings.graph import cooccurrence, laplacian_product, normalized_adjacency
from engine.spec import Graph

N = 9
HISTORIES = st.lists(st.lists(st.integers(0, N - 1), max_size=12), min_size=1, max_size=8)


def sequences(histories: list[list[int]]) -> Sequences:
    items = np.array([item for history in histories for item in history], dtype=np.int64)
    return Sequences(items, np.cumsum([0, *map(len, histories)]))


def loops(histories: list[list[int]], graph: Graph) -> npt.NDArray[np.float64]:
    """A, edge by edge."""
    counts = np.zeros((N, N))
    for history in histories:
        if graph.window is None:
            for a in set(history):
                for b in set(history):
                    counts[a, b] += a != b
            continue
        for i, a in enumerate(history):
            for j, b in enumerate(history):
                if a != b and abs(i - j) <= graph.window:
                    counts[a, b] += 1
    weights = {"count": counts, "binary": (counts > 0) * 1.0, "log": np.log(1 + counts)}[graph.weight]
    if graph.top_k is None:
        return np.asarray(weights)
    kept = np.zeros_like(weights)
    for a in range(N):
        for b in np.argsort(-weights[a], kind="stable")[: graph.top_k]:
            kept[a, b] = weights[a, b]
    symmetric: npt.NDArray[np.float64] = (kept + kept.T) / 2
    return symmetric


@settings(deadline=None, max_examples=150)
@given(
    HISTORIES,
    st.builds(
        Graph,
        window=st.sampled_from([None, 1, 2, 5]),
        top_k=st.sampled_from([None, 1, 3]),
        weight=st.sampled_from(["count", "binary", "log"]),
    ),
)
def test_graph_equals_pairs_counted_in_loops(histories: list[list[int]], graph: Graph) -> None:
    adjacency = cooccurrence(sequences(histories), N, graph).toarray()
    np.testing.assert_allclose(adjacency, loops(histories, graph), atol=1e-12)


def test_normalised_laplacian_equals_scipys_and_spares_isolated_items() -> None:
    from scipy.sparse import csgraph

    adjacency = cooccurrence(sequences([[0, 1, 2, 0], [3, 1, 4]]), N, Graph(window=2))
    laplacian = laplacian_product(adjacency, np.eye(N))
    expected = np.asarray(csgraph.laplacian(adjacency.toarray(), normed=True), dtype=np.float64)
    np.testing.assert_allclose(laplacian, expected, atol=1e-12)
    assert np.diag(laplacian).tolist() == pytest.approx([1] * 5 + [0] * 4)
    assert normalized_adjacency(adjacency)[1].tolist() == [True] * 5 + [False] * 4
