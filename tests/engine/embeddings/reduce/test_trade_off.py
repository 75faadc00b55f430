"""What Rec-PCA gives up: against fits one by one, scipy's principal angles and the bound of docs/method.md F.6."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, sparse

from engine.embeddings.graph.cooccurrence import Matrix
from engine.embeddings.graph.laplacian import Kind, laplacian
from engine.embeddings.reduce import rec_pca as reduce
from engine.embeddings.reduce import trade_off
from engine.embeddings.reduce.gram import GramSums, gram_sums
from engine.embeddings.reduce.rec_pca import rec_pca
from engine.embeddings.reduce.reductions import prepare
from engine.embeddings.rows import Vectors
from engine.spec import Embedding

Array = npt.NDArray[np.float64]
KINDS = st.sampled_from(["normalized", "combinatorial", "random-walk"])


def case(seed: int, kind: Kind = "normalized", n: int = 40, d: int = 8) -> GramSums:
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((n, d)) @ draw.standard_normal((d, d))
    upper = np.triu(draw.random((n, n)) * (draw.random((n, n)) < 0.15), 1)
    graph = laplacian(Matrix(sparse.csr_array(upper + upper.T)), kind)
    return gram_sums(prepare(Vectors(x, np.arange(n)), Embedding()), graph)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), d=st.integers(1, 12), share=st.floats(0.01, 1), near=st.floats(1e-9, 1))
def test_principal_angles_are_scipys(seed: int, d: int, share: float, near: float) -> None:
    draw = np.random.default_rng(seed)
    k = max(1, int(share * d))
    a = np.linalg.qr(draw.standard_normal((d, k)))[0]
    b = np.linalg.qr(a + near * draw.standard_normal((d, k)))[0]
    expected = np.degrees(linalg.subspace_angles(a, b))[::-1]
    np.testing.assert_allclose(trade_off.principal_angles(a, b), expected, rtol=1e-6, atol=1e-5)


def test_angles_of_a_known_rotation() -> None:
    a, turn = np.eye(4)[:, :2], np.radians(30)
    b = np.stack([np.cos(turn) * a[:, 0] + np.sin(turn) * np.eye(4)[2], a[:, 1]], axis=1)
    np.testing.assert_allclose(trade_off.principal_angles(a, b), [0, 30], atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), kind=KINDS, k=st.integers(1, 8), lambda_=st.sampled_from([0.0, 0.3, 0.9, 2.0, 7.0]))
def test_the_sweep_is_one_fit_after_another_and_the_bound_holds(seed: int, kind: Kind, k: int, lambda_: float) -> None:
    of = case(seed, kind)
    chosen, pca = rec_pca(of, k, lambda_), rec_pca(of, k)
    found = trade_off.trade_off(of, k, lambda_, chosen)
    assert [point["lambda"] for point in found["sweep"]] == list(trade_off.GRID)
    for point in found["sweep"]:
        alone = rec_pca(of, k, point["lambda"])
        assert point["variance_share"] == pytest.approx(alone.variance / pca.variance)
        assert point["variation"] == pytest.approx(alone.variation)
        assert point["tv_ratio"] == pytest.approx(alone.tv_ratio)
        assert point["positive"] == alone.positive
        assert point["angle_mean"] == pytest.approx(np.degrees(linalg.subspace_angles(pca.w, alone.w)).mean(), abs=1e-4)
    assert found["sweep"][0]["variance_share"] == 1
    shares = [point["variance_share"] for point in found["sweep"]]
    assert (np.diff(shares) <= 1e-9).all()
    assert (found["variance"], found["pca_variation"]) == (chosen.variance, pca.variation)
    slack = 1e-9 * abs(found["pca_variance"])
    assert -slack <= found["variance_lost"] <= found["most_lost"] + slack
    angles = np.degrees(linalg.subspace_angles(pca.w, chosen.w))
    assert found["angle_max"] == pytest.approx(angles.max(), abs=1e-4)
    if (np.abs(angles - 1) > 1e-3).all():
        assert found["angles_over_1"] == (angles > 1).sum()
    good = [p for p in found["sweep"] if p["variance_share"] >= 0.5 and p["positive"] >= k]
    assert found["suggested_lambda"] == max((p["lambda"] for p in good), default=0.0)


def test_without_a_penalty_rec_pca_is_pca() -> None:
    found = trade_off.trade_off(case(3), 3, 0.0, rec_pca(case(3), 3, 0.0))
    assert (found["variance_lost"], found["most_lost"], found["angles_over_1"]) == (0, 0, 0)
    assert found["angle_max"] < 1e-5


def test_many_dimensions_get_a_short_grid_and_no_graph_no_trade_off(monkeypatch: pytest.MonkeyPatch) -> None:
    of = case(4)
    monkeypatch.setattr(trade_off, "WHOLE", 7)
    monkeypatch.setattr(reduce, "WHOLE", 7)
    found = trade_off.trade_off(of, 2, 1.0, rec_pca(of, 2, 1.0))
    assert [point["lambda"] for point in found["sweep"]] == list(trade_off.WIDE_GRID)
    bare = GramSums(of.n, of.mean, of.gram, None, of.precision)
    with pytest.raises(ValueError, match="no trade-off without a graph"):
        trade_off.trade_off(bare, 2, 1.0, rec_pca(bare, 2))
