"""Every reduction and post step against a slow reference, and what the stored map promises."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import linalg, sparse

from engine.embeddings.graph.cooccurrence import Matrix
from engine.embeddings.graph.laplacian import laplacian
from engine.embeddings.reduce.reductions import FittedTable, LinearMap, fit, load_map, prepare
from engine.embeddings.rows import Vectors
from engine.errors import UserError
from engine.spec import Embedding, Experiment, NoReduction, explain
from engine.spec.reductions import DrawnReduction
from tests.engine.parts import embedding_of, table_of

Array = npt.NDArray[np.float64]

N, D, K = 40, 12, 4
KINDS = ["truncate", "uniform", "variance", "random-subset", "gaussian", "orthogonal", "autoencoder", "pca", "rec-pca"]
WHITE = ["whiten", "zca", "cholesky"]
POSTS = [*WHITE, "batch-norm", "group-whiten", "ace"]


def vectors(seed: int = 0, n: int = N) -> Array:
    """Correlated columns of different sizes about a common mean; float32 holds them."""
    draw = np.random.default_rng(seed)
    mixed = draw.standard_normal((n, D)) @ (draw.standard_normal((D, D)) * draw.gamma(1.0, 1.0, D))
    return (mixed + draw.random(D) * 3).astype(np.float32).astype(np.float64)


def adjacency(seed: int = 0, n: int = N) -> Array:
    """Random weights; the last item has no edge."""
    draw = np.random.default_rng(seed + 1)
    upper = np.triu(draw.random((n, n)) * (draw.random((n, n)) < 0.2), 1)
    upper[:, -1] = 0
    return upper + upper.T


def fitted(x: Array, k: int = K, **changes: Any) -> FittedTable:
    embedding = embedding_of(**({"steps": 50, "epsilon": 0.0, "groups": 2} | changes))
    graph = laplacian(Matrix(sparse.csr_array(adjacency(n=len(x))))) if embedding.graph_reduction else None
    rows = prepare(Vectors(x, np.arange(len(x))), embedding)
    return fit(rows, k, embedding, laplacian=graph, popularity=np.arange(len(x)))


def rows_of(x: Array) -> Array:
    centred = x - x.mean(0)
    unit: Array = np.array([row / np.sqrt(sum(v * v for v in row)) for row in centred])
    return unit


def covariance(z: Array) -> Array:
    return np.array(np.cov(z, rowvar=False, bias=True))


# ------------------------------------------------------------------------------------ the map


@pytest.mark.parametrize(("kind", "post"), list(itertools.product(KINDS, ["none", *POSTS])))
def test_the_map_gives_the_table_on_raw_vectors_and_treats_each_item_by_itself(kind: str, post: str) -> None:
    x, unseen = vectors(), vectors(9, 7)
    found = fitted(x, reduce=kind, post=post, basis="random", scale=2.0)
    np.testing.assert_allclose(found.map.apply(x), found.z, atol=1e-10)
    together = found.map.apply(np.concatenate([x, unseen]))
    np.testing.assert_allclose(together[: len(x)], found.z, atol=1e-10)
    one_by_one = np.concatenate([found.map.apply(row[None]) for row in unseen])
    np.testing.assert_allclose(together[len(x) :], one_by_one, atol=1e-10)
    assert found.z.shape == (N, K)
    assert 0 < found.retained <= 1 + 1e-12


def test_preparation_is_part_of_the_map() -> None:
    x = vectors()
    for center, unit in itertools.product([True, False], repeat=2):
        found = fitted(x, reduce="truncate", center=center, pre_normalize=unit).map.apply(vectors(3))
        for row, z in zip(vectors(3), found, strict=True):
            moved = row - x.mean(0) if center else row
            np.testing.assert_allclose(z, (moved / np.sqrt((moved**2).sum()) if unit else moved)[:K])


def test_a_stored_map_reads_back_and_other_files_are_refused(tmp_path: Path) -> None:
    made = fitted(vectors(), post="whiten").map
    made.save(tmp_path / "map.safetensors")
    read = load_map(tmp_path / "map.safetensors")
    np.testing.assert_array_equal(read.apply(vectors(5)), made.apply(vectors(5)))
    assert [file.name for file in tmp_path.iterdir()] == ["map.safetensors"]
    (tmp_path / "bad.safetensors").write_bytes(b"not a map")
    for name in ("bad.safetensors", "absent.safetensors"):
        with pytest.raises(UserError, match="not a map; `tfllmer export map` writes them"):
            load_map(tmp_path / name)
    with pytest.raises(UserError, match=rf"takes vectors of {D} dimensions, not an array of shape \(3, 5\)"):
        made.apply(np.ones((3, 5)))


def test_an_item_at_the_mean_stays_at_zero() -> None:
    made = LinearMap(np.ones(2), np.eye(2), np.zeros(2), True)
    np.testing.assert_array_equal(made.apply(np.array([[1.0, 1.0], [1.0, 3.0]])), [[0, 0], [0, 1]])


@pytest.mark.parametrize("kind", [*KINDS, "graph-pca"])
def test_equal_settings_give_equal_maps_and_only_chance_reads_the_seed(kind: str) -> None:
    first, again, other = (fitted(vectors(), reduce=kind, seed=seed).map.w for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) != isinstance(embedding_of(reduce=kind).reduce, DrawnReduction)


# ------------------------------------------------------------------------------------ reductions


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), k=st.integers(1, D), share=st.sampled_from([0.2, 0.5, 1.0]))
def test_picks_are_columns(seed: int, k: int, share: float) -> None:
    x = vectors(seed)
    rows = rows_of(x)
    np.testing.assert_allclose(fitted(x, k, reduce="truncate").z, rows[:, :k])
    np.testing.assert_allclose(fitted(x, k, reduce="uniform").z, rows[:, [int(j * D / k) for j in range(k)]])
    popular = rows[N - int(np.ceil(share * N)) :]  # item i was consumed i times
    spread = sorted(range(D), key=lambda j: -sum((v - popular[:, j].mean()) ** 2 for v in popular[:, j]))
    expected = rows[:, sorted(spread[:k])]
    np.testing.assert_allclose(fitted(x, k, reduce="variance", popular_share=share).z, expected)
    subset = fitted(x, k, reduce="random-subset", seed=seed).z
    places = [next(j for j in range(D) if np.allclose(rows[:, j], column)) for column in subset.T]
    assert len(set(places)) == k
    assert places == sorted(places)


@pytest.mark.parametrize("kind", ["gaussian", "orthogonal"])
def test_random_projections_keep_squared_lengths_in_expectation(kind: str) -> None:
    rows = rows_of(vectors())[:5]
    ratios = np.array([(fitted(vectors(), reduce=kind, seed=s).z[:5] ** 2).sum(1) for s in range(400)])
    error = ratios.std(0) / np.sqrt(len(ratios))
    assert (np.abs(ratios.mean(0) - (rows**2).sum(1)) < 4 * error).all()
    gram = fitted(vectors(), reduce=kind).map.w.T @ fitted(vectors(), reduce=kind).map.w
    assert np.allclose(gram, D / K * np.eye(K)) == (kind == "orthogonal")


def test_pca_is_the_truncated_svd() -> None:
    rows = rows_of(vectors())
    u, s, _ = np.linalg.svd(rows, full_matrices=False)
    found = fitted(vectors(), reduce="pca")
    np.testing.assert_allclose(found.z @ found.z.T, (u[:, :K] * s[:K] ** 2) @ u[:, :K].T, atol=1e-10)
    assert found.retained == pytest.approx((s[:K] ** 2).sum() / (s**2).sum())


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), lambda_=st.floats(0, 3))
def test_graph_pca_is_pca_of_filtered_rows_and_items_without_edges_are_not_filtered(seed: int, lambda_: float) -> None:
    x, a = vectors(seed), adjacency()
    degree = a.sum(1)
    rows = rows_of(x)
    filtered = rows.copy()
    for i in range(N):
        if degree[i]:
            mixed = sum(a[i, j] / np.sqrt(degree[i] * degree[j]) * rows[j] for j in range(N) if a[i, j])
            filtered[i] = (1 - lambda_) * rows[i] + lambda_ * mixed
    s = np.linalg.svd(filtered, compute_uv=False)
    found = fitted(x, D, reduce="graph-pca", lambda_=lambda_)
    np.testing.assert_allclose(found.z @ found.z.T, filtered @ filtered.T, atol=1e-9)
    np.testing.assert_allclose((found.z**2).sum(0), s**2, atol=1e-9)
    np.testing.assert_allclose(found.map.apply(x)[-1], found.z[-1], atol=1e-10)
    assert degree[-1] == 0


def test_the_autoencoder_comes_close_to_the_best_reconstruction() -> None:
    best = fitted(vectors(), reduce="pca").retained
    one, some, many = (fitted(vectors(), reduce="autoencoder", steps=n).retained for n in (1, 1000, 10_000))
    assert one < some < many <= best + 1e-12
    assert many > best - 1e-3


@pytest.mark.parametrize("kind", ["truncate", "gaussian", "pca"])
def test_a_random_basis_turns_the_scores(kind: str) -> None:
    own, turned = (fitted(vectors(), reduce=kind, basis=basis) for basis in ("own", "random"))
    np.testing.assert_allclose(own.z @ own.z.T, turned.z @ turned.z.T, atol=1e-10)
    assert not np.allclose(own.z, turned.z)
    assert own.retained == pytest.approx(turned.retained)


@pytest.mark.parametrize("basis", ["own", "random"])
def test_without_a_reduction_all_columns_stay(basis: str) -> None:
    rows = rows_of(vectors())
    plain = fitted(vectors(), reduce="none", basis=basis)
    assert plain.z.shape == (N, D)
    assert plain.retained == pytest.approx(1.0)
    np.testing.assert_allclose(plain.z @ plain.z.T, rows @ rows.T, atol=1e-12)
    assert np.allclose(plain.z, rows) == (basis == "own")
    centred = rows - rows.mean(0)
    white = centred @ np.linalg.inv(covariance(rows)) @ centred.T
    for post in WHITE:
        z = fitted(vectors(), reduce="none", basis=basis, post=post).z
        np.testing.assert_allclose(z @ z.T, white, atol=1e-7)
    root = linalg.fractional_matrix_power(covariance(rows) + 0.1 * np.trace(covariance(rows)) / D * np.eye(D), -0.5)
    np.testing.assert_allclose(fitted(vectors(), reduce="none", post="zca", epsilon=0.1).z, centred @ root, atol=1e-8)


# ------------------------------------------------------------------------------------ post steps


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    k=st.sampled_from([2, 4, 6]),
    kind=st.sampled_from([*KINDS, "graph-pca"]),
    post=st.sampled_from(WHITE),
    basis=st.sampled_from(["own", "random"]),
)
def test_whitened_tables_are_white(seed: int, k: int, kind: str, post: str, basis: str) -> None:
    z = fitted(vectors(seed), k, reduce=kind, post=post, basis=basis, seed=seed, lambda_=0.7).z
    np.testing.assert_allclose(covariance(z), np.eye(k), atol=1e-6)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-6)


@pytest.mark.parametrize("kind", ["gaussian", "pca", "rec-pca"])
@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_post_steps_against_dense_references(kind: str, epsilon: float) -> None:
    plain = fitted(vectors(), reduce=kind, basis="random").z
    scores = plain - plain.mean(0)
    added = covariance(scores) + epsilon * np.trace(covariance(scores)) / K * np.eye(K)

    def found(post: str, **changes: Any) -> Array:
        return fitted(vectors(), reduce=kind, basis="random", epsilon=epsilon, post=post, **changes).z

    root = linalg.fractional_matrix_power(added, -0.5)
    np.testing.assert_allclose(found("zca"), scores @ root, atol=1e-8)
    for white in WHITE:  # all are rotations of each other
        np.testing.assert_allclose(found(white) @ found(white).T, scores @ np.linalg.inv(added) @ scores.T, atol=1e-8)
    lower = np.linalg.cholesky(added)
    np.testing.assert_allclose(found("cholesky"), np.linalg.solve(lower, scores.T).T, atol=1e-8)
    spread = covariance(found("whiten"))
    np.testing.assert_allclose(spread, np.diag(np.diag(spread)), atol=1e-8)
    assert (np.diff(np.diag(spread)) <= 1e-8).all()
    for j in range(K):
        np.testing.assert_allclose(found("batch-norm")[:, j], scores[:, j] / np.sqrt(added[j, j]), atol=1e-8)
    for groups in (1, 2, 4):
        blocks = np.split(np.arange(K), groups)
        parts = [scores[:, b] @ linalg.fractional_matrix_power(added[np.ix_(b, b)], -0.5) for b in blocks]
        np.testing.assert_allclose(found("group-whiten", groups=groups), np.hstack(parts), atol=1e-8)
    u, s, _ = np.linalg.svd(scores, full_matrices=False)
    for shrinkage in (0.01, 1.0, 300.0):
        shrunk = u * np.sqrt(s**2 / (s**2 + shrinkage))
        ace = found("ace", shrinkage=shrinkage)
        np.testing.assert_allclose(ace @ ace.T, shrunk @ shrunk.T, atol=1e-8)
        np.testing.assert_allclose(np.abs(shrunk.T @ ace), np.diag(s**2 / (s**2 + shrinkage)), atol=1e-8)


def test_one_group_is_zca_and_groups_of_one_column_are_batch_norm() -> None:
    whole, single = (fitted(vectors(), reduce="uniform", post="group-whiten", groups=g).z for g in (1, K))
    np.testing.assert_allclose(whole, fitted(vectors(), reduce="uniform", post="zca").z)
    np.testing.assert_allclose(single, fitted(vectors(), reduce="uniform", post="batch-norm").z)


def test_ace_lies_between_whitening_and_pca() -> None:
    x = vectors()
    pca = fitted(x, reduce="pca").z
    ends = {1e-9: fitted(x, reduce="pca", post="whiten").z, 1e9: pca - pca.mean(0)}
    for shrinkage, end in ends.items():
        ace = fitted(x, reduce="pca", post="ace", shrinkage=shrinkage).z
        gram, other = ace @ ace.T, end @ end.T
        np.testing.assert_allclose(gram / np.trace(gram), other / np.trace(other), atol=1e-7)


def test_after_pca_of_centred_rows_every_whitening_is_the_same() -> None:
    whitened = fitted(vectors(), reduce="pca", post="whiten", pre_normalize=False).z
    for post in POSTS[:-1]:
        np.testing.assert_allclose(
            fitted(vectors(), reduce="pca", post=post, pre_normalize=False).z, whitened, atol=1e-7
        )


def test_whitened_rec_pca_keeps_the_subspace_of_rec_pca() -> None:
    plain, white = (fitted(vectors(), reduce="rec-pca", post=post).map.w for post in ("none", "whiten"))
    assert np.abs(linalg.subspace_angles(plain, white)).max() < 1e-7
    assert not np.allclose(covariance(fitted(vectors(), reduce="rec-pca").z), np.eye(K))


@pytest.mark.parametrize("post", ["none", *POSTS])
def test_scale_is_one_constant(post: str) -> None:
    own, scaled = fitted(vectors(), post=post).z, fitted(vectors(), post=post, scale=3.0).z
    assert np.sqrt((scaled**2).sum() / N) == pytest.approx(3.0)
    np.testing.assert_allclose(scaled / np.linalg.norm(scaled), own / np.linalg.norm(own), atol=1e-12)


# ------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("kind", [*KINDS, "graph-pca"])
def test_more_columns_than_dimensions_are_refused(kind: str) -> None:
    with pytest.raises(UserError, match=rf"vectors of {D} dimensions to 13: set backbone\.width to at most {D}"):
        fitted(vectors(), D + 1, reduce=kind)


@pytest.mark.parametrize("post", [post for post in POSTS if post != "ace"])
def test_columns_without_variance_need_epsilon(post: str) -> None:
    x = vectors()
    x[:, 2] = 5.0
    with pytest.raises(UserError, match=r"columns have no variance to whiten: set embedding\.post\.epsilon above 0"):
        fitted(x, reduce="truncate", post=post)
    z = fitted(x, reduce="truncate", post=post, epsilon=1e-6).z
    np.testing.assert_allclose(z.std(0).min(), 0, atol=1e-6)
    assert np.isfinite(z).all()


def test_all_columns_go_under_an_adapter_only() -> None:
    for inject in ("linear", "mlp", "spectral"):
        Experiment(embedding=Embedding(reduce=NoReduction()), table=table_of(inject=inject))
    for inject in ("initialise", "frozen", "sum", "split"):
        with pytest.raises(ValidationError) as caught:
            Experiment(embedding=Embedding(reduce=NoReduction()), table=table_of(inject=inject))
        told = explain(caught.value)
        assert told.startswith("embedding.reduce=none keeps all columns of the vectors, and backbone.width is another")
        assert told.endswith(f"set table.inject to linear, mlp or spectral, not {inject}")
    wide: dict[str, Any] = {"reduce": "none", "post": "group-whiten", "groups": 7}
    Experiment(embedding=embedding_of(**wide), table=table_of(inject="mlp"))  # D is known to the vectors only
    with pytest.raises(UserError, match=r"embedding\.post\.groups=7 does not divide the 12 columns of the table"):
        fitted(vectors(), **wide)


def test_a_negative_lambda_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        Experiment.model_validate({"embedding": {"reduce": {"kind": "rec-pca", "lambda": -1}}})
    assert explain(caught.value) == "embedding.reduce.lambda: input should be greater than or equal to 0, not -1"
