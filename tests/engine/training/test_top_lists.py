"""Top lists against a loop over items, and the measures that a run stores of them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.data.cases import Cases, held_out
from engine.metrics import TOP, load_ranks, load_top, rank_counts, top_metrics
from engine.spool import RunFolder
from engine.training.top_lists import best_items, top_lists
from tests.engine.training.test_ranking import HISTORIES, N_ITEMS, TARGETS, sequences
from tests.golden.weights import train

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


class Fixed:
    """Scores that are known beforehand, by user."""

    def __init__(self, scores: torch.Tensor) -> None:
        self._scores = scores

    def scores(self, cases: Cases) -> torch.Tensor:
        return self._scores[cases.users].clone()


@pytest.mark.parametrize("mask_seen", [True, False])
def test_each_user_is_recommended_what_is_best_and_new(mask_seen: bool) -> None:
    scores = torch.randn(len(HISTORIES), N_ITEMS, generator=torch.Generator().manual_seed(0))
    history = sequences(HISTORIES)
    found = top_lists(Fixed(scores), held_out(history, TARGETS), mask_seen, history)
    assert found.popularity.tolist() == [sum(h.count(item) for h in HISTORIES) for item in range(N_ITEMS)]
    for user, items in enumerate(found.items.tolist()):
        left = [item for item in range(N_ITEMS) if not (mask_seen and item in HISTORIES[user])]
        best = sorted(left, key=lambda item: -float(scores[user, item]))[:TOP]
        expected = best + [-1] * (TOP - len(best))
        assert items == (expected if user in (0, 1, 3, 5) else [-1] * TOP)  # the others have no target, or no history


def test_a_run_keeps_its_lists_and_what_follows_from_them(tmp_path: Path) -> None:
    result = train("id", "sasrec", tmp_path)["result"]
    folder = RunFolder(tmp_path / "sasrec-id")
    lists = load_top(folder.top)
    assert lists.items.shape[1] == TOP and lists.items.dtype == np.int32
    assert result["top"] == top_metrics(lists)
    spool = [json.loads(line) for line in folder.spool.read_text("utf-8").splitlines()]
    assert {"r": "artifact", "kind": "top", "path": "top.safetensors"} in spool
    ranks = load_ranks(folder.ranks)["test"]
    assert result["rank_counts"]["test"] == rank_counts(ranks[ranks > 0])
    with_list = (lists.items >= 0).any(1)
    assert (with_list == (ranks > 0)).all()
