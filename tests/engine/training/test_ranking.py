"""Ranks, metrics and cross-entropies against a loop over users and items."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.cases import Cases, held_out
from engine.models.sequential.recommender import SequentialRecommender, build
from engine.training import ranking

N_ITEMS, LENGTH = 25, 6


def sequences(histories: list[list[int]]) -> Sequences:
    items = np.array([item for history in histories for item in history], dtype=np.int64)
    return Sequences(items, np.cumsum([0, *map(len, histories)]))


@pytest.fixture
def model() -> SequentialRecommender:
    backbone = spec.SASRec(width=8, inner=8, max_length=LENGTH)
    experiment = spec.Experiment(backbone=backbone, table=spec.Table(init=spec.RandomRows(id_sd=1.0), normalize="none"))
    built = build(experiment, sequences([[0]]), N_ITEMS)
    with torch.no_grad():
        built.table.weight[5] = built.table.weight[4]  # two items that always tie
    return built


HISTORIES = [[1, 2, 3], [4, 5, 6, 7, 8, 9, 10, 11, 12], [], [3, 3, 20], [0], [7, 8]]
TARGETS = np.array([5, 4, 2, 3, -1, 24])


def ranks_of(model: SequentialRecommender, cases: Cases, mask_seen: bool) -> tuple[ranking.Ranks, float]:
    with ranking.evaluating(model) as scorer:
        return ranking.evaluate(scorer, cases, mask_seen)


@pytest.mark.parametrize("mask_seen", [True, False])
def test_ranks_and_cross_entropy_equal_the_loop(model: SequentialRecommender, mask_seen: bool) -> None:
    cases = held_out(sequences(HISTORIES), TARGETS)
    ranks, ce = ranks_of(model, cases, mask_seen)
    assert cases.users.tolist() == [0, 1, 3, 5]  # user 2 has no history, user 4 no target
    model.eval()
    expected, losses = [], []
    for user in (0, 1, 3, 5):
        history, target = HISTORIES[user], int(TARGETS[user])
        with torch.no_grad():
            tail = torch.tensor(history[-LENGTH:])
            scores: Tensor = model.table()[1] @ model.after(model.table()[0], tail, torch.tensor([len(tail)]))[0]
        losses.append(float(scores.logsumexp(0) - scores[target]))
        rank = 1
        for item in range(N_ITEMS):
            left_out = mask_seen and item in history
            if item != target and not left_out and scores[item] >= scores[target] - 1e-6:
                rank += 1
        expected.append(rank)
    assert ranks.tolist() == expected
    assert ce == pytest.approx(np.mean(losses), rel=1e-5)


def test_scores_that_are_not_numbers_never_win(model: SequentialRecommender) -> None:
    cases = held_out(sequences(HISTORIES), TARGETS)
    with torch.no_grad():
        model.table.weight[5] = torch.nan
    ranks, _ = ranks_of(model, cases, True)
    assert ranks[0] == N_ITEMS  # its own score is not a number
    with torch.no_grad():
        model.table.weight.fill_(0)
    ranks, _ = ranks_of(model, cases, False)
    assert ranks.tolist() == [N_ITEMS] * 4  # everything ties


def test_popularity_cross_entropy_is_smoothed_by_one() -> None:
    train = sequences([[0, 0, 1]])
    expected = -(math.log(3 / 6) + math.log(1 / 6)) / 2
    assert ranking.popularity_cross_entropy(train, 3, np.array([0, 2])) == pytest.approx(expected)
