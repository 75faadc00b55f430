"""Null graphs against the invariants that define them."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from engine.embeddings.graph import null_graphs
from engine.embeddings.graph.cooccurrence import Matrix
from engine.embeddings.graph.null_graphs import erdos_renyi, permuted, popularity, rewired

Null = Callable[[Matrix, int], Matrix]
NULLS: list[Null] = [rewired, erdos_renyi, permuted, popularity]
Array = npt.NDArray[np.float64]


def skewed(seed: int, n: int, density: float) -> Matrix:
    """A graph with hubs, clusters and unequal weights."""
    generator = np.random.default_rng(seed)
    pull = generator.pareto(2.0, n) + 0.2
    same = np.equal.outer(np.arange(n) % 4, np.arange(n) % 4)
    chance = np.minimum(1, density * np.outer(pull, pull) * np.where(same, 3, 0.4))
    upper = np.triu((generator.random((n, n)) < chance) * generator.integers(1, 9, (n, n)), 1).astype(np.float64)
    return Matrix(sparse.csr_array(upper + upper.T))


def neighbours(a: Matrix) -> npt.NDArray[np.int64]:
    return np.asarray((a.toarray() > 0).sum(1))


def weights(a: Matrix) -> list[float]:
    return sorted(np.triu(a.toarray())[np.triu(a.toarray()) > 0].tolist())


def strength(a: Matrix) -> Array:
    return np.asarray(a.sum(axis=1), dtype=np.float64)


GRAPHS = st.builds(skewed, st.integers(0, 10**6), st.integers(2, 40), st.sampled_from([0.02, 0.2, 1.0, 50.0]))


@settings(deadline=None, max_examples=60)
@given(GRAPHS, st.sampled_from(NULLS), st.integers(0, 5))
def test_every_null_is_a_simple_weighted_graph_and_repeats(a: Matrix, null: Null, seed: int) -> None:
    before = a.toarray()
    made = null(a, seed)
    dense = made.toarray()
    assert made.has_canonical_format
    np.testing.assert_array_equal(dense, dense.T)
    assert not np.diag(dense).any()
    assert (made.data > 0).all()
    np.testing.assert_array_equal(null(a, seed).toarray(), dense)
    np.testing.assert_array_equal(a.toarray(), before)


@settings(deadline=None, max_examples=60)
@given(GRAPHS, st.integers(0, 5))
def test_rewiring_keeps_every_degree_and_the_weights(a: Matrix, seed: int) -> None:
    made = rewired(a, seed)
    np.testing.assert_array_equal(neighbours(made), neighbours(a))
    assert weights(made) == weights(a)


@settings(deadline=None, max_examples=60)
@given(GRAPHS, st.integers(0, 5))
def test_erdos_renyi_keeps_the_number_of_edges_and_the_weights(a: Matrix, seed: int) -> None:
    assert weights(erdos_renyi(a, seed)) == weights(a)


@settings(deadline=None, max_examples=60)
@given(GRAPHS, st.integers(0, 5))
def test_permutation_is_an_isomorphism(a: Matrix, seed: int) -> None:
    made, to = permuted(a, seed).toarray(), np.random.default_rng(seed).permutation(a.shape[0])
    np.testing.assert_array_equal(made[np.ix_(to, to)], a.toarray())


@pytest.mark.parametrize("null", NULLS)
def test_another_seed_is_another_graph(null: Null) -> None:
    a = skewed(0, 60, 0.1)
    assert (null(a, 0).toarray() != null(a, 1).toarray()).any()
    assert (null(a, 0).toarray() != a.toarray()).any()


def test_erdos_renyi_is_uniform_over_pairs_sparse_and_dense() -> None:
    for edges, n in ((3, 6), (12, 6)):
        upper = np.zeros(n * n)
        upper[np.flatnonzero(np.triu(np.ones((n, n)), 1))[:edges]] = 1
        a = Matrix(sparse.csr_array(upper.reshape(n, n) + upper.reshape(n, n).T))
        often = np.mean([erdos_renyi(a, seed).toarray() for seed in range(2000)], axis=0)
        off = ~np.eye(n, dtype=np.bool_)
        np.testing.assert_allclose(often[off], edges / 15, atol=0.06)


def test_rewiring_forgets_who_goes_with_whom() -> None:
    """Two cliques joined at random: the share of edges inside a clique falls to that of the configuration model."""
    n = 80
    same = np.equal.outer(np.arange(n) % 2, np.arange(n) % 2)
    upper = np.triu((np.random.default_rng(0).random((n, n)) < np.where(same, 0.4, 0.02)), 1)
    a = Matrix(sparse.csr_array((upper | upper.T).astype(np.float64)))
    inside = [float((rewired(a, seed).toarray() * same).sum() / a.nnz) for seed in range(8)]
    assert float((a.toarray() * same).sum() / a.nnz) > 0.9
    assert np.mean(inside) == pytest.approx(0.49, abs=0.03)


def test_rewiring_reaches_every_graph_of_the_degrees_about_equally_often() -> None:
    """The 15 labelled graphs of six items with one neighbour each: perfect matchings."""
    matching = np.kron(np.eye(3), np.array([[0, 1], [1, 0]]))
    seen: dict[bytes, int] = {}
    for seed in range(1500):
        made = rewired(Matrix(sparse.csr_array(matching)), seed).toarray().tobytes()
        seen[made] = seen.get(made, 0) + 1
    assert len(seen) == 15
    assert max(seen.values()) < 160
    assert min(seen.values()) > 50


def test_dense_graphs_are_rewired_too() -> None:
    a = skewed(3, 60, 2.0)
    assert 0.55 < a.nnz / (60 * 59) < 0.95
    made = rewired(a, 0)
    np.testing.assert_array_equal(neighbours(made), neighbours(a))
    assert ((made.toarray() > 0) != (a.toarray() > 0)).sum() > 100


def test_popularity_keeps_expected_degrees_and_nothing_else() -> None:
    a = skewed(2, 120, 0.12)
    degrees = neighbours(a)
    assert degrees.max() > 60  # where d_a d_b / sum d exceeds 1: the plain formula would fall short
    made = [popularity(a, seed) for seed in range(200)]
    mean = np.mean([neighbours(g) for g in made], axis=0)
    np.testing.assert_allclose(mean, degrees, atol=5 * np.sqrt(degrees.max() / 200), rtol=0)
    assert np.abs(mean - degrees).sum() / degrees.sum() < 0.02
    same = np.equal.outer(np.arange(120) % 4, np.arange(120) % 4)
    inside = np.mean([(g.toarray() > 0)[same].sum() / g.nnz for g in made])
    assert (a.toarray() > 0)[same].sum() / a.nnz > inside + 0.2


@pytest.mark.parametrize("null", [rewired, popularity])
def test_weighted_degrees_stay_close_where_popularity_is_kept(null: Null) -> None:
    a = skewed(5, 400, 0.02)
    wanted = strength(a)
    gap = np.mean([np.abs(strength(null(a, seed)) - wanted).sum() / wanted.sum() for seed in range(3)])
    assert gap < 0.15
    lost = np.mean([np.abs(strength(erdos_renyi(a, seed)) - wanted).sum() / wanted.sum() for seed in range(3)])
    assert lost > 3 * gap


@given(st.integers(0, 10**6), st.integers(1, 50), st.integers(1, 60), st.booleans())
def test_weights_are_dealt_in_the_order_of_scores(seed: int, size: int, levels: int, ties: bool) -> None:
    """Few weights or many, scores that tie or not: a stable sort where nothing ties, and the same weights always."""
    draw = np.random.default_rng(seed)
    ranked = np.sort(draw.integers(levels, size=size)).astype(np.float64)
    scores = draw.integers(5, size=size).astype(np.float64) if ties else draw.random(size)
    found = null_graphs._in_order(ranked, scores)
    np.testing.assert_array_equal(np.sort(found), ranked)
    assert (np.diff(found[np.lexsort((found, scores))]) >= 0).all()


@pytest.mark.parametrize("n", [40, 1 << 31])
def test_keys_are_ranked_alone_or_with_their_places(n: int) -> None:
    keys = np.random.default_rng(0).integers(min(n * n, 2**62), size=500)
    keys[:20] = keys[20:40]
    rank, ranked = null_graphs._ranked(keys, n)
    np.testing.assert_array_equal(ranked, np.sort(keys))
    np.testing.assert_array_equal(keys[rank], ranked)
    assert sorted(rank.tolist()) == list(range(500))
