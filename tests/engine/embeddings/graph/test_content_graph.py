"""The content graph against neighbours sorted in full."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.embeddings.graph import content_graph as module
from engine.embeddings.graph.content_graph import content_graph


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 10**6), st.integers(1, 25), st.integers(1, 30), st.sampled_from([1, 60, 1 << 20]))
def test_nearest_neighbours_equal_a_full_sort(seed: int, n: int, k: int, cells: int) -> None:
    """Integer vectors on purpose: equal cosines must go to the earlier item; zero rows have no neighbours."""
    generator = np.random.default_rng(seed)
    axes = np.concatenate([np.eye(3), -np.eye(3), np.zeros((1, 3))])
    x = axes[generator.integers(0, 7, n)] * 2.0 ** generator.integers(-3, 4, (n, 1))
    lengths = np.linalg.norm(x, axis=1)
    expected = np.zeros((n, n))
    for a in range(n):
        others = [b for b in range(n) if b != a and lengths[a] > 0 and lengths[b] > 0]
        for b in sorted(others, key=lambda b: -(x[a] @ x[b]) / (lengths[a] * lengths[b]))[:k]:
            expected[a, b] = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CELLS", cells)
        found = content_graph(x, k)
    np.testing.assert_array_equal(found.toarray(), (expected + expected.T) / 2)


def test_generic_vectors_and_scale() -> None:
    x = np.random.default_rng(0).standard_normal((200, 16))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosine = unit @ unit.T - 2 * np.eye(200)
    nearest = np.zeros((200, 200))
    nearest[np.arange(200)[:, None], np.argsort(-cosine, axis=1)[:, :7]] = 1
    found = content_graph(x, 7)
    np.testing.assert_array_equal(found.toarray(), (nearest + nearest.T) / 2)
    longer = x * np.random.default_rng(1).gamma(1, 1, (200, 1))
    np.testing.assert_array_equal(content_graph(longer, 7).toarray(), found.toarray())
