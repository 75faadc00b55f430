"""Ranks, metrics and cross-entropies against a loop over users and items."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.cases import Cases, held_out
from engine.models.base import InnerProducts
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


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_ranks_are_those_of_double_precision_but_for_ties(kind: torch.dtype) -> None:
    """More items and cases than one block of scores holds; what lies within rounding may stand on either side."""
    draw = torch.Generator().manual_seed(0)
    items = torch.randn(5000, 16, generator=draw).to(kind)
    queries = torch.randn(ranking.BLOCK + 40, 16, generator=draw).to(kind)
    targets = np.random.default_rng(0).integers(5000, size=len(queries))
    cases = held_out(sequences([[int(target + 1) % 5000] for target in targets]), targets)
    scorer = InnerProducts(items, lambda part: queries[torch.from_numpy(part.users)], 16, 1.0)
    ranks, ce = ranking.evaluate(scorer, cases, mask_seen=True)
    scores = queries.double() @ items.double().T
    wanted = scores.gather(1, torch.from_numpy(targets)[:, None])
    assert ce == pytest.approx(
        float((scores.logsumexp(1, keepdim=True) - wanted).mean()), rel=5 * torch.finfo(kind).eps
    )
    scores[torch.arange(len(targets)), torch.from_numpy((targets + 1) % 5000)] = -torch.inf
    scores.scatter_(1, torch.from_numpy(targets)[:, None], -torch.inf)
    slack = 16 * torch.finfo(kind).eps * scores.nan_to_num(neginf=0).abs().amax()
    least, most = (1 + (scores > wanted + way * slack).sum(1).numpy() for way in (1, -1))
    assert ((least <= ranks) & (ranks <= most)).all()
    near = int((most - least).max())
    assert near <= {torch.float64: 0, torch.float32: 3}.get(kind, 5000), "so few lie that close"


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
