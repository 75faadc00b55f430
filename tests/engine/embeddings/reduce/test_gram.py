"""The streamed sums against dense float64 references, whatever the blocks; and that memory does not grow with items."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from engine.embeddings import rows
from engine.embeddings.graph.cooccurrence import Matrix
from engine.embeddings.graph.laplacian import Kind, Laplacian, laplacian
from engine.embeddings.reduce import gram, reductions
from engine.embeddings.reduce.gram import gram_sums
from engine.embeddings.reduce.reductions import FittedTable, fit, prepare
from engine.embeddings.rows import PreparedRows, Vectors
from engine.spec import Embedding
from tests.engine.parts import embedding_of

Array = npt.NDArray[np.float64]
FLOAT32 = 1e-5
"""Tolerance, relative to the largest entry, where products are float32."""


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Every catalogue is a large one."""
    monkeypatch.setattr(reductions, "EXACT", 0)
    monkeypatch.setattr(rows, "BLOCK_ROWS", 1)
    return monkeypatch


def vectors(seed: int, n: int, d: int) -> npt.NDArray[np.float16]:
    draw = np.random.default_rng(seed)
    return (draw.standard_normal((n, d)) * draw.gamma(2.0, 1.0, d) + draw.random(d) * 2).astype(np.float16)


def graph(kind: str, seed: int, n: int) -> Array:
    """Symmetric, non-negative, empty diagonal."""
    draw = np.random.default_rng(seed + 1)
    chance = {
        "empty": np.zeros((n, n)),
        "sparse": np.full((n, n), 2 / n),
        "dense": np.full((n, n), 0.7),
        "hubs": np.add.outer(np.arange(n) < 2, np.arange(n) < 2) * 0.9,
    }[kind]
    upper = np.triu(draw.random((n, n)) * (draw.random((n, n)) < chance), 1)
    return upper + upper.T


def dense_laplacian(a: Array, kind: Kind) -> Array:
    degree = a.sum(1)
    live = np.diag((degree > 0).astype(float))
    safe = np.where(degree > 0, degree, 1.0)
    if kind == "normalized":
        return np.asarray(live - a / np.sqrt(np.outer(safe, safe)))
    if kind == "random-walk":
        return np.asarray(live - (a / safe[:, None] + a / safe[None, :]) / 2)
    plain = np.diag(degree) - a
    return np.asarray(plain / max(np.linalg.eigvalsh(plain)[-1], 1e-300)) if degree.any() else plain


def dense_rows(x: npt.NDArray[np.floating], center: bool, unit: bool) -> Array:
    made = x.astype(np.float64)
    if center:
        made = made - made.mean(0)
    return made / np.linalg.norm(made, axis=1, keepdims=True) if unit else made


def prepared(x: npt.NDArray[Any], center: bool = True, unit: bool = True) -> PreparedRows:
    return prepare(Vectors(x, np.arange(len(x))), Embedding(center=center, pre_normalize=unit))


def close(found: npt.NDArray[np.floating] | None, expected: npt.NDArray[np.floating], tolerance: float) -> None:
    assert found is not None
    scale = max(float(np.abs(expected).max()), 1e-6)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 40),
    d=st.integers(1, 9),
    shape=st.sampled_from(["empty", "sparse", "dense", "hubs"]),
    kind=st.sampled_from(["normalized", "combinatorial", "random-walk"]),
    center=st.booleans(),
    unit=st.booleans(),
    block=st.integers(20, 300),
    kept=st.integers(1, 200),
    fetched=st.integers(10, 100),
    entries=st.integers(10, 200),
    columns=st.integers(1, 9),
    whole=st.booleans(),
)
def test_streamed_moments_are_those_of_dense_matrices(
    small_blocks: pytest.MonkeyPatch,
    seed: int,
    n: int,
    d: int,
    shape: str,
    kind: Kind,
    center: bool,
    unit: bool,
    block: int,
    kept: int,
    fetched: int,
    entries: int,
    columns: int,
    whole: bool,
) -> None:
    """Edges at one end or at both; blocks of rows, rows kept, rows fetched, entries at once: each from one to all."""
    x, a = vectors(seed, n, d), graph(shape, seed, n)
    with small_blocks.context() as patch:
        patch.setattr(rows, "BLOCK", block)
        patch.setattr(gram, "_CACHE", kept)
        patch.setattr(gram, "_COLUMNS", columns)
        patch.setattr(gram, "_FLOPS", 1e9 if whole else 0.0)
        patch.setattr(gram, "_FETCH", fetched)
        patch.setattr(gram, "_ENTRIES", entries)
        found = gram_sums(prepared(x, center, unit), laplacian(Matrix(sparse.csr_array(a)), kind))
        filtered = gram.filtered(prepared(x, center, unit), laplacian(Matrix(sparse.csr_array(a)), kind), 0.6)
        smooth = np.concatenate([part.numpy() for _, part in filtered.blocks()])
    reference = dense_rows(x, center, unit)
    el = dense_laplacian(a, kind)
    size = max(float((reference**2).sum()), 1e-3)
    np.testing.assert_allclose(found.mean, reference.mean(0), atol=1e-5 * np.abs(x).max())
    np.testing.assert_allclose(found.gram, reference.T @ reference, atol=FLOAT32 * size)
    assert found.roughness is not None
    np.testing.assert_allclose(found.roughness, reference.T @ el @ reference, atol=FLOAT32 * size)
    np.testing.assert_allclose(smooth, reference - 0.6 * el @ reference, atol=1e-4 * np.abs(reference).max())


def test_a_small_catalogue_is_exact_and_agrees_with_the_streamed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x, a = vectors(5, 60, 8), graph("sparse", 5, 60)
    el = laplacian(Matrix(sparse.csr_array(a)))
    reference = dense_rows(x, True, True)
    exact = gram_sums(prepared(x), el)
    close(exact.gram, reference.T @ reference, 1e-13)
    close(exact.roughness, reference.T @ dense_laplacian(a, "normalized") @ reference, 1e-12)
    monkeypatch.setattr(reductions, "EXACT", 0)
    streamed = gram_sums(prepared(x), el)
    assert exact.precision == float(np.finfo(np.float64).eps)
    assert streamed.precision == float(np.finfo(np.float32).eps)
    assert not np.array_equal(exact.gram, streamed.gram)
    close(streamed.gram, exact.gram, FLOAT32)
    close(streamed.roughness, exact.roughness if exact.roughness is not None else np.zeros(0), FLOAT32)
    assert gram_sums(prepared(x)).roughness is None


@pytest.mark.parametrize("d", [97, 200, 501])
def test_a_triangle_by_blocks_is_that_of_the_product(d: int) -> None:
    x, y = torch.from_numpy(np.random.default_rng(d).standard_normal((2, 30, d)))
    np.testing.assert_allclose(np.triu(gram._upper(x, y).numpy()), np.triu((x.T @ y).numpy()), atol=1e-12)


@pytest.mark.parametrize("reduce", ["rec-pca", "pca", "graph-pca", "truncate", "variance", "autoencoder", "none"])
@pytest.mark.parametrize("post", ["none", "whiten", "zca", "ace"])
def test_a_streamed_fit_gives_the_exact_one_to_float32(reduce: str, post: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, a = vectors(7, 80, 10), graph("sparse", 7, 80)
    settings_ = embedding_of(reduce=reduce, post=post, lambda_=0.7, steps=20, popular_share=0.5, epsilon=1e-3, scale=2)

    def fitted() -> FittedTable:
        el = laplacian(Matrix(sparse.csr_array(a))) if settings_.graph_reduction else None
        given_rows = prepare(Vectors(x, np.arange(80)), settings_)
        return fit(given_rows, 4, settings_, laplacian=el, popularity=np.arange(80))

    exact = fitted()
    monkeypatch.setattr(reductions, "EXACT", 0)
    monkeypatch.setattr(rows, "BLOCK", 70)
    monkeypatch.setattr(rows, "BLOCK_ROWS", 1)
    streamed = fitted()
    assert streamed.z.shape == (80, 10 if reduce == "none" else 4)
    np.testing.assert_allclose(streamed.z, exact.z, atol=2e-4 * np.abs(exact.z).max())
    np.testing.assert_allclose(streamed.retained, exact.retained, rtol=1e-5)
    np.testing.assert_array_equal(fitted().z, streamed.z)


def test_a_selection_of_the_rows_of_a_file_is_read(small_blocks: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """float16, float32 and bfloat16 in a file, in its order, with gaps, and in another order."""
    small_blocks.setattr(rows, "BLOCK", 30)
    x = torch.from_numpy(vectors(3, 50, 6)).to(torch.bfloat16)  # what bfloat16 holds, the others hold
    bits = x.view(torch.int16).numpy().view(rows.BFLOAT16)
    draw = np.random.default_rng(0)
    for stored in (x.float().numpy().astype(np.float16), x.float().numpy(), bits, x.float().numpy().astype(">f4")):
        np.save(tmp_path / "x.npy", stored.view(np.int16) if stored.dtype == rows.BFLOAT16 else stored)
        opened = np.load(tmp_path / "x.npy", mmap_mode="r")
        mapped = opened.view(rows.BFLOAT16) if stored.dtype == rows.BFLOAT16 else opened
        for wanted in (np.arange(50), np.arange(0, 50, 3), draw.permutation(50)[:20]):
            held = Vectors(mapped, wanted)
            np.testing.assert_array_equal(held.array(), x.float().numpy()[wanted])
            made = prepare(held, Embedding())
            assert made.exact is None
            np.testing.assert_allclose(made.array(), dense_rows(x.float().numpy()[wanted], True, True), atol=1e-6)


def test_an_item_at_the_mean_stays_at_zero_in_blocks(small_blocks: pytest.MonkeyPatch) -> None:
    x = np.array([[1, 1], [1, 3], [1, -1]], np.float16)
    np.testing.assert_array_equal(prepared(x).array(), [[0, 0], [0, 1], [0, -1]])


def anonymous() -> int:
    """Bytes of the process that no file backs."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


def growth_in_a_fit(held: Vectors, el: Laplacian) -> int:
    """The most anonymous memory during a fit, above what there was before it."""
    base = most = anonymous()
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.005):
            most = max(most, anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    found = gram_sums(prepare(held, Embedding()), el)
    over.set()
    watcher.join()
    assert found.n == len(held.rows)
    return most - base


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_does_not_grow_with_items(small_blocks: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Seven times the items, whose rows take 29 MiB more in float16 and 59 MiB more in float32."""
    for module, name in ((rows, "BLOCK"), (gram, "_CACHE"), (gram, "_FETCH"), (gram, "_ENTRIES")):
        small_blocks.setattr(module, name, 1 << 18)
    few, many, d = 10_000, 70_000, 256
    matrix = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float16, (many, d))
    matrix[:] = np.random.default_rng(0).standard_normal((1000, d)).astype(np.float16)[np.arange(many) % 1000]
    matrix.flush()
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")

    def ring(n: int) -> Laplacian:
        a = sparse.coo_array((np.ones(n), (np.arange(n), (np.arange(n) * 7 + 1) % n)), shape=(n, n))
        return laplacian(Matrix((a + a.T).tocsr()))

    growth_in_a_fit(Vectors(mapped, np.arange(few)), ring(few))  # libraries take what they keep
    small, large = (growth_in_a_fit(Vectors(mapped, np.arange(n)), ring(n)) for n in (few, many))
    assert large - small < 20 << 20
