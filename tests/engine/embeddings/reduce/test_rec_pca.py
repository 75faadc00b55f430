"""Rec-PCA against dense references built edge by edge, and against numpy's SVD."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from engine.embeddings.graph.cooccurrence import Matrix
from engine.embeddings.graph.laplacian import Laplacian, laplacian
from engine.embeddings.reduce import rec_pca as reduce
from engine.embeddings.reduce.gram import GramSums
from engine.embeddings.reduce.rec_pca import rec_pca
from engine.errors import UserError

Array = npt.NDArray[np.float64]


def random_case(seed: int, n: int, d: int, density: float) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    upper = np.triu(generator.random((n, n)) * (generator.random((n, n)) < density), 1)
    return generator.standard_normal((n, d)) * generator.gamma(1.0, 1.0, d), upper + upper.T


def graph_laplacian(a: Array) -> Laplacian:
    return laplacian(Matrix(sparse.csr_array(a)))


def sums(x: Array, graph: Laplacian | None = None) -> GramSums:
    roughness = None if graph is None else x.T @ graph.product(x)
    return GramSums(len(x), x.mean(0), x.T @ x, roughness, float(np.finfo(np.float64).eps))


def total_variation(z: Array, a: Array) -> float:
    """tr(Z^T L Z) as a sum over edges: w_ij ||z_i / sqrt(deg_i) - z_j / sqrt(deg_j)||^2."""
    degree = a.sum(1)
    total = 0.0
    for i in range(len(a)):
        for j in range(i):
            if a[i, j]:
                gap = z[i] / np.sqrt(degree[i]) - z[j] / np.sqrt(degree[j])
                total += a[i, j] * float(gap @ gap)
    return total


def dense_s(x: Array, a: Array, lambda_: float) -> Array:
    """X^T X - lambda X^T L X with each entry of X^T L X found by polarising the sum over edges."""
    d = x.shape[1]
    rough = np.zeros((d, d))
    for p in range(d):
        for q in range(d):
            plus, minus = x[:, [p]] + x[:, [q]], x[:, [p]] - x[:, [q]]
            rough[p, q] = (total_variation(plus, a) - total_variation(minus, a)) / 4
    return x.T @ x - lambda_ * rough


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(3, 14),
    d=st.integers(2, 6),
    density=st.floats(0, 1),
    lambda_=st.floats(0, 5),
    data=st.data(),
)
def test_objective_is_the_sum_of_the_top_eigenvalues_of_the_edge_by_edge_reference(
    seed: int, n: int, d: int, density: float, lambda_: float, data: st.DataObject
) -> None:
    x, a = random_case(seed, n, d, density)
    k = data.draw(st.integers(1, d))
    found = rec_pca(sums(x, graph_laplacian(a)), k, lambda_)
    s = dense_s(x, a, lambda_)
    best = np.linalg.eigvalsh(s)[::-1][:k].sum()
    scale = np.abs(s).sum() + 1
    assert found.eigenvalues.sum() == pytest.approx(best, abs=1e-9 * scale)
    np.testing.assert_allclose(found.w.T @ found.w, np.eye(k), atol=1e-9)
    z = x @ found.w
    reached = float((z**2).sum()) - lambda_ * total_variation(z, a)
    assert reached == pytest.approx(best, abs=1e-9 * scale)
    other = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, k)))[0]
    assert float(np.trace(other.T @ s @ other)) <= best + 1e-9 * scale
    assert found.positive == (np.linalg.eigvalsh(s) > 1e-9 * scale).sum() or np.abs(np.linalg.eigvalsh(s)).min() < 1e-8


@given(seed=st.integers(0, 10**6))
def test_lambda_zero_is_pca(seed: int) -> None:
    x, a = random_case(seed, 20, 5, 0.3)
    x -= x.mean(0)
    found = rec_pca(sums(x, graph_laplacian(a)), 3, 0.0)
    _, singular, axes = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(found.eigenvalues, singular[:3] ** 2, rtol=1e-8)
    np.testing.assert_allclose(np.abs(found.w.T @ axes[:3].T), np.eye(3), atol=1e-5)
    np.testing.assert_allclose(rec_pca(sums(x), 3).w, found.w, atol=1e-12)
    assert found.retained == pytest.approx((singular[:3] ** 2).sum() / (singular**2).sum())


@given(seed=st.integers(0, 10**6), small=st.floats(0, 2), more=st.floats(0, 2))
def test_variance_and_variation_fall_as_lambda_grows_within_the_bound(seed: int, small: float, more: float) -> None:
    """docs/method.md F.6: V0 - V <= lambda (T0 - T), V and T non-increasing in lambda."""
    x, a = random_case(seed, 16, 5, 0.4)
    graph = graph_laplacian(a)

    def v_and_t(lambda_: float) -> tuple[float, float]:
        z = x @ rec_pca(sums(x, graph), 2, lambda_).w
        return float((z**2).sum()), total_variation(z, a)

    (v0, t0), (v1, t1), (v2, t2) = v_and_t(0.0), v_and_t(small), v_and_t(small + more)
    slack = 1e-7 * (v0 + t0 + 1)
    assert v0 + slack >= v1
    assert v1 + slack >= v2
    assert t0 + slack >= t1
    assert t1 + slack >= t2
    assert v0 - v1 <= small * (t0 - t1) + slack


def test_signs_repeat_and_too_wide_a_target_is_refused() -> None:
    x, _ = random_case(3, 12, 4, 0.0)
    w = rec_pca(sums(x), 4).w
    assert (w[np.abs(w).argmax(0), range(4)] > 0).all()
    with pytest.raises(UserError, match=r"vectors of 4 dimensions to 5: set backbone\.width to at most 4"):
        rec_pca(sums(x), 5)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), d=st.integers(2, 12), lambda_=st.floats(0, 5), rank=st.integers(1, 12))
def test_many_dimensions_take_another_way_to_the_same_result(seed: int, d: int, lambda_: float, rank: int) -> None:
    """Beyond `WHOLE` dimensions: k vectors of D, and the signs of the other eigenvalues by Sylvester's law."""
    x, a = random_case(seed, 16, d, 0.4)
    x = x @ np.linalg.qr(np.random.default_rng(seed).standard_normal((d, min(rank, d))))[0] @ np.ones((min(rank, d), d))
    x += random_case(seed + 1, 16, d, 0.4)[0] * (rank > 6)
    of = sums(x, graph_laplacian(a))
    k = 1 + seed % d
    whole = rec_pca(of, k, lambda_)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reduce, "WHOLE", 0)
        wide = rec_pca(of, k, lambda_)
    scale = np.abs(of.gram).sum() + 1
    np.testing.assert_allclose(wide.eigenvalues, whole.eigenvalues, atol=1e-10 * scale)
    assert wide.eigenvalues.sum() == pytest.approx(whole.eigenvalues.sum(), abs=1e-9 * scale)
    np.testing.assert_allclose(wide.w.T @ wide.w, np.eye(k), atol=1e-9)
    values = np.linalg.eigvalsh(of.gram - lambda_ * (of.roughness if of.roughness is not None else 0))
    if (np.abs(values) > 1e-9 * scale).all():  # none is a matter of rounding
        assert wide.positive == whole.positive == (values > 0).sum()
