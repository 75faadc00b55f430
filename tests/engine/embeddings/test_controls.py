"""Each counterfactual table: what it changes, and what it must keep."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.embeddings.controls import controlled
from engine.errors import UserError
from tests.engine.parts import embedding_of

Array = npt.NDArray[np.float64]
SEEDS = st.integers(0, 10**6)


def a_table(seed: int, n: int = 30, k: int = 5, bare: int = 0) -> Array:
    draw = np.random.default_rng(seed)
    z = draw.standard_normal((n, k)) * draw.gamma(1.0, 1.0, k) * draw.lognormal(0, 0.5, (n, 1)) + draw.random(k)
    z[:bare] = 0
    return z


def made(z: Array, control: str, id_table: Array | None = None, **changes: Any) -> Array:
    return controlled(z, embedding_of(control=control, **changes).control, id_table)


def norms(z: Array) -> Array:
    length: Array = np.sqrt((z**2).sum(1))
    return length


def singular(z: Array) -> Array:
    return np.array(np.linalg.svd(z, compute_uv=False))


def assert_directions_kept(new: Array, z: Array) -> None:
    cosine = (new * z).sum(1)
    np.testing.assert_allclose(cosine, norms(new) * norms(z), atol=1e-10)


@given(seed=SEEDS, bare=st.integers(0, 3))
def test_unit_norms(seed: int, bare: int) -> None:
    z = a_table(seed, bare=bare)
    new = made(z, "unit-norms")
    np.testing.assert_allclose(norms(new), [0.0] * bare + [1.0] * (30 - bare))
    assert_directions_kept(new, z)


@given(seed=SEEDS, bare=st.integers(0, 3))
def test_shuffled_norms_keep_directions_and_the_set_of_norms(seed: int, bare: int) -> None:
    z = a_table(seed, bare=bare)
    new = made(z, "shuffled-norms", seed=seed)
    assert_directions_kept(new, z)
    np.testing.assert_allclose(np.sort(norms(new)), np.sort(norms(z)))
    assert not np.allclose(norms(new), norms(z))
    assert (norms(new)[:bare] == 0).all()


@given(seed=SEEDS, sd=st.floats(0, 3), bare=st.integers(0, 3))
def test_lognormal_norms_have_the_prescribed_spread(seed: int, sd: float, bare: int) -> None:
    z = a_table(seed, bare=bare)
    new = made(z, "lognormal-norms", seed=seed, norm_sd=sd)
    assert_directions_kept(new, z)
    assert np.log(norms(new)[bare:]).std() == pytest.approx(sd, abs=1e-9)
    assert norms(new)[bare:].mean() == pytest.approx(1.0)


def test_doses_of_one_seed_rank_the_items_alike_and_none_is_unit_norms() -> None:
    z = a_table(1)
    low, high = (norms(made(z, "lognormal-norms", norm_sd=sd)) for sd in (0.1, 2.0))
    assert low.argsort().tolist() == high.argsort().tolist()
    np.testing.assert_allclose(made(z, "lognormal-norms", norm_sd=0.0), made(z, "unit-norms"))


@given(seed=SEEDS)
def test_permuted_items_keep_the_set_of_rows(seed: int) -> None:
    z = a_table(seed)
    new = made(z, "permuted-items", seed=seed)
    assert sorted(map(tuple, new.tolist())) == sorted(map(tuple, z.tolist()))
    assert (new != z).any()
    np.testing.assert_allclose(np.cov(new.T), np.cov(z.T))


def a_clustered_table(seed: int, sizes: list[int]) -> tuple[Array, npt.NDArray[np.int64]]:
    """Rows about axes of their own, of any length, in random order; and which axis each is about."""
    draw = np.random.default_rng(seed)
    cluster = draw.permutation(np.repeat(np.arange(len(sizes)), sizes))
    z = np.eye(len(sizes))[cluster] + 0.02 * draw.standard_normal((len(cluster), len(sizes)))
    return z * draw.lognormal(0, 0.5, (len(z), 1)), cluster


def source_of(new: Array, z: Array) -> npt.NDArray[np.int64]:
    """Which row of z each row of the new table is."""
    where = {tuple(row): i for i, row in enumerate(z.tolist())}
    assert len(where) == len(z)
    return np.array([where[tuple(row)] for row in new.tolist()])


@given(seed=SEEDS, sizes=st.lists(st.integers(1, 12), min_size=2, max_size=6))
def test_cluster_permuted_deals_rows_out_in_few_pieces_and_to_other_clusters(seed: int, sizes: list[int]) -> None:
    z, cluster = a_clustered_table(seed, sizes)
    new = made(z, "cluster-permuted", seed=seed, clusters=len(sizes))
    source = source_of(new, z)
    assert sorted(source.tolist()) == list(range(len(z)))
    np.testing.assert_allclose(np.cov(new.T), np.cov(z.T))
    assert len({*zip(cluster.tolist(), cluster[source].tolist(), strict=True)}) <= 2 * len(sizes)
    if 3 * max(sizes) <= sum(sizes):  # the first clusters then hold between a third and two thirds of the items
        assert (cluster[source] != cluster).all()


@given(seed=SEEDS, size=st.integers(2, 8), count=st.integers(2, 6))
def test_clusters_of_equal_size_are_exchanged_whole_and_in_order(seed: int, size: int, count: int) -> None:
    z, cluster = a_clustered_table(seed, [size] * count)
    source = source_of(made(z, "cluster-permuted", seed=seed, clusters=count), z)
    for items in (np.flatnonzero(cluster == c) for c in range(count)):
        rows = source[items]
        assert len(set(cluster[rows].tolist())) == 1
        assert cluster[rows[0]] != cluster[items[0]]
        mine, its = (first_scores(z[part]) for part in (items, rows))
        assert mine.argsort().tolist() in (its.argsort().tolist(), its.argsort()[::-1].tolist())


def first_scores(rows: Array) -> Array:
    """Places on the first principal axis, by the eigenvectors of the covariance; its sign is arbitrary."""
    scores: Array = rows @ np.linalg.eigh(np.cov(rows.T, bias=True))[1][:, -1]
    return scores


def test_rows_of_zeros_are_in_no_cluster() -> None:
    z, _ = a_clustered_table(0, [4, 4])
    z[[1, 5]] = 0
    new = made(z, "cluster-permuted", clusters=2)
    assert np.flatnonzero((new == 0).all(1)).tolist() == [1, 5]
    np.testing.assert_array_equal(made(np.zeros((3, 2)), "cluster-permuted"), np.zeros((3, 2)))


@given(seed=SEEDS, bare=st.integers(0, 3))
def test_id_norms_and_id_directions_take_one_thing_each(seed: int, bare: int) -> None:
    z, ids = a_table(seed, bare=bare), a_table(seed + 1)
    with_norms, with_directions = made(z, "id-norms", ids), made(z, "id-directions", ids)
    assert_directions_kept(with_norms, z)
    np.testing.assert_allclose(norms(with_norms)[bare:], norms(ids)[bare:])
    assert_directions_kept(with_directions, ids)
    np.testing.assert_allclose(norms(with_directions), norms(z))
    assert (with_norms[:bare] == 0).all()


@pytest.mark.parametrize("control", ["id-norms", "id-directions"])
def test_id_controls_need_an_id_table(control: str) -> None:
    with pytest.raises(UserError, match=rf"embedding\.control={control} needs the ID table that a run trains first"):
        made(a_table(0), control)


@given(seed=SEEDS, n=st.integers(3, 12))
def test_spectrum_matched_keeps_mean_covariance_and_singular_values(seed: int, n: int) -> None:
    """Fewer items than columns included."""
    z = a_table(seed, n)
    new = made(z, "spectrum-matched", seed=seed)
    scale = float(singular(z)[0])
    np.testing.assert_allclose(new.mean(0), z.mean(0), atol=1e-9 * scale)
    np.testing.assert_allclose(np.cov(new.T), np.cov(z.T), atol=1e-9 * scale**2)
    np.testing.assert_allclose(singular(new), singular(z), atol=1e-9 * scale)
    np.testing.assert_allclose(singular(new - new.mean(0)), singular(z - z.mean(0)), atol=1e-9 * scale)
    assert not np.allclose(new @ new.T, z @ z.T)


def test_spectrum_matched_forgets_the_items() -> None:
    """Only the mean is left on average."""
    z = a_table(3)
    average = np.mean([made(z, "spectrum-matched", seed=seed) for seed in range(400)], axis=0)
    assert np.linalg.norm(average - z.mean(0)) < 2 * np.linalg.norm(z - z.mean(0)) / np.sqrt(400)


@given(seed=SEEDS)
def test_rotation_keeps_the_gram_matrix(seed: int) -> None:
    z = a_table(seed)
    new = made(z, "rotation", seed=seed)
    np.testing.assert_allclose(new @ new.T, z @ z.T, atol=1e-9 * singular(z)[0] ** 2)
    assert not np.allclose(new, z)


@pytest.mark.parametrize(
    "control",
    ["shuffled-norms", "lognormal-norms", "permuted-items", "cluster-permuted", "spectrum-matched", "rotation"],
)
def test_the_seed_decides(control: str) -> None:
    z = a_table(0)
    before = z.copy()
    np.testing.assert_array_equal(made(z, control, seed=1), made(z, control, seed=1))
    assert not np.allclose(made(z, control, seed=1), made(z, control, seed=2))
    np.testing.assert_array_equal(z, before)


def test_no_control_is_the_table_itself() -> None:
    z = a_table(0)
    assert made(z, "none") is z
