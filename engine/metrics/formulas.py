"""The formulas of the metrics that come with the program, on arrays (docs/metrics.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.metrics.kinds import TopLists

if TYPE_CHECKING:
    from engine.metrics.kinds import FloatArray, IndexArray, IntArray

HEAD_SHARE = 0.2
"""The most popular items that are the head, as a share of the catalogue."""


def hit(ranks: FloatArray, k: int | None) -> FloatArray:
    """[r <= k]"""
    import numpy as np

    return (ranks <= (np.inf if k is None else k)).astype(np.float64)


def discounted(ranks: FloatArray, k: int | None) -> FloatArray:
    """[r <= k] / log2(r + 1): there is one relevant item, so the ideal DCG is 1."""
    import numpy as np

    return np.where(ranks <= (np.inf if k is None else k), 1.0 / np.log2(ranks + 1.0), 0.0)


def reciprocal(ranks: FloatArray, k: int | None) -> FloatArray:
    """1 / r, or [r <= k] / r."""
    import numpy as np

    return np.where(ranks <= (np.inf if k is None else k), 1.0 / ranks, 0.0)


def coverage(lists: TopLists) -> float:
    """Share of the catalogue that stands in at least one list."""
    import numpy as np

    return len(np.unique(_places(lists))) / len(lists.popularity)


def gini(lists: TopLists) -> float:
    """sum_i (2 i - n - 1) x_(i) / (n sum x), x_(i) ascending: how often each of the n items is recommended."""
    import numpy as np

    n = len(lists.popularity)
    exposure = np.sort(np.bincount(_places(lists), minlength=n)).astype(np.float64)
    return float(((2.0 * np.arange(1, n + 1) - n - 1.0) * exposure).sum() / (n * exposure.sum()))


def popularity_rank(lists: TopLists) -> float:
    """Mean place of the recommended items by popularity, 1 = most popular; equal items share the mean of theirs."""
    import numpy as np

    _, group, sizes = np.unique(-lists.popularity.astype(np.int64), return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    shared = (ends - sizes + 1 + ends) / 2.0
    return float(shared[group][_places(lists)].mean())


def tail(lists: TopLists) -> float:
    """Share of the recommendations that are outside the head (`head_items`)."""
    import numpy as np

    return float(1.0 - np.isin(_places(lists), head_items(lists.popularity)).mean())


def novelty(lists: TopLists) -> float:
    """Mean of -log2 p(i) over the recommendations, in bits; p(i) = (c_i + 1) / (sum c + n) as for the popularity CE."""
    import numpy as np

    counts = lists.popularity.astype(np.float64) + 1.0
    bits = -np.log2(counts / counts.sum())
    return float(bits[_places(lists)].mean())


def head_items(popularity: IndexArray) -> IndexArray:
    """The fifth of the catalogue with most interactions in training, at least one; ties in the catalogue's order."""
    import numpy as np

    return np.argsort(-popularity.astype(np.int64), kind="stable")[: max(1, round(HEAD_SHARE * len(popularity)))]


def _places(lists: TopLists) -> IntArray:
    """All recommended items, user after user, with repetitions."""
    return lists.items[lists.items >= 0]
