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
POST_NORM: dict[str, object] = {"norm": "post", "attention_dropout": 0.3}
FROM_THE_END: dict[str, object] = {"positions": "right"}
VARIANTS: list[tuple[str, dict[str, object]]] = [
    *((name, {}) for name in SEQUENTIAL),
    *(
        (name, change)
        for name in ("sasrec", "bert4rec")
        for change in (POST_NORM, FROM_THE_END, POST_NORM | FROM_THE_END)
    ),
]
"""Backbones with the options that change what they compute."""


def histories() -> Sequences:
    """Of at most one window each, items coming back; the last item of the catalogue is in none."""
    sizes = [9, 7, 2, 9, 3, 1]
    items = np.random.default_rng(0).integers(0, UNSEEN, sum(sizes))
    times = np.random.default_rng(1).integers(0, 10**6, sum(sizes)).cumsum()
    return Sequences(items, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), times)


def backbone_of(name: str, **change: object) -> spec.Backbone:
    part = spec.BACKBONES[name]
    return part.model_validate({key: value for key, value in SMALL.items() if key in part.model_fields} | change)


def model_of(name: str, train: Sequences, **table: object) -> tuple[SequentialRecommender, spec.Experiment]:
    return made_of(backbone_of(name), train, **table)


def made_of(
    backbone: spec.Backbone, train: Sequences, **table: object
) -> tuple[SequentialRecommender, spec.Experiment]:
    settings = {"init": "id", "id_sd": 1.0} | table
    experiment = spec.Experiment(backbone=backbone, table=table_of(**settings))
    model = build(experiment, train, N_ITEMS, np.ones((N_ITEMS, 16), dtype=np.float32))
    return model.eval().double(), experiment


def scored_in_training(model: SequentialRecommender) -> list[tuple[int, tuple[float, ...]]]:
    """Every target of an epoch, and the scores of all items that its loss is computed from."""
    scored: list[tuple[int, tuple[float, ...]]] = []

    def collect(h: Tensor, rows: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        scores = (h @ rows.T).detach().numpy()
        scored.extend((int(t), tuple(row)) for t, row in zip(targets, scores, strict=True))
        return h.sum()

    for one in model.batches(0):
        for batch in one:
            model.loss(batch, collect)
    return scored


@pytest.mark.parametrize(("name", "change"), [*((name, {}) for name in NEXT_ITEM), ("sasrec", POST_NORM)], ids=str)
def test_what_a_target_is_trained_on_is_what_its_history_alone_scores(name: str, change: dict[str, object]) -> None:
    """So training and ranking score alike, and nothing at or behind a target enters what predicts it."""
    train = histories()
    model, _ = made_of(backbone_of(name, **change), train)
    probe = training_probe(train, 10**6)
    expected = model.scorer().scores(probe).detach().numpy()
    asked = sorted((int(t), tuple(row)) for t, row in zip(probe.targets, expected, strict=True))
    found = sorted(scored_in_training(model))
    assert [target for target, _ in found] == [target for target, _ in asked]
    np.testing.assert_allclose([row for _, row in found], [row for _, row in asked], rtol=1e-8, atol=1e-10)


def test_positions_from_the_end_train_the_last_target_of_a_window_on_what_its_history_scores() -> None:
    """Its others are trained at the places that they have in the longer window."""
    train = histories()
    model, _ = made_of(backbone_of("sasrec", positions="right"), train)
    (batch,) = model.batches(0)[0]
    collected: list[Tensor] = []

    def collect(h: Tensor, rows: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        collected.append(h @ rows.T)
        return h.sum()

    model.loss(batch, collect)
    last = np.cumsum(batch.lengths) - 1
    probe = training_probe(train, 10**6)
    alone = model.scorer().scores(probe).detach()
    trained = collected[0].detach()[np.searchsorted(batch.at, last)]
    targets = batch.targets[np.searchsorted(batch.at, last)]
    assert len(trained) == len(batch.lengths) >= 5
    for scores, target in zip(trained, targets, strict=True):
        same = alone[torch.from_numpy(probe.targets == target)]
        assert float((same - scores).abs().amax(1).min()) < 1e-10


@pytest.mark.parametrize(("name", "change"), [each for each in VARIANTS if each[0] not in NEXT_ITEM], ids=str)
def test_what_a_mask_stands_for_is_seen_by_nobody(name: str, change: dict[str, object]) -> None:
    """Neither by what predicts it nor by what predicts another masked item beside it."""
    model, _ = made_of(backbone_of(name, **change), histories())
    (batch,) = model.batches(0)[0]
    assert batch.masked is not None
    layout, masked = Layout.of(torch.from_numpy(batch.lengths), torch.device("cpu")), torch.from_numpy(batch.masked)
    rows, _ = model.tables()
    kept = torch.from_numpy(batch.items)
    other = torch.where(masked, (kept + 1) % N_ITEMS, kept)
    found = [model.represent(rows, items, layout, masked).detach() for items in (kept, other)]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


@pytest.mark.parametrize(("name", "change"), VARIANTS, ids=str)
def test_the_gradient_reaches_rows_that_only_score(name: str, change: dict[str, object]) -> None:
    train = histories()
    model, experiment = made_of(backbone_of(name, **change), train)
    (batch,) = model.batches(0)[0]
    assert UNSEEN not in batch.items
    model.loss(batch, criterion(experiment.train.loss, N_ITEMS)).backward()
    gradient = model.table.weight.grad
    assert gradient is not None and float(gradient[UNSEEN].abs().max()) > 0


@pytest.mark.parametrize(("name", "change"), VARIANTS, ids=str)
def test_a_frozen_table_does_not_move(name: str, change: dict[str, object]) -> None:
    train = histories()
    model, experiment = made_of(backbone_of(name, **change), train, init="embedding", inject="frozen")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=0.1)
    (batch,) = model.batches(0)[0]
    model.loss(batch, criterion(experiment.train.loss, N_ITEMS)).backward()
    optimizer.step()
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved and not any(key.startswith("table.") for key in moved)


@pytest.mark.parametrize(("name", "change"), VARIANTS, ids=str)
def test_a_loss_is_differentiable_twice_in_evaluation(name: str, change: dict[str, object]) -> None:
    """As curvature needs it."""
    model, experiment = made_of(backbone_of(name, **change), histories())
    (batch,) = model.batches(0)[0]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with sdpa_kernel(SDPBackend.MATH):
        loss = model.loss(batch, criterion(experiment.train.loss, N_ITEMS))
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    squares = torch.stack([(gradient**2).sum() for gradient in gradients])
    twice = torch.autograd.grad(squares.sum(), parameters, allow_unused=True)
    assert all(each is None or bool(each.isfinite().all()) for each in twice)
    assert sum(each is not None and bool((each != 0).any()) for each in twice) > len(parameters) / 2


@pytest.mark.parametrize(("name", "change"), VARIANTS, ids=str)
def test_positions_beyond_the_training_length_are_refused(name: str, change: dict[str, object]) -> None:
    model, _ = made_of(backbone_of(name, **change), histories())
    items = torch.zeros(LONGEST, dtype=torch.int64)
    layout = Layout.of(torch.tensor([LONGEST]), items.device)
    with pytest.raises(ValueError, match=r"a window of 9 items, but backbone\.max_length=8"):
        model.represent(model.table()[0], items, layout, None)


@pytest.mark.parametrize(("name", "change"), VARIANTS, ids=str)
@pytest.mark.parametrize("longest", [24, 12, 2])
def test_successive_cases_score_as_each_by_itself(name: str, change: dict[str, object], longest: int) -> None:
    """Where histories fit the backbone. Beyond, a shared encoding begins as far back as that of the run's last case
    does, so that its others see a few items less; a backbone that looks ahead shares none."""
    train = histories()
    backbone = backbone_of(name, **change | {"max_length": longest})
    experiment = spec.Experiment(backbone=backbone, table=table_of(init="id", id_sd=1.0))
    model = build(experiment, train, N_ITEMS).eval().double()
    together, alone = training_probe(train, 10**6, 3), training_probe(train, 10**6)
    order = np.lexsort((np.diff(alone.history.offsets), alone.users))
    scorer = model.scorer()
    found, wanted = scorer.scores(together).detach(), scorer.scores(alone).detach()[order]
    assert together.targets.tolist() == alone.targets[order].tolist()
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", NEXT_ITEM)
def test_cases_of_long_histories_share_what_leaves_them_enough(name: str) -> None:
    items = np.random.default_rng(2).integers(0, UNSEEN, 40)
    times = np.arange(40) * 1000
    train = Sequences(items, np.array([0, 40]), times)
    backbone = backbone_of(name, max_length=16)
    experiment = spec.Experiment(backbone=backbone, table=table_of(init="id", id_sd=1.0))
    model = build(experiment, train, N_ITEMS).eval().double()
    probe = training_probe(train, 3, 3)
    shared = 1 if isinstance(backbone, spec.PrefixTrained) else 2  # an eighth of the length
    found = model.scorer().queries(probe).detach()
    for case in range(3):
        behind = len(probe) - 1 - case
        history = probe.history[case][-16 + (behind % shared) :]
        end = len(probe.history[case])
        clock = torch.from_numpy(times[end - len(history) : end])
        alone = model.after(model.tables()[0], torch.from_numpy(history), torch.tensor([len(history)]), clock).detach()
        torch.testing.assert_close(found[case], alone[0], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("masks", "runs"), [(3, 3), (2, 3), (1, 3), (3, 1)])
def test_masks_of_a_run_stand_behind_the_history_before_it(masks: int, runs: int) -> None:
    """Each as if it were written out: the last items before the run, then a mask for every position that is asked. A
    case that is in no run keeps the whole history and one mask."""
    train = Sequences(np.random.default_rng(2).integers(0, UNSEEN, 71), np.array([0, 31, 71]), None)
    backbone = backbone_of("bert4rec", max_length=28)
    settings = spec.Train(probe_masks=masks)
    experiment = spec.Experiment(backbone=backbone, table=table_of(init="id", id_sd=1.0), train=settings)
    model = build(experiment, train, N_ITEMS).eval().double()
    probe = training_probe(train, 10**6, runs)
    found = model.scorer().queries(probe).detach()
    run, back = probe.shared(masks)
    seen = model.history_length - (masks - 1 if runs > 1 else 0)
    rows = model.tables()[0]
    for number in range(run[-1] + 1):
        (cases,) = np.nonzero(run == number)
        history = probe.history[cases[0]][-seen:]
        items = torch.from_numpy(np.append(history, np.zeros(len(cases), dtype=np.int64)))
        masked = torch.arange(len(items)) >= len(history)
        layout = Layout.of(torch.tensor([len(items)]), items.device)
        written = model.represent(rows, items, layout, masked).detach()[len(history) :]
        torch.testing.assert_close(found[cases[0] : cases[-1] + 1], written, rtol=1e-9, atol=1e-11)
        assert back[cases].tolist() == list(range(len(cases)))[::-1]
