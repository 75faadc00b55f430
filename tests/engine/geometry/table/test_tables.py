"""Norms, angles, clusters and agreement against slow references."""

import itertools
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.geometry.graph.agreement import agreement
from engine.geometry.table import angles, rows
from engine.geometry.table.angles import anisotropy, uniformity
from engine.geometry.table.clusters import angular_clusters
from engine.geometry.table.moments import about_mean, moments
from engine.geometry.table.norms import BINS, gini, histogram, norm_disparity
from engine.geometry.table.rows import Rows

Array = npt.NDArray[np.float64]
PROPERTY = settings(deadline=None, max_examples=40)


def some_rows(seed: int, n: int = 40, d: int = 5) -> Array:
    draw = np.random.default_rng(seed)
    return np.asarray(draw.standard_normal((n, d)) * np.exp(draw.standard_normal((n, 1))) + draw.standard_normal(d))


def test_blocks_views_and_moments_equal_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_CELLS", 35)  # seven rows a block
    x = some_rows(0)
    view = Rows.of(x.astype(np.float32))
    x = view.array()
    about = x - x.mean(axis=0)
    centred, of_centred = about_mean(view, moments(view))
    np.testing.assert_allclose(np.concatenate([b for _, b in centred.blocks()]), about, atol=1e-12)
    np.testing.assert_allclose(of_centred.second, about.T @ about / len(x), atol=1e-12)
    np.testing.assert_allclose(of_centred.norms, np.linalg.norm(about, axis=1))
    unit = centred.at_unit_length()
    np.testing.assert_allclose(unit.array(), about / np.linalg.norm(about, axis=1, keepdims=True), atol=1e-12)
    p = np.arange(1.0, len(x) + 1) / np.arange(1.0, len(x) + 1).sum()
    for seen, weights in itertools.product((view, unit), (None, p)):
        found, x = moments(seen, weights), seen.array()
        w = np.full(len(x), 1 / len(x)) if weights is None else weights
        np.testing.assert_allclose(found.mean, w @ x, atol=1e-12)
        np.testing.assert_allclose(found.second, (x * w[:, None]).T @ x, atol=1e-12)
        np.testing.assert_allclose(found.norms, np.linalg.norm(x, axis=1))


def test_a_mapped_file_is_read_again_after_its_pages_were_let_go(tmp_path: Path) -> None:
    x = some_rows(1).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    view = Rows.of(np.load(tmp_path / "x.npy", mmap_mode="r"))
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([b for _, b in view.blocks()]), x)
    np.testing.assert_array_equal(view.columns(slice(1, 3), np.array([0, 4, 9])), x[[0, 4, 9], 1:3])


@PROPERTY
@given(st.integers(0, 10**6))
def test_norm_disparity_against_its_definitions(seed: int) -> None:
    draw = np.random.default_rng(seed)
    r, c = np.exp(draw.standard_normal(25)), draw.integers(0, 9, 25)
    assert gini(r) == pytest.approx(np.abs(np.subtract.outer(r, r)).sum() / (2 * 25**2 * r.mean()))
    found = norm_disparity(np.append(r, 0.0), np.append(c, 3))
    assert found["zero_rows"] == 1
    assert found["max_min"] == pytest.approx(r.max() / r.min())
    assert found["cv"] == pytest.approx(r.std() / r.mean())
    assert found["log_popularity"] == pytest.approx(np.corrcoef(r, np.log(1 + c))[0, 1])
    even = norm_disparity(np.full(5, 2.0), np.arange(5))
    assert (even["max_min"], even["cv"], even["gini"], even["log_popularity"]) == (1.0, 0.0, 0.0, None)


@PROPERTY
@given(st.integers(0, 10**6), st.sampled_from([0.05, 0.3, 1.5]))
def test_a_histogram_of_norms_counts_every_row_between_its_edges(seed: int, sd: float) -> None:
    r = np.exp(sd * np.random.default_rng(seed).standard_normal(200))
    found = histogram(r)
    edges, counts = np.array(found["edges"]), np.array(found["counts"])
    assert (len(edges), len(counts), counts.sum()) == (BINS + 1, BINS, 200)
    assert (edges[0], edges[-1]) == (r.min(), r.max())
    inside = [int(((r >= a) & (r < b)).sum()) for a, b in itertools.pairwise(edges)]
    inside[-1] += int((r == edges[-1]).sum())
    assert counts.tolist() == inside
    widths = np.diff(np.log(edges) if found["scale"] == "log" else edges)
    np.testing.assert_allclose(widths, widths[0])
    assert found["scale"] == ("log" if r.max() > 10 * r.min() else "linear")
    whole = norm_disparity(np.append(r, 0.0), np.ones(201, dtype=np.int64))
    assert whole["histogram"] == found


def test_equal_norms_fill_the_middle_bin() -> None:
    one = np.float32(0.3) * (1 + 1e-7 * np.random.default_rng(0).standard_normal(50))
    found = histogram(one.astype(np.float64))
    assert found["counts"] == [0] * 20 + [50] + [0] * 20
    assert found["edges"][0] < 0.3 < found["edges"][-1]
    assert norm_disparity(np.zeros(3), np.ones(3, dtype=np.int64))["histogram"] is None


@PROPERTY
@given(st.integers(0, 10**6))
def test_anisotropy_over_all_pairs(seed: int) -> None:
    x = Rows.of(some_rows(seed))
    unit = x.at_unit_length()
    found = anisotropy(unit, moments(unit), moments(x))
    u = unit.array()
    cosine = u @ u.T
    off = ~np.eye(len(u), dtype=bool)
    assert found["c1"] == pytest.approx(cosine[off].mean())
    assert found["c2"] == pytest.approx((cosine**2).mean())
    assert found["welch"] == pytest.approx(5 * (cosine**2).mean() - 1)
    assert found["welch"] >= -1e-9
    s = np.linalg.svd(x.array(), compute_uv=False)
    assert found["r1"] == pytest.approx(s[0] ** 2 / (s**2).sum())
    distance = np.square(u[:, None] - u[None]).sum(-1)
    assert found["uniformity"] == pytest.approx(math.log(np.exp(-2 * distance)[off].mean()))
    assert found["uniformity_se"] is None


def test_sampled_uniformity_is_within_its_stated_error(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Rows.of(some_rows(3, n=600), unit=True)
    exact, _ = uniformity(unit)
    monkeypatch.setattr(angles, "EXACT_PAIRS", 100)
    monkeypatch.setattr(angles, "SAMPLED_PAIRS", 20_000)
    misses = []
    for seed in range(8):
        value, error = uniformity(unit, seed)
        assert exact is not None and value is not None and error is not None
        misses.append((value - exact) / error)
    assert max(map(abs, misses)) < 4
    assert 0.3 < float(np.sqrt(np.mean(np.square(misses)))) < 2


def test_angular_clusters_find_separate_directions_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    truth = draw.integers(6, size=300)
    x = (np.eye(8)[truth] + 0.05 * draw.standard_normal((300, 8))) * np.exp(draw.standard_normal((300, 1)))
    unit = Rows.of(x, unit=True)
    found = angular_clusters(unit, 6)
    assert agreement(found, truth)["ari"] == pytest.approx(1.0)
    np.testing.assert_array_equal(angular_clusters(unit, 6), found)
    monkeypatch.setattr("engine.geometry.table.clusters._SAMPLE", 100)
    assert agreement(angular_clusters(unit, 6), truth)["ari"] == pytest.approx(1.0)
    assert set(angular_clusters(Rows.of(np.ones((5, 3)), unit=True), 3)) <= {0, 1, 2}


def test_agreement_by_hand() -> None:
    a = np.array([0, 0, 0, 1, 1, 1])
    b = np.array([0, 0, 1, 1, 2, 2])
    # contingency [[2, 1, 0], [0, 1, 2]]: pairs 2, rows 6, columns 3, expected 6 * 3 / 15
    assert agreement(a, b)["ari"] == pytest.approx((2 - 1.2) / (4.5 - 1.2))
    mutual = 2 * (1 / 3) * math.log(2)
    assert agreement(a, b)["nmi"] == pytest.approx(mutual / ((math.log(2) + math.log(3)) / 2))
    same = agreement(a, 5 - a)
    assert same == pytest.approx({"nmi": 1.0, "ami": 1.0, "ari": 1.0})
    # AMI takes off the expectation over all permutations of b, one by one
    every = [_mutual(a, np.array(p)) for p in set(itertools.permutations(b.tolist()))]
    expected, entropy = float(np.mean(every)), (math.log(2) + math.log(3)) / 2
    assert agreement(a, b)["ami"] == pytest.approx((mutual - expected) / (entropy - expected))
    one, apart = np.zeros(6, np.int64), np.arange(6)
    assert agreement(one, one) == agreement(apart, apart) == {"nmi": 1.0, "ami": 1.0, "ari": 1.0}
    assert agreement(one, a) == pytest.approx({"nmi": 0.0, "ami": 0.0, "ari": 0.0})


@PROPERTY
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(2, 6))
def test_chance_agreement_is_about_zero_and_order_does_not_matter(seed: int, k: int, m: int) -> None:
    draw = np.random.default_rng(seed)
    a, b = draw.integers(k, size=2000), draw.integers(m, size=2000)
    found = agreement(a, b)
    assert abs(found["ami"]) < 0.03
    assert abs(found["ari"]) < 0.03
    assert agreement(b, a) == pytest.approx(found)


def _mutual(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> float:
    total = 0.0
    for i, j in itertools.product(np.unique(a), np.unique(b)):
        both = float(((a == i) & (b == j)).mean())
        if both:
            total += both * math.log(both / float((a == i).mean()) / float((b == j).mean()))
    return total
