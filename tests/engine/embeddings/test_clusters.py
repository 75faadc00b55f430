"""Spherical k-means against planted clusters and against every partition there is."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from engine.embeddings.clusters import spherical_kmeans

Array = npt.NDArray[np.float64]


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def unit(rows: Array) -> Array:
    scaled: Array = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def objective(rows: Array, labels: npt.NDArray[np.int64]) -> float:
    """The sum over clusters of |sum of its rows|: rows times their cluster's unit centre."""
    return float(sum(np.linalg.norm(rows[labels == label].sum(0)) for label in set(labels.tolist())))


@pytest.mark.parametrize("seed", range(5))
def test_planted_clusters_are_found(seed: int) -> None:
    planted = draw(seed).permutation(np.repeat(np.arange(6), [3, 40, 7, 20, 11, 5]))
    rows = unit(np.eye(8)[planted] + 0.05 * draw(seed).standard_normal((len(planted), 8)))
    found = spherical_kmeans(rows, 6, draw(seed))
    assert len({*zip(planted.tolist(), found.tolist(), strict=True)}) == 6
    assert sorted(set(found.tolist())) == list(range(6))


@pytest.mark.parametrize("seed", range(5))
def test_no_partition_of_few_rows_is_better(seed: int) -> None:
    rows = unit(draw(seed).standard_normal((8, 3)))
    best = max(objective(rows, np.array(labels)) for labels in itertools.product(range(3), repeat=8))
    assert objective(rows, spherical_kmeans(rows, 3, draw(seed))) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "d", "k"), [(200, 8, 5), (1000, 32, 20)])
def test_about_as_good_as_scikit_learns_on_the_same_rows(seed: int, n: int, d: int, k: int) -> None:
    """It has k-means of points, not of directions; tables that were trained depend on the bits of ours."""
    from sklearn.cluster import KMeans

    centres = draw(seed).standard_normal((k, d))
    rows = unit(centres[draw(seed).integers(k, size=n)] + 0.8 * draw(seed + 1).standard_normal((n, d)))
    theirs = KMeans(k, n_init=10, random_state=seed).fit_predict(rows).astype(np.int64)
    assert objective(rows, spherical_kmeans(rows, k, draw(seed), 10)) > 0.96 * objective(rows, theirs)


def test_fewer_different_rows_than_clusters() -> None:
    rows = np.repeat(unit(draw().standard_normal((2, 4))), 5, axis=0)
    assert spherical_kmeans(rows, 4, draw()).tolist() in ([0] * 5 + [1] * 5, [1] * 5 + [0] * 5)
    assert spherical_kmeans(np.zeros((0, 4)), 3, draw()).tolist() == []
    np.testing.assert_array_equal(spherical_kmeans(rows, 2, draw(1)), spherical_kmeans(rows, 2, draw(1)))
