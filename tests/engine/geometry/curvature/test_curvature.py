"""The softmax's curvature against autograd, and every inequality of docs/method.md F on random inputs."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.geometry.curvature.bounds import angle_bounds, centred_bound, cluster_bound, norm_bound, tightness
from engine.geometry.curvature.conditioning import conditioning, softmax_hessian
from engine.geometry.curvature.probe import flat_share, probe_curvature, samples_apart
from engine.geometry.table.moments import moments
from engine.geometry.table.rows import Rows

Array = npt.NDArray[np.float64]
SLACK = 1 + 1e-7


def table_of(seed: int, n: int, d: int, disparity: float) -> tuple[Array, Array]:
    """Rows of unequal norms and spectrum about a common mean, and a distribution over them."""
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((n, d)) * np.exp(draw.standard_normal(d)) + draw.standard_normal(d)
    rows *= np.exp(disparity * draw.standard_normal(n))[:, None]
    p = np.exp(2 * draw.standard_normal(n))
    return rows, p / p.sum()


TABLES = st.builds(
    lambda seed, d, extra, disparity: table_of(seed, 2 * d + extra, d, disparity),
    st.integers(0, 10**6),
    st.integers(2, 7),
    st.integers(1, 30),
    st.sampled_from([0.0, 0.5, 1.5]),
)
PROPERTY = settings(deadline=None, max_examples=40)


def eigenvalues(matrix: Array) -> Array:
    return np.asarray(np.linalg.eigvalsh(matrix)[::-1], dtype=np.float64)


def kappa(matrix: Array) -> float:
    values = eigenvalues(matrix)
    return float(values[0] / values[-1])


@PROPERTY
@given(TABLES, st.floats(0.05, 2.0), st.integers(0, 10**6))
def test_it_is_the_hessian_of_the_cross_entropy_whatever_the_label(
    table: tuple[Array, Array], tau: float, seed: int
) -> None:
    rows = torch.from_numpy(table[0])
    h = torch.from_numpy(np.random.default_rng(seed).standard_normal(rows.shape[1])) * 0.1 * tau
    p = (rows @ h / tau).softmax(0).numpy()
    expected = softmax_hessian(table[0], p, tau)
    for label in (0, len(rows) - 1):
        found = torch.autograd.functional.hessian(
            lambda x, label=label: F.cross_entropy((rows @ x / tau)[None], torch.tensor([label])), h
        )
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12 * np.square(table[0]).max() / tau**2)


@PROPERTY
@given(TABLES, st.integers(0, 10**6))
def test_a_common_vector_changes_nothing_and_a_rotation_keeps_the_conditioning(
    table: tuple[Array, Array], seed: int
) -> None:
    rows, p = table
    draw = np.random.default_rng(seed)
    plain = softmax_hessian(rows, p)
    np.testing.assert_allclose(
        softmax_hessian(rows + draw.standard_normal(rows.shape[1]), p), plain, atol=1e-12 * np.square(rows).max()
    )
    q, _ = np.linalg.qr(draw.standard_normal((rows.shape[1], rows.shape[1])))
    one, other = conditioning(plain), conditioning(softmax_hessian(rows @ q, p))
    for name in ("kappa", "kappa_effective", "lambda_1", "trace", "effective_rank", "kept"):
        assert other[name] == pytest.approx(one[name], rel=1e-6)


@PROPERTY
@given(TABLES)
def test_bounds_3_5_and_6_hold(table: tuple[Array, Array]) -> None:
    rows, p = table
    uniform, weighted, unit = moments(Rows.of(rows)), moments(Rows.of(rows), p), moments(Rows.of(rows, unit=True))
    limit = centred_bound(p, uniform.covariance)
    assert limit is not None
    assert kappa(weighted.covariance) <= limit * SLACK
    low, high = eigenvalues(weighted.covariance), eigenvalues(weighted.second)
    assert (low <= high * SLACK).all()
    assert (high[1:] <= low[:-1] * SLACK + 1e-12 * high[0]).all()
    limit = norm_bound(p, weighted.norms, unit.second)
    assert limit is not None
    assert kappa(weighted.second) <= limit * SLACK
    even = np.full(len(rows), 1 / len(rows))
    assert centred_bound(even, uniform.covariance) == pytest.approx(kappa(uniform.covariance), rel=1e-6)


@PROPERTY
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(0, 400), st.floats(0, 0.6))
def test_bound_8_holds_on_unit_rows(seed: int, d: int, extra: int, lean: float) -> None:
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((3 * d + extra, d)) + lean * draw.standard_normal(d)
    second = moments(Rows.of(rows, unit=True)).second
    low, high = angle_bounds(float((second**2).sum()), d)
    assert low is None or kappa(second) >= low / SLACK
    assert high is None or kappa(second) <= high * SLACK


def test_bound_8_is_one_for_a_tight_frame() -> None:
    assert angle_bounds(1 / 4, 4) == (1.0, 1.0)


@PROPERTY
@given(TABLES, st.integers(2, 6), st.integers(0, 10**6))
def test_bound_9_holds_for_any_clusters(table: tuple[Array, Array], k: int, seed: int) -> None:
    rows, p = table
    labels = np.random.default_rng(seed).integers(k, size=len(rows))
    limit = cluster_bound(Rows.of(rows), labels, p)
    if limit is None:
        assert not 1 < len(np.unique(labels)) <= rows.shape[1]
        return
    assert kappa(softmax_hessian(rows, p)) >= limit / SLACK
    # the slow way: between and within add up to H
    names = np.unique(labels)
    mass = np.array([p[labels == c].sum() for c in names])
    centres = np.array([p[labels == c] @ rows[labels == c] / p[labels == c].sum() for c in names])
    between = softmax_hessian(centres, mass)
    within = softmax_hessian(rows, p) - between
    expected = np.trace(between) / ((len(names) - 1) * eigenvalues(within)[0])
    assert limit == pytest.approx(expected, rel=1e-6)


@settings(deadline=None, max_examples=20)
@given(TABLES, st.integers(0, 10**6))
def test_the_page_of_bounds_says_what_is_true(table: tuple[Array, Array], seed: int) -> None:
    rows, _ = table
    draw = np.random.default_rng(seed)
    found = tightness(Rows.of(rows), draw.integers(0, 50, len(rows)), draw.integers(2, size=len(rows)))
    assert {one["bound"] for one in found} == {"(3)", "(6)", "(8)", "(9)"}
    for one in found:
        if one["tightness"] is not None:
            assert one["tightness"] <= SLACK if one["side"] == "upper" else one["tightness"] >= 1 / SLACK


def test_conditioning_of_known_eigenvalues() -> None:
    found = conditioning(np.diag([4.0, 2.0, 1.0, 1.0, 1e-9]))
    assert found["kappa"] == pytest.approx(4e9, rel=1e-6)
    assert (found["kappa_effective"], found["kept"]) == (pytest.approx(4.0), 4)
    assert found["kappa_half"] == pytest.approx(4.0)
    assert found["dims_999"] == 4
    assert found["stable_rank"] == pytest.approx(2.0)
    q = np.array([0.5, 0.25, 0.125, 0.125])
    assert found["effective_rank"] == pytest.approx(math.exp(-(q * np.log(q)).sum()), rel=1e-6)
    assert conditioning(np.diag([1.0, 0.0]))["kappa"] is None
    assert conditioning(np.zeros((2, 2)))["kept"] == 0


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([1.0, 0.1]))
def test_the_probe_equals_the_slow_way(seed: int, bias: bool, tau: float) -> None:
    draw = np.random.default_rng(seed)
    n, d, b = 30, 4, 12
    rows, h = draw.standard_normal((n, d + bias)), draw.standard_normal((b, d + bias))
    targets = draw.integers(n, size=b)
    tensors = (torch.from_numpy(h), torch.from_numpy(rows), torch.from_numpy(targets))
    found = probe_curvature(*tensors, d, tau)
    p = np.array([np.exp(s - s.max()) / np.exp(s - s.max()).sum() for s in h @ rows.T])
    each = [softmax_hessian(rows[:, :d], one, tau) for one in p]
    expected = conditioning(np.mean(each, axis=0))
    for name in ("kappa", "kappa_effective", "kept", "lambda_1", "trace", "effective_rank"):
        assert found[name] == pytest.approx(expected[name], rel=1e-6)
    assert found["kappa_sample"] == pytest.approx(
        float(np.median([conditioning(one)["kappa_effective"] for one in each])), rel=1e-6
    )
    slopes = (p @ rows[:, :d] - rows[targets, :d]) / tau
    assert found["flat_gradient"] == pytest.approx(flat_share(np.mean(each, axis=0), slopes), abs=1e-9)


def test_flat_share_counts_what_lies_along_flat_directions() -> None:
    hessian = np.diag([1.0, 0.5, 1e-3])
    assert flat_share(hessian, np.array([[0.0, 0.0, 2.0], [3.0, 0.0, 0.0]])) == pytest.approx(0.5)
    assert flat_share(hessian, np.array([[1.0, 1.0, 0.0]])) == pytest.approx(0.0)


def test_a_large_catalogue_gets_fewer_samples_of_their_own() -> None:
    assert samples_apart(256, 1682, 64) == 256
    assert samples_apart(256, 1_000_000, 64) == 8
    assert math.isnan(
        probe_curvature(torch.full((2, 3), torch.nan), torch.ones(4, 3), torch.zeros(2).long(), 3)["kappa"]
    )
