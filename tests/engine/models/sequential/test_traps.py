"""What public code of this field has got wrong, for every backbone that predicts the next item."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine import spec
from engine.data.cases import training_probe
from engine.data.split import Sequences
from engine.models.sequential.layout import Layout
from engine.models.sequential.recommender import SequentialRecommender, build
from engine.training.losses import criterion
from tests.engine.parts import table_of

N_ITEMS, LONGEST = 30, 9
UNSEEN = N_ITEMS - 1
SMALL = {"width": 16, "max_length": 8, "inner": 12, "hidden": 12, "windows": "fixed"}
SEQUENTIAL = [name for name, part in spec.BACKBONES.items() if issubclass(part, spec.Sequential)]
NEXT_ITEM = [name for name in SEQUENTIAL if "mask_share" not in spec.BACKBONES[name].model_fields]


def histories() -> Sequences:
    """Of at most one window each, items coming back; the last item of the catalogue is in none."""
    sizes = [9, 7, 2, 9, 3, 1]
    items = np.random.default_rng(0).integers(0, UNSEEN, sum(sizes))
    times = np.random.default_rng(1).integers(0, 10**6, sum(sizes)).cumsum()
    return Sequences(items, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), times)


def model_of(name: str, train: Sequences, **table: object) -> tuple[SequentialRecommender, spec.Experiment]:
    part = spec.BACKBONES[name]
    backbone = part.model_validate({key: value for key, value in SMALL.items() if key in part.model_fields})
    settings = {"init": "id", "id_sd": 1.0} | table
    experiment = spec.Experiment(backbone=backbone, table=table_of(**settings))
    model = build(experiment, train, N_ITEMS, np.ones((N_ITEMS, 16), dtype=np.float32))
    return model.eval().double(), experiment


@pytest.mark.parametrize("name", NEXT_ITEM)
def test_what_a_target_is_trained_on_is_what_its_history_alone_scores(name: str) -> None:
    """So training and ranking score alike, and nothing at or behind a target enters what predicts it."""
    train = histories()
    model, _ = model_of(name, train)
    probe = training_probe(train, 10**6)
    trained: list[tuple[int, tuple[float, ...]]] = []

    def collect(h: Tensor, rows: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        scores = (h @ rows.T).detach().numpy()
        trained.extend((int(t), tuple(row)) for t, row in zip(targets, scores, strict=True))
        return h.sum()

    for one in model.batches(0):
        for batch in one:
            model.loss(batch, collect)
    expected = model.scorer().scores(probe).detach().numpy()
    asked = sorted((int(t), tuple(row)) for t, row in zip(probe.targets, expected, strict=True))
    found = sorted(trained)
    assert [target for target, _ in found] == [target for target, _ in asked]
    np.testing.assert_allclose([row for _, row in found], [row for _, row in asked], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_the_gradient_reaches_rows_that_only_score(name: str) -> None:
    train = histories()
    model, experiment = model_of(name, train)
    (batch,) = model.batches(0)[0]
    assert UNSEEN not in batch.items
    model.loss(batch, criterion(experiment.train.loss, N_ITEMS)).backward()
    gradient = model.table.weight.grad
    assert gradient is not None and float(gradient[UNSEEN].abs().max()) > 0


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_a_frozen_table_does_not_move(name: str) -> None:
    train = histories()
    model, experiment = model_of(name, train, init="embedding", inject="frozen")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=0.1)
    (batch,) = model.batches(0)[0]
    model.loss(batch, criterion(experiment.train.loss, N_ITEMS)).backward()
    optimizer.step()
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved and not any(key.startswith("table.") for key in moved)


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_a_loss_is_differentiable_twice_in_evaluation(name: str) -> None:
    """As curvature needs it."""
    model, experiment = model_of(name, histories())
    (batch,) = model.batches(0)[0]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with sdpa_kernel(SDPBackend.MATH):
        loss = model.loss(batch, criterion(experiment.train.loss, N_ITEMS))
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    squares = torch.stack([(gradient**2).sum() for gradient in gradients])
    twice = torch.autograd.grad(squares.sum(), parameters, allow_unused=True)
    assert all(each is None or bool(each.isfinite().all()) for each in twice)
    assert sum(each is not None and bool((each != 0).any()) for each in twice) > len(parameters) / 2


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_positions_beyond_the_training_length_are_refused(name: str) -> None:
    model, _ = model_of(name, histories())
    items = torch.zeros(LONGEST, dtype=torch.int64)
    layout = Layout.of(torch.tensor([LONGEST]), items.device)
    with pytest.raises(ValueError, match=r"a window of 9 items, but backbone\.max_length=8"):
        model.represent(model.table()[0], items, layout, None)
