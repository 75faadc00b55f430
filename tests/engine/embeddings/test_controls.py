"""Each counterfactual table: what it changes, and what it must keep."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.embeddings.controls import controlled
from engine.spec import Embedding

Array = npt.NDArray[np.float64]
SEEDS = st.integers(0, 10**6)


def a_table(seed: int, n: int = 30, k: int = 5, bare: int = 0) -> Array:
    draw = np.random.default_rng(seed)
    z = draw.standard_normal((n, k)) * draw.gamma(1.0, 1.0, k) * draw.lognormal(0, 0.5, (n, 1)) + draw.random(k)
    z[:bare] = 0
    return z


def made(z: Array, control: str, **changes: Any) -> Array:
    return controlled(z, Embedding(control=control, **changes))


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
    "control", ["shuffled-norms", "lognormal-norms", "permuted-items", "spectrum-matched", "rotation"]
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
