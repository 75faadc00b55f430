"""What a card is asked in a step and in an evaluation: the CPU's numbers, and no waiting. On a pretended one."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import spec
from engine.data import Split, load_dataset, split_dataset
from engine.data.cases import held_out, training_probe
from engine.models.registry import build
from engine.presets import resolve
from engine.training import loop, losses, ranking
from engine.training.optimizer import make_optimizer
from tests.engine.pretended import Card, OnCard, move

SMALL = ("data.source.users=60", "data.source.items=50", "batch_size=16")
STILL = ("backbone.dropout=0",)
NEGATIVES = (*STILL, "train.loss=gbce", "negatives=8")


def _built(backbone: str, *sets: str) -> tuple[spec.Experiment, Split, Any]:
    experiment = resolve(method="id", dataset="demo", backbone=backbone, sets=(*SMALL, *sets)).experiment
    data = load_dataset(experiment.data)
    split = split_dataset(data, experiment.data)
    return experiment, split, build(experiment, split.train, len(data.item_ids))


def _steps(experiment: spec.Experiment, model: Any, card: Card | None = None) -> list[Tensor]:
    """Losses of two optimiser steps and the weights behind them, on the host."""
    criterion = losses.criterion(experiment.train.loss, model.n_items)
    optimizer = make_optimizer(model, experiment.train)
    model.train()
    model.begin_epoch(0)
    told = []
    for number, batch in enumerate(one for each in model.batches(0)[:2] for one in each):
        told.append(loop.train_step(model, optimizer, batch, criterion))
        if card is not None:
            assert card.waits == [], f"step {number}"
    kept = [*told, *(each.detach() for each in model.parameters())]
    return [each.held if isinstance(each, OnCard) else each for each in kept]


@pytest.mark.parametrize(
    ("backbone", "sets"),
    [
        *(("sasrec", STILL), ("sasrec", NEGATIVES), ("gru4rec", STILL)),
        *(("bert4rec", STILL), ("hstu", STILL)),
    ],
)
def test_a_step_has_the_cpus_numbers_and_waits_for_nothing(
    backbone: str, sets: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys.modules["torch.optim.adam"], "_device_dtype_check_for_fused", lambda parameter: None
    )  # of the card
    experiment, _, model = _built(backbone, *sets)
    expected = _steps(experiment, model)
    _, _, again = _built(backbone, *sets)
    with Card() as card:
        move(again)
        found = _steps(experiment, again, card)
    assert card.sent > 0
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", ["sasrec", "gru4rec", "bert4rec"])
def test_an_evaluation_has_the_cpus_ranks_and_one_answer(backbone: str) -> None:
    """Its ranks and its costs come to the host together, at the end."""
    experiment, split, model = _built(backbone, *STILL)
    train = experiment.train
    cases = (training_probe(split.train, train.probe, train.probe_run), held_out(split.valid_history, split.valid))
    for each in cases:
        with ranking.evaluating(model) as scorer:
            ranks, cost = ranking.evaluate(scorer, each, mask_seen=True)
        _, _, again = _built(backbone, *STILL)
        with Card() as card:
            move(again)
            with ranking.evaluating(again) as scorer:
                found, other = ranking.evaluate(scorer, each, mask_seen=True)
        assert len(card.waits) == 2, card.waits
        assert other == pytest.approx(cost, rel=1e-5)
        assert np.mean(found != ranks) < 0.01


def test_the_pretended_card_tells_who_waits_and_who_mixes() -> None:
    with Card() as card:
        there = torch.arange(3.0).to("meta", non_blocking=True)
        assert (card.waits, card.sent) == ([], 1)
        with pytest.raises(AssertionError, match="numbers of the card and of the host"):
            _ = there + torch.ones(3)
        for wait in (lambda: float(there[0]), there.cpu, lambda: there[there > 0], there.nonzero):
            before = len(card.waits)
            wait()
            assert len(card.waits) == before + 1
        torch.ones(3).to("meta")
        assert len(card.waits) == 5
        assert float((there * 2).sum()) == 6
