"""Every closed form against dense linear algebra, or plain loops, on random data."""

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import nnls

from engine import spec
from engine.data import Sequences
from engine.data.cases import Cases, held_out
from engine.models.base import Fitted
from engine.models.closed_form import homophily
from engine.models.closed_form.gf_cf import GFCFModel
from engine.models.closed_form.homophily import item_homophily, user_homophily
from engine.models.closed_form.item_knn import ItemKNNModel
from engine.models.closed_form.l3ae import L3AEModel
from engine.models.closed_form.markov import MarkovModel
from engine.models.closed_form.popularity import PopularityModel
from engine.models.closed_form.recommender import vectors
from engine.models.closed_form.sgfcf import SGFCFModel
from engine.models.closed_form.slim import SLIMModel
from engine.models.closed_form.svd_gcn_s import SVDGCNSModel
from engine.models.interactions import interactions
from engine.models.singular import leading

Matrix = npt.NDArray[np.float64]


def histories(n_users: int, n_items: int, longest: int, seed: int = 0) -> Sequences:
    """Some empty, some with repeats; the last item is never consumed."""
    draw = np.random.default_rng(seed)
    sizes = draw.integers(0, longest, n_users)
    items = np.sort(draw.integers(0, n_items - 1, (2, sizes.sum())), axis=0)[0]  # the first ones are popular
    return Sequences(items, np.concatenate([[0], np.cumsum(sizes)]))


DENSE, SPARSE = (40, 12, 9), (60, 50, 5)  # co-occurrence with most entries, and with few
TRAIN = {size: histories(*size) for size in (DENSE, SPARSE)}
both = pytest.mark.parametrize("size", [DENSE, SPARSE], ids=["dense", "sparse"])


def binary(of: Sequences, n_items: int) -> Matrix:
    x = np.zeros((len(of), n_items))
    for row in range(len(of)):
        x[row, of[row]] = 1
    return x


def scores(model: Fitted, cases: Cases) -> Matrix:
    model.fit()
    return model.scorer().scores(cases).double().numpy()


def equal(found: Matrix, wanted: Matrix) -> None:
    """To 1e-6 of the score, or of 1 where it is smaller: scores are float32."""
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def cases_of(histories: Sequences) -> Cases:
    return held_out(histories, np.zeros(len(histories), np.int64))


def inverse(degrees: Matrix, power: float) -> Matrix:
    return np.array([d**-power if d > 0 else 0.0 for d in degrees])


@both
@pytest.mark.parametrize("k", [3, 256])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_gf_cf_is_the_sum_of_its_two_filters(size: tuple[int, int, int], k: int, alpha: float) -> None:
    train, cases = TRAIN[size], cases_of(TRAIN[size])
    x = binary(train, size[1])
    of_users, of_items = inverse(x.sum(1), 0.5), inverse(x.sum(0), 0.5)
    r = of_users[:, None] * x * of_items
    _, sigma, vt = np.linalg.svd(r)
    v = vt[: min(k, int((sigma > 1e-6).sum()))].T
    root = np.sqrt(x.sum(0))
    weights = r.T @ r + alpha * of_items[:, None] * (v @ v.T) * root
    found = scores(GFCFModel(spec.GFCF(k=k, alpha=alpha), train, size[1]), cases)
    equal(found, x[cases.users] @ weights)


@both
@pytest.mark.parametrize("k", [3, 256])
@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_svd_gcn_s_is_its_decomposition(size: tuple[int, int, int], k: int, alpha: float) -> None:
    train, cases = TRAIN[size], cases_of(TRAIN[size])
    x = binary(train, size[1])
    r = inverse(x.sum(1) + alpha, 0.5)[:, None] * x * inverse(x.sum(0) + alpha, 0.5)
    u, sigma, vt = np.linalg.svd(r, full_matrices=False)
    kept = min(k, int((sigma > 1e-6).sum()))
    wanted = u[:, :kept] * np.exp(2 * sigma[:kept]) @ vt[:kept]
    found = scores(SVDGCNSModel(spec.SVDGCNS(k=k, alpha=alpha, beta=1), train, size[1]), cases)
    equal(found, wanted[cases.users])


@both
def test_a_matrix_of_histories_leaves_them_in_their_order(size: tuple[int, int, int]) -> None:
    """Repeats are merged and items sorted in the matrix: what is masked, or asked for the last item, is the history."""
    backwards = Sequences(TRAIN[size].items[::-1].copy(), TRAIN[size].offsets)
    items, offsets = backwards.items.copy(), backwards.offsets.copy()
    x = interactions(backwards, size[1])
    assert (x.toarray() == binary(backwards, size[1])).all()
    assert (backwards.items == items).all()
    assert (backwards.offsets == offsets).all()


def published_homophily(x: Matrix) -> Matrix:
    """[users] by the definition: pairs of items that somebody else has consumed both of."""
    shares = np.zeros(len(x))
    for user, row in enumerate(x):
        pairs = list(combinations(np.flatnonzero(row), 2))
        others = np.delete(x, user, axis=0)
        linked = [bool((others[:, a] * others[:, b]).any()) for a, b in pairs]
        shares[user] = np.mean(linked) if pairs else 0
    return shares


@both
def test_the_homophily_of_many_users_is_counted_by_their_rows(
    size: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homophily, "_CELLS", 0)
    x = interactions(TRAIN[size], size[1])
    np.testing.assert_allclose(item_homophily(x, 10_000), published_homophily(x.toarray().T))


@both
def test_homophily_is_the_share_of_linked_pairs_and_large_lists_are_estimated(size: tuple[int, int, int]) -> None:
    x = binary(TRAIN[size], size[1])
    sparse = interactions(TRAIN[size], size[1])
    np.testing.assert_allclose(user_homophily(sparse, 10_000), published_homophily(x))
    np.testing.assert_allclose(item_homophily(sparse, 10_000), published_homophily(x.T))
    draws = 4
    estimated = item_homophily(sparse, draws)
    degrees = x.sum(0)
    few = degrees * (degrees - 1) / 2 <= draws
    np.testing.assert_allclose(estimated[few], published_homophily(x.T)[few])
    assert set(np.unique(estimated[~few] * draws)) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    assert abs((estimated - published_homophily(x.T)).mean()) < 0.1


@both
@pytest.mark.parametrize("alpha, eps, low, high, gamma", [(0.0, 0.5, 1.0, 1.0, 0.5), (2.0, 0.3, 0.5, 1.5, 0.02)])
def test_sgfcf_is_the_published_score_before_its_sigmoid(
    size: tuple[int, int, int], alpha: float, eps: float, low: float, high: float, gamma: float
) -> None:
    train, cases, k = TRAIN[size], cases_of(TRAIN[size]), 4
    x = binary(train, size[1])
    r = inverse(x.sum(1) + alpha, eps)[:, None] * x * inverse(x.sum(0) + alpha, eps)
    u, sigma, vt = np.linalg.svd(r, full_matrices=False)
    shares = sigma[:k] / sigma[0]

    def beta(homophily: Matrix) -> Matrix:
        ends = homophily.min(), homophily.max()
        line: Matrix = low + (high - low) * (homophily - ends[0]) / (ends[1] - ends[0])
        return line

    of_users, of_items = beta(published_homophily(x)), beta(published_homophily(x.T))
    smooth = (u[:, :k] * shares ** of_users[:, None]) @ (vt[:k].T * shares ** of_items[:, None]).T
    every = r @ r.T @ r
    with np.errstate(invalid="ignore"):
        wanted = smooth / smooth.sum(1, keepdims=True) + gamma * every / every.sum(1, keepdims=True)
    settings = spec.SGFCF(k=k, alpha=alpha, eps=eps, beta_low=low, beta_high=high, gamma=gamma)
    equal(scores(SGFCFModel(settings, train, size[1]), cases), wanted[cases.users])


@both
def test_l3ae_is_two_stages_of_least_squares_with_a_zero_diagonal(size: tuple[int, int, int]) -> None:
    train, n = TRAIN[size], size[1]
    x, f = binary(train, n), np.random.default_rng(1).normal(size=(n, 6)).astype(np.float32)

    def stage(design: Matrix, target: Matrix) -> Matrix:
        weights = np.zeros((n, n))
        for item in range(n):
            others = np.arange(n) != item
            weights[others, item] = np.linalg.lstsq(design[:, others], target[:, item], rcond=None)[0]
        return weights

    eye, l2, align, l2_vectors = np.eye(n), 2.0, 5.0, 0.7
    semantic = stage(np.vstack([f.T, np.sqrt(l2_vectors) * eye]), np.vstack([f.T, 0 * eye]))
    root = np.sqrt(align)
    wanted = stage(np.vstack([x, np.sqrt(l2) * eye, root * eye]), np.vstack([x, 0 * eye, root * semantic]))
    cases = cases_of(train)
    found = scores(L3AEModel(spec.L3AE(l2=l2, align=align, l2_vectors=l2_vectors), train, n, f), cases)
    equal(found, x[cases.users] @ wanted)


def test_vectors_have_the_length_that_is_asked_for_before_they_are_made_unit() -> None:
    z = np.random.default_rng(2).normal(size=(30, 6)).astype(np.float32)

    def taken(**table: object) -> spec.Experiment:
        return spec.Experiment.model_validate({"backbone": {"name": "l3ae", "width": 6}, "table": table})

    free = {"normalize": "none", "row_length": "as-it-comes"}
    assert np.array_equal(vectors(taken(**free), 30, z), z)
    for length, wanted in (("id", 0.02 * 6**0.5), (3, 3.0)):
        rows = vectors(taken(**free | {"row_length": length}), 30, z)
        np.testing.assert_allclose(rows / rows[0, 0], z / z[0, 0], rtol=1e-5)
        assert np.sqrt((rows.astype(np.float64) ** 2).sum() / 30) == pytest.approx(wanted)
    unit = [taken(row_length=length) for length in ("id", 3, "as-it-comes")]
    assert len({spec.spec_hash(experiment) for experiment in unit}) == 1  # a row that is made unit has no length
    assert len({spec.spec_hash(taken(**free | {"row_length": length})) for length in ("id", 3, "as-it-comes")}) == 3


@both
def test_slim_is_the_non_negative_elastic_net_of_every_column(size: tuple[int, int, int]) -> None:
    """Non-negative, so |w|_1 is linear, and completing the square makes it non-negative least squares."""
    train, n, l1, l2 = TRAIN[size], size[1], 0.3, 0.8
    x, weights = binary(train, n), np.zeros((n, n))
    for item in range(n):
        others = np.arange(n) != item
        hessian = x[:, others].T @ x[:, others] + l2 * np.eye(n - 1)
        root = np.linalg.cholesky(hessian).T
        weights[others, item] = nnls(root, np.linalg.solve(root.T, x[:, others].T @ x[:, item] - l1))[0]
    cases = cases_of(train)
    found = scores(SLIMModel(spec.SLIM(l1=l1, l2=l2, neighbours=n), train, n), cases)
    equal(found, x[cases.users] @ weights)
    assert (weights > 0).any()


@both
def test_slim_over_few_candidates_uses_no_other(size: tuple[int, int, int]) -> None:
    train, n = TRAIN[size], size[1]
    model = SLIMModel(spec.SLIM(l1=0, l2=1, neighbours=3), train, n)
    one_each = Sequences(np.arange(n), np.arange(n + 1))
    weights = scores(model, cases_of(one_each))
    assert ((weights > 0).sum(0) <= 3).all()
    assert (weights.diagonal() == 0).all()


@both
@pytest.mark.parametrize("k", [3, 1000])
def test_item_knn_sums_the_similarities_of_the_nearest(size: tuple[int, int, int], k: int) -> None:
    train, n, shrink = TRAIN[size], size[1], 1.5
    x, weights = binary(train, n), np.zeros((n, n))
    for item in range(n):
        similar = []
        for other in range(n):
            if other != item and x[:, item].any():
                norm = np.sqrt(x[:, item].sum() * x[:, other].sum())
                similar.append((-(x[:, item] @ x[:, other]) / (norm + shrink), other))
        for value, other in sorted((round(value, 6), other) for value, other in similar)[:k]:
            weights[other, item] = -value
    cases = cases_of(train)
    found = scores(ItemKNNModel(spec.ItemKNN(neighbours=k, shrink=shrink), train, n), cases)
    equal(found, x[cases.users] @ weights)


@both
def test_markov_counts_what_followed_the_last_item(size: tuple[int, int, int]) -> None:
    train, n, smoothing = TRAIN[size], size[1], 0.5
    followed, popularity = np.zeros((n, n)), np.ones(n)
    for row in range(len(train)):
        popularity += np.bincount(train[row], minlength=n)
        for before, after in zip(train[row], train[row][1:], strict=False):
            followed[before, after] += 1
    prior = smoothing * popularity / popularity.sum()
    wanted = (followed + prior) / (followed.sum(1, keepdims=True) + smoothing)
    cases = cases_of(train)
    last = [cases.history[row][-1] for row in range(len(cases))]
    found = scores(MarkovModel(spec.Markov(smoothing=smoothing), train, n), cases)
    equal(found, wanted[last])
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


def test_popularity_counts_interactions() -> None:
    train, n = TRAIN[DENSE], DENSE[1]
    found = scores(PopularityModel(spec.Popularity(), train, n), cases_of(train))
    assert (found == np.bincount(train.items, minlength=n)).all()


def test_leading_singular_vectors_are_those_of_the_dense_matrix_by_either_way() -> None:
    """More than 1000 items go by Lanczos iterations."""
    train = histories(100, 1100, 40)
    x = interactions(train, 1100)
    _, wanted, vt = np.linalg.svd(x.toarray(), full_matrices=False)
    sigma, v = leading(x, 8)
    np.testing.assert_allclose(sigma, wanted[:8], rtol=1e-9)
    np.testing.assert_allclose(v @ v.T, vt[:8].T @ vt[:8], atol=1e-7)
    again = leading(x, 8)
    assert (again[0] == sigma).all()
    assert (again[1] == v).all()
    small, vectors = leading(interactions(TRAIN[DENSE], DENSE[1]), 1000)
    assert len(small) == DENSE[1] - 1, "the item without interactions has no direction"
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(small)), atol=1e-9)


def settings(name: str) -> spec.BackbonePart:
    return spec.BACKBONES[name].model_validate({})


FORMS: dict[str, Any] = {
    "gf-cf": GFCFModel,
    "sgfcf": SGFCFModel,
    "slim": SLIMModel,
    "item-knn": ItemKNNModel,
    "markov": MarkovModel,
    "popularity": PopularityModel,
}


@pytest.mark.parametrize("name", FORMS)
def test_a_case_is_scored_by_its_history_alone_and_every_item_has_a_score(name: str) -> None:
    """Whatever was trained on, histories of the same items (and, for a chain, the same last one) score the same; users
    and items without interactions harm nothing."""
    model = FORMS[name](settings(name), TRAIN[DENSE], DENSE[1])
    model.fit()
    items, last = [2, 5, 5, 7], DENSE[1] - 1
    one = Sequences(np.array(items), np.array([0, 4]))
    same = Sequences(np.array([5, 2, 7]), np.array([0, 3]))
    found = [model.scorer().scores(held_out(history, np.array([0]))).numpy() for history in (one, same)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    unknown = Sequences(np.array([last]), np.array([0, 1]))
    assert np.isfinite(model.scorer().scores(held_out(unknown, np.array([0]))).numpy()).all()


@pytest.mark.parametrize("name", sorted(set(FORMS) - {"popularity"}))
def test_none_is_ranked_before_it_is_fitted(name: str) -> None:
    with pytest.raises(ValueError, match="not fitted"):
        FORMS[name](settings(name), TRAIN[DENSE], DENSE[1]).scorer()
