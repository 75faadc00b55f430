"""A batch in pieces: the same targets, the same gradient."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine import spec
from engine.data import load_dataset, split_dataset
from engine.data.windows import Batch, epoch_batches
from engine.models.registry import build
from engine.training.loop import train_step
from engine.training.losses import criterion
from engine.training.optimizer import make_optimizer

DATA = spec.Data(source=spec.Demo(users=60, items=50, communities=4, dim=16))
BACKBONES: list[spec.Backbone] = [
    spec.SASRec(width=16, inner=32, max_length=10, dropout=0),
    spec.GRU4Rec(width=16, hidden=16, max_length=10, dropout=0),
    spec.BERT4Rec(width=16, inner=32, max_length=10, dropout=0),
]


def first_batch(mask_share: float | None, negatives: int = 0) -> Batch:
    train = split_dataset(load_dataset(DATA), DATA).train
    batches = epoch_batches(
        train,
        length=10,
        batch_size=24,
        seed=0,
        epoch=0,
        random_cut=True,
        mask_share=mask_share,
        negatives=negatives,
        n_items=50,
    )
    return next(batches[0])


def windows(batch: Batch) -> list[tuple[object, ...]]:
    """Each window as its items, masks, and (position, target, negatives)."""
    ends = np.cumsum(batch.lengths)
    found: list[tuple[object, ...]] = []
    for start, end in zip(ends - batch.lengths, ends, strict=True):
        inside = (batch.at >= start) & (batch.at < end)
        masked = () if batch.masked is None else tuple(batch.masked[start:end].tolist())
        drawn = [()] * int(inside.sum()) if batch.negatives is None else map(tuple, batch.negatives[inside].tolist())
        each = tuple(zip((batch.at[inside] - start).tolist(), batch.targets[inside].tolist(), drawn, strict=True))
        found.append((tuple(batch.items[start:end].tolist()), masked, each))
    return found


@given(size=st.integers(1, 30), cloze=st.booleans(), negatives=st.sampled_from([0, 3]))
def test_the_pieces_are_the_windows_of_the_batch_longest_first(size: int, cloze: bool, negatives: int) -> None:
    batch = first_batch(0.3 if cloze else None, negatives)
    pieces = list(batch.parts(size))
    assert Counter(w for piece in pieces for w in windows(piece)) == Counter(windows(batch))
    assert all(len(piece.lengths) <= size and (np.diff(piece.lengths) <= 0).all() for piece in pieces)
    sizes = [len(piece.lengths) for piece in pieces]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("loss", [spec.CE(), spec.GBCE(negatives=7)], ids=lambda loss: loss.kind)
@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda b: b.name)
def test_a_step_in_pieces_is_the_step_of_the_whole_batch(backbone: spec.Backbone, loss: spec.LossPart) -> None:
    experiment = spec.Experiment(
        data=DATA,
        backbone=backbone,
        table=spec.Table(init=spec.RandomRows(), normalize="none"),
        train=spec.Train(optimizer=spec.SGD(), loss=loss),
    )
    batch = first_batch(0.3 if isinstance(backbone, spec.BERT4Rec) else None, loss.n_negatives)
    weights, losses = [], []
    for size in (None, 24, 7, 1):
        model = build(experiment, split_dataset(load_dataset(DATA), DATA).train, 50)
        model.double()
        losses.append(
            float(train_step(model, make_optimizer(model, experiment.train), batch, criterion(loss, 50), size))
        )
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert losses[0] == losses[1]
    assert torch.equal(weights[0], weights[1])
    for other, value in zip(weights[2:], losses[2:], strict=True):
        assert value == pytest.approx(losses[0], rel=1e-6)
        torch.testing.assert_close(other, weights[0], rtol=1e-9, atol=1e-10)
