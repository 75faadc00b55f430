"""Laplacians against dense formulas, and the facts that their docstring states."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse import csgraph

from engine.embeddings.graph.cooccurrence import Matrix
from engine.embeddings.graph.laplacian import Kind, laplacian

KINDS: list[Kind] = ["normalized", "combinatorial", "random-walk"]
Array = npt.NDArray[np.float64]


def random_graph(seed: int, n: int, density: float) -> Array:
    generator = np.random.default_rng(seed)
    upper = np.triu(generator.gamma(1.0, 1.0, (n, n)) * (generator.random((n, n)) < density), 1)
    dense: Array = upper + upper.T
    return dense


def dense(a: Array, kind: Kind) -> Array:
    degree = a.sum(1)
    linked = np.diag((degree > 0).astype(float))
    inverse = np.diag([1 / d if d > 0 else 0.0 for d in degree])
    if kind == "normalized":
        return np.asarray(linked - np.sqrt(inverse) @ a @ np.sqrt(inverse))
    if kind == "random-walk":
        p = inverse @ a
        return np.asarray(linked - (p + p.T) / 2)
    plain = np.diag(degree) - a
    return np.asarray(plain / (np.linalg.eigvalsh(plain)[-1] or 1.0))


def found(a: Array, kind: Kind) -> Array:
    return laplacian(Matrix(sparse.csr_array(a)), kind).product(np.eye(len(a)))


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.sampled_from(KINDS))
def test_product_equals_the_dense_formula(seed: int, n: int, density: float, kind: Kind) -> None:
    a = random_graph(seed, n, density)
    np.testing.assert_allclose(found(a, kind), dense(a, kind), atol=2e-6)
    isolated = a.sum(1) == 0
    assert not found(a, kind)[isolated].any()


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 30), st.floats(0.05, 1))
def test_spectra_are_where_the_docstring_puts_them(seed: int, n: int, density: float) -> None:
    a = random_graph(seed, n, density)
    values = {kind: np.linalg.eigvalsh(found(a, kind)) for kind in KINDS}
    assert values["normalized"].min() > -1e-9
    assert values["normalized"].max() < 2 + 1e-9
    assert values["combinatorial"].min() > -1e-9
    assert values["combinatorial"].max() == pytest.approx(float(a.any()), abs=2e-6)
    assert values["random-walk"].min() < 1e-9
    scaled = found(a * 1000, "combinatorial")
    np.testing.assert_allclose(scaled, found(a, "combinatorial"), atol=4e-6)


def test_normalised_equals_scipys() -> None:
    a = random_graph(1, 12, 0.3)
    a[3] = a[:, 3] = 0
    expected = np.asarray(csgraph.laplacian(a, normed=True), dtype=np.float64)
    np.testing.assert_allclose(found(a, "normalized"), expected, atol=1e-12)


def test_random_walk_on_a_star_is_indefinite_and_on_a_regular_graph_the_normalised_one() -> None:
    m = 16
    star = np.zeros((m + 1, m + 1))
    star[0, 1:] = star[1:, 0] = 1.0
    assert np.linalg.eigvalsh(found(star, "random-walk"))[0] == pytest.approx(1 - (4 + 1 / 4) / 2)
    ring = np.roll(np.eye(9), 1, axis=0) + np.roll(np.eye(9), -1, axis=0)
    np.testing.assert_allclose(found(ring, "random-walk"), found(ring, "normalized"), atol=1e-12)


def test_the_index_arrays_are_shared() -> None:
    a = Matrix(sparse.csr_array(random_graph(2, 30, 0.5)))
    for kind in KINDS:
        assert np.shares_memory(laplacian(a, kind).links.indices, a.indices)
