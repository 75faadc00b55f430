"""The co-occurrence graph against pairs counted in plain loops."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data import Sequences
from engine.embeddings.graph import cooccurrence as module
from engine.embeddings.graph.cooccurrence import Matrix, cooccurrence
from engine.embeddings.graph.item_graph import item_graph
from engine.errors import UserError
from engine.spec import CoOccurrence, EmptyGraph, Rewired, SampledUsers

N = 9
HISTORIES = st.lists(st.lists(st.integers(0, N - 1), max_size=12), min_size=1, max_size=8)
NO_VECTORS = np.zeros((N, 2))


def sequences(histories: list[list[int]]) -> Sequences:
    items = np.array([item for history in histories for item in history], dtype=np.int64)
    return Sequences(items, np.cumsum([0, *map(len, histories)]))


def counted(histories: list[list[int]], window: int | None) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """c_ab and c_a, pair by pair."""
    counts, held = np.zeros((N, N)), np.zeros(N)
    for history in histories:
        for a in history if window else set(history):
            held[a] += 1
        if window is None:
            for a in set(history):
                for b in set(history):
                    counts[a, b] += a != b
            continue
        for i, a in enumerate(history):
            for j, b in enumerate(history):
                if a != b and abs(i - j) <= window:
                    counts[a, b] += 1
    return counts, held


def loops(histories: list[list[int]], graph: CoOccurrence) -> npt.NDArray[np.float64]:
    """A, edge by edge."""
    counts, held = counted(histories, graph.window)
    weights = np.zeros((N, N))
    pairs = counts.sum(1)
    for a, b in zip(*np.nonzero(counts), strict=True):
        c = counts[a, b]
        weights[a, b] = {
            "count": c,
            "binary": 1.0,
            "log": np.log1p(c),
            "ppmi": max(0.0, np.log(c / (pairs[a] * pairs[b]) * pairs.sum())),
            "cosine": c / (np.sqrt(held[a]) * np.sqrt(held[b])),
        }[graph.weight]
    if graph.top_k is None:
        return weights
    kept = np.zeros_like(weights)
    for a in range(N):
        for b in np.argsort(-weights[a], kind="stable")[: graph.top_k]:
            kept[a, b] = weights[a, b]
    symmetric: npt.NDArray[np.float64] = (kept + kept.T) / 2
    return symmetric


@settings(deadline=None, max_examples=250)
@given(
    HISTORIES,
    st.builds(
        CoOccurrence,
        window=st.sampled_from([None, 1, 2, 5]),
        top_k=st.sampled_from([None, 1, 3]),
        weight=st.sampled_from(["count", "binary", "log", "ppmi", "cosine"]),
    ),
    st.sampled_from([1, 5, 1 << 20]),
)
def test_graph_equals_pairs_counted_in_loops(histories: list[list[int]], graph: CoOccurrence, block: int) -> None:
    """Also where counting, whole histories and neighbours go through many small blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PAIRS", 4 * block)
        adjacency = cooccurrence(sequences(histories), N, graph)
    np.testing.assert_allclose(adjacency.toarray(), loops(histories, graph), rtol=1e-12, atol=1e-12)
    assert_well_formed(adjacency)


def assert_well_formed(adjacency: Matrix) -> None:
    dense = adjacency.toarray()
    np.testing.assert_array_equal(dense, dense.T)
    assert (adjacency.data > 0).all()
    assert not np.diag(dense).any()


@given(HISTORIES)
def test_cosine_over_whole_histories_is_that_of_the_columns_of_r(histories: list[list[int]]) -> None:
    r = np.array([[float(i in history) for i in range(N)] for history in histories])
    norms = np.linalg.norm(r, axis=0)
    expected = (r.T @ r) / np.maximum(1, np.outer(norms, norms)) * (1 - np.eye(N))
    found = cooccurrence(sequences(histories), N, CoOccurrence(window=None, weight="cosine")).toarray()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def some(share: float, seed: int) -> CoOccurrence:
    return CoOccurrence(users=SampledUsers(share=share, seed=seed))


def test_a_share_of_users() -> None:
    histories = [[u % N, (u + 1 + u // N) % N] for u in range(40)]
    train = sequences(histories)
    total = {share: item_graph(train, N, some(share, 3), NO_VECTORS).toarray() for share in (0.25, 0.5)} | {
        1.0: item_graph(train, N, CoOccurrence(), NO_VECTORS).toarray()
    }
    assert {share: a.sum() / 2 for share, a in total.items()} == {0.25: 10, 0.5: 20, 1.0: 40}
    assert (total[0.25] <= total[0.5]).all()
    assert (total[0.5] <= total[1.0]).all()
    other = item_graph(train, N, some(0.5, 4), NO_VECTORS).toarray()
    assert (other != total[0.5]).any()


def test_a_graph_without_edges_is_refused_unless_it_is_meant() -> None:
    lonely = sequences([[0], [1, 1], []])
    for window, place in ((3, "3 positions of a training history"), (None, "one training history")):
        for kind in (CoOccurrence, Rewired):
            with pytest.raises(UserError, match=f"empty, no two items occur within {place}") as caught:
                item_graph(lonely, N, kind(window=window), NO_VECTORS)
            assert "\n" not in str(caught.value)
    empty = item_graph(lonely, N, EmptyGraph(), NO_VECTORS)
    assert (empty.shape, empty.nnz) == ((N, N), 0)


def test_whole_histories_that_would_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 40)
    train = sequences([list(range(N))])
    with pytest.raises(UserError, match=r"20 pairs of items co-occur; set embedding\.reduce\.graph\.top_k or"):
        cooccurrence(train, N, CoOccurrence(window=None))
    assert cooccurrence(train, N, CoOccurrence(window=None, top_k=2)).nnz > 0
