"""Top lists against a loop over items."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.training.top_lists import best_items

Score = st.sampled_from([-math.inf, math.nan, -1.0, 0.0, -0.0, 0.5, 2.0, math.inf])


@st.composite
def tables(draw: st.DrawFn) -> list[list[float]]:
    n = draw(st.integers(1, 12))
    return draw(st.lists(st.lists(Score, min_size=n, max_size=n), min_size=1, max_size=6))


@given(tables(), st.integers(1, 15))
def test_lists_are_those_of_a_loop(scores: list[list[float]], k: int) -> None:
    found = best_items(torch.tensor(scores), k)
    assert found.shape == (len(scores), k) and found.dtype.name == "int32"
    for row, own in zip(found.tolist(), scores, strict=True):
        left = [item for item, score in enumerate(own) if score > -math.inf]  # nan is not
        best = sorted(left, key=lambda item: (-own[item], item))[:k]
        assert row == best + [-1] * (k - len(best))


def test_many_equal_scores_come_in_the_order_of_the_catalogue() -> None:
    scores = torch.zeros(3, 1000)
    scores[1, 900] = 1.0
    scores[2, ::2] = -torch.inf
    found = best_items(scores, 4)
    assert found.tolist() == [[0, 1, 2, 3], [900, 0, 1, 2], [1, 3, 5, 7]]
