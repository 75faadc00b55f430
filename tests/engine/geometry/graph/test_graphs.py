"""What concerns the item graph against dense references, simulation, and another library's communities."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from engine.embeddings.graph.cooccurrence import Matrix
from engine.embeddings.graph.laplacian import laplacian
from engine.embeddings.graph.null_graphs import rewired
from engine.geometry.graph import links, spectra
from engine.geometry.graph.communities import communities
from engine.geometry.graph.edges import average_ranks, edge_auc, matched_pairs
from engine.geometry.graph.kernel import centred_alignment
from engine.geometry.graph.leiden import leiden
from engine.geometry.graph.links import link_energy
from engine.geometry.graph.louvain import louvain
from engine.geometry.graph.modularity import modularity
from engine.geometry.graph.smoothness import against, stub_matching, tv_ratio
from engine.geometry.graph.spectrum_report import compared_spectra, permuted_energy
from engine.geometry.table.moments import moments
from engine.geometry.table.rows import Rows

Array = npt.NDArray[np.float64]
PROPERTY = settings(deadline=None, max_examples=30)


def graph_of(seed: int, n: int = 60, blocks: int = 4, inside: float = 0.3, across: float = 0.03) -> Matrix:
    """Blocks with hubs and counts as weights; the last item has no edges."""
    draw = np.random.default_rng(seed)
    pull = 0.4 + draw.pareto(3.0, n)
    same = np.equal.outer(np.arange(n) % blocks, np.arange(n) % blocks)
    chance = np.minimum(1, np.outer(pull, pull) * np.where(same, inside, across))
    upper = np.triu((draw.random((n, n)) < chance) * draw.integers(1, 5, (n, n)), 1).astype(np.float64)
    upper[:, -1] = 0
    return Matrix(sparse.csr_array(upper + upper.T))


def dense_links(a: Matrix) -> Array:
    dense = a.toarray()
    root = np.sqrt(np.divide(1.0, dense.sum(1), out=np.zeros(len(dense)), where=dense.sum(1) > 0))
    return np.asarray(root[:, None] * dense * root)


def rows_of(seed: int, n: int = 60, d: int = 5, follow: float = 0.0, blocks: int = 4) -> Rows:
    draw = np.random.default_rng(seed)
    centres = draw.standard_normal((blocks, d))
    return Rows.of(draw.standard_normal((n, d)) + follow * (centres - centres.mean(0))[np.arange(n) % blocks])


@PROPERTY
@given(st.integers(0, 10**6))
def test_total_variation_and_alignment_against_dense_matrices(seed: int) -> None:
    a, rows = graph_of(seed), rows_of(seed, follow=1.0)
    z = rows.array()
    hat = dense_links(a)
    held = (a.toarray().sum(1) > 0).astype(float)
    found = tv_ratio(laplacian(a), rows, np.square(z).sum(1))
    assert found.value == pytest.approx(np.trace(z.T @ (np.diag(held) - hat) @ z) / np.square(z).sum())
    assert found.se is None

    unit = rows.at_unit_length()
    u = unit.array()
    centring = np.eye(60) - 1 / 60
    k, s = centring @ u @ u.T @ centring, centring @ hat @ centring
    expected = (k * s).sum() / (np.linalg.norm(k) * np.linalg.norm(s))
    assert centred_alignment(unit, moments(unit), laplacian(a).links).value == pytest.approx(expected)


def test_sampled_sums_over_edges_are_within_their_stated_error(monkeypatch: pytest.MonkeyPatch) -> None:
    a, rows = graph_of(0, n=300), rows_of(0, n=300)
    exact = link_energy(a, rows).value
    monkeypatch.setattr(links, "_EXACT_PRODUCTS", 0)
    monkeypatch.setattr(links, "_SAMPLE", 5000)
    off = []
    for seed in range(10):
        found = link_energy(a, rows, seed)
        assert found.se is not None
        off.append((found.value - exact) / found.se)
    assert max(map(abs, off)) < 4
    assert 0.4 < float(np.sqrt(np.mean(np.square(off)))) < 1.8


@PROPERTY
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_modularity_against_its_definition(seed: int, k: int) -> None:
    a = graph_of(seed, n=30)
    labels = np.random.default_rng(seed).integers(k, size=30)
    dense = a.toarray()
    degree, total = dense.sum(1), dense.sum()
    expected = ((dense - np.outer(degree, degree) / total) * np.equal.outer(labels, labels)).sum() / total
    assert modularity(a, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("across", [0.005, 0.05, 0.15])
def test_louvain_is_nearly_as_good_as_leiden(seed: int, across: float) -> None:
    a = graph_of(seed, n=240, blocks=6, across=across)
    theirs = modularity(a, leiden(a))
    for find in (louvain, leiden):
        found = find(a)
        np.testing.assert_array_equal(find(a), found)
        assert (found == found[-1]).sum() == 1  # the item without edges is alone
        assert sorted(set(found.tolist())) == list(range(found.max() + 1))
        assert modularity(a, found) > 0.9 * theirs  # networkx's own Louvain: .91 to 1


def test_modularity_is_that_of_networkx_and_igraphs_leiden_as_good_as_its_louvain() -> None:
    a = graph_of(0, n=240, blocks=6)
    import networkx  # type: ignore[import-untyped]

    graph = networkx.from_scipy_sparse_array(a)
    sets = networkx.community.louvain_communities(graph, seed=0)
    labels = np.zeros(240, np.int64)
    for number, members in enumerate(sets):
        labels[list(members)] = number
    assert modularity(a, labels) == pytest.approx(networkx.community.modularity(graph, sets))
    assert modularity(a, leiden(a)) >= modularity(a, labels) - 1e-3


@pytest.mark.parametrize("limit", [0, 10**9])
def test_communities_of_separate_cliques_are_the_cliques(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.geometry.graph.communities.LEIDEN_EDGES", limit)
    clique = np.ones((5, 5)) - np.eye(5)
    a = Matrix(sparse.block_diag([clique] * 4, format="csr"))
    np.testing.assert_array_equal(communities(a), (leiden if limit else louvain)(a))
    found = communities(a).reshape(4, 5)
    assert (found == found[:, :1]).all()
    assert len(np.unique(found)) == 4


def test_without_edges_everyone_is_alone() -> None:
    nothing = Matrix((3, 3))
    assert communities(nothing).tolist() == louvain(nothing).tolist() == [0, 1, 2]


def test_blocks_of_the_graph_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, rows = graph_of(8, n=200), rows_of(8, n=200, d=7, follow=1.0)
    labels, energy, null = louvain(a), link_energy(a, rows).value, _closed(a, rows)
    monkeypatch.setattr(links, "_ENTRIES", 50)
    monkeypatch.setattr(links, "_ROWS", 7)
    monkeypatch.setattr("engine.geometry.graph.smoothness._LEVELS", 64)
    np.testing.assert_array_equal(louvain(a), labels)
    assert link_energy(a, rows).value == pytest.approx(energy)
    assert _closed(a, rows) == pytest.approx(null, rel=1e-6)


def _closed(a: Matrix, rows: Rows) -> dict[str, float]:
    return stub_matching(a, laplacian(a), rows, np.square(rows.array()).sum(1))


def test_edge_auc_is_that_of_all_pairs_and_half_by_chance() -> None:
    a = graph_of(1, n=400, across=0.003, inside=0.05)
    pairs = matched_pairs(a)
    assert (np.asarray(a[pairs.i, pairs.j]).ravel() > 0).all()
    assert not np.asarray(a[pairs.i, pairs.other]).ravel().any()
    assert (pairs.i != pairs.other).all()
    unit = rows_of(1, n=400, follow=1.0).at_unit_length()
    u = unit.array()
    real, null = (np.einsum("id,id->i", u[pairs.i], u[j]) for j in (pairs.j, pairs.other))
    expected = (real[:, None] > null).mean() + 0.5 * (real[:, None] == null).mean()
    found = edge_auc(unit, pairs)
    assert found["auc"] == pytest.approx(expected)
    assert found["auc"] > 0.6
    unrelated = edge_auc(rows_of(2, n=400).at_unit_length(), pairs)
    assert abs(unrelated["auc"] - 0.5) < 0.05
    assert unrelated["se"] < 0.02


def test_the_closed_form_null_is_that_of_rewired_graphs_where_the_graph_is_sparse() -> None:
    a = graph_of(3, n=600, blocks=6, inside=0.015, across=0.003)
    for rows in (rows_of(3, n=600), rows_of(3, n=600, follow=1.0, blocks=6)):
        squares = np.square(rows.array()).sum(1)
        drawn = [tv_ratio(laplacian(n), rows, squares).value for n in (rewired(a, seed) for seed in range(30))]
        simulated = against(0.0, drawn)
        closed = stub_matching(a, laplacian(a), rows, squares)
        assert simulated["null_sd"] is not None
        assert closed["null"] == pytest.approx(simulated["null"], abs=2 * simulated["null_sd"])
        assert closed["null_sd"] == pytest.approx(simulated["null_sd"], rel=0.5)


def test_z_scores_are_those_of_chance_for_unrelated_rows_and_large_for_related_ones() -> None:
    a = graph_of(4, n=200)
    nulls = [laplacian(rewired(a, seed)) for seed in range(20)]

    def z(rows: Rows) -> float:
        squares = np.square(rows.array()).sum(1)
        value = against(tv_ratio(laplacian(a), rows, squares).value, [tv_ratio(n, rows, squares).value for n in nulls])[
            "z"
        ]
        assert value is not None
        return value

    assert np.mean([abs(z(rows_of(seed, n=200))) < 3 for seed in range(10)]) >= 0.8
    assert z(rows_of(0, n=200, follow=2.0)) < -10
    assert against(1.0, [1.0, 1.0])["z"] is None


@PROPERTY
@given(st.integers(0, 10**6))
def test_the_exact_spectrum_and_energy(seed: int) -> None:
    a, rows = graph_of(seed), rows_of(seed, follow=1.0)
    held = spectra.connected(a)
    exact = spectra.spectrum(spectra.normalised_links(a))
    values, vectors = np.linalg.eigh(np.eye(len(held)) - dense_links(a)[np.ix_(held, held)])
    assert exact.method == "exact"
    for at in (0.0, 0.3, 1.0, 2.0):
        assert exact.below(np.array([at]))[0] == pytest.approx((values <= at + 1e-9).mean())
    z = rows.take(held)
    keep = len(held) // 4
    expected = np.square(vectors[:, :keep].T @ z).sum() / np.square(z).sum()
    assert exact.energy(z, np.array([keep / len(held)]))[0] == pytest.approx(expected)
    assert exact.energy(z, np.array([1.0]))[0] == pytest.approx(1.0)
    smallest, _ = spectra.leading(spectra.normalised_links(a), 5)
    np.testing.assert_allclose(smallest, values[:5], atol=1e-5)


def test_kernel_polynomials_follow_the_exact_spectrum() -> None:
    a = graph_of(5, n=900, inside=0.06, across=0.01)
    links_ = spectra.normalised_links(a)
    exact, approximate = spectra.spectrum(links_), spectra.spectrum(links_, exact_items=100)
    assert "120 moments" in approximate.method
    assert spectra.wasserstein(exact, approximate) < 0.03
    assert spectra.wasserstein(exact, exact) == 0
    z = rows_of(5, n=900, d=40, follow=1.5).take(spectra.connected(a))
    shares = np.array([0.01, 0.05, 0.1, 0.25])
    np.testing.assert_allclose(approximate.energy(z, shares), exact.energy(z, shares), atol=0.03)
    assert (approximate.energy(z, shares) > 1.2 * shares).all()
    draw = np.random.default_rng(0)
    z += 0.5
    shuffled = np.mean([exact.energy(z[draw.permutation(len(z))], shares) for _ in range(10)], axis=0)
    np.testing.assert_allclose(permuted_energy(exact, z, shares), shuffled, atol=0.01)
    assert shuffled[0] > 0.05  # the mean is smooth


def test_moments_by_doubling_are_chebyshev_moments() -> None:
    links_ = spectra.normalised_links(graph_of(6))
    y = rows_of(6, n=links_.shape[0], d=3).array()
    values, vectors = np.linalg.eigh(links_.toarray())
    weight = np.square(vectors.T @ y).sum(1) / np.square(y).sum()
    expected = [weight @ np.cos(m * np.arccos(np.clip(values, -1, 1))) for m in range(11)]
    np.testing.assert_allclose(spectra.chebyshev_moments(links_, y, 11), expected, atol=1e-9)


def test_a_graph_is_like_itself_and_unlike_its_nulls() -> None:
    a = graph_of(7, n=200)
    rows = {"table": rows_of(7, n=200, follow=1.5)}
    told, fourier = compared_spectra(a, [rewired(a, 0), rewired(a, 1)], a, rows)
    assert told["graphs"]["content"]["wasserstein"] == 0
    assert told["graphs"]["content"]["overlap"] == pytest.approx(1.0)
    assert told["graphs"]["rewired"]["wasserstein"] > 0.01
    assert told["graphs"]["rewired"]["overlap"] < 0.7
    assert told["graphs"]["real"]["gap"] < told["graphs"]["rewired"]["gap"]
    assert fourier["table"][2]["energy"] > 2 * fourier["table"][2]["null"] > 0
    assert compared_spectra(a, [], None, rows)[1]["table"][0]["null_kind"] == "permuted items"


@given(st.lists(st.sampled_from([-1.5, -0.0, 0.0, 0.25, 3.0, float("inf"), float("nan")]), max_size=30))
def test_ranks_are_those_of_scipy(values: list[float]) -> None:
    np.testing.assert_array_equal(average_ranks(np.array(values)), scipy.stats.rankdata(values))
