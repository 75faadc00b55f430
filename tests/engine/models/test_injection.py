"""Injection: what is trained beside the vectors, what stays, and what biases and temperatures add to the scores."""

import numpy as np
import pytest
import torch

from engine import spec
from engine.data import Sequences
from engine.errors import UserError
from engine.models.sequential.recommender import SequentialRecommender, build
from engine.training.loop import train_step
from engine.training.losses import criterion
from engine.training.optimizer import make_optimizer
from tests.engine.data.test_windows import batches, sequences
from tests.engine.parts import table_of

N, D = 30, 12
Z = np.random.default_rng(0).standard_normal((N, D)).astype(np.float32)
COUNTS = np.arange(N)
TRAIN = Sequences(np.repeat(np.arange(N), COUNTS), np.array([0, COUNTS.sum()]))
SPECTRAL = {"beta", "queries", "values", "readout"} | {
    f"{part}.{layer}.{kind}" for part in ("position", "feed_forward") for layer in (0, 2) for kind in ("weight", "bias")
}


def model_of(z: np.ndarray[tuple[int, int], np.dtype[np.float32]] = Z, **table: object) -> SequentialRecommender:
    settings = table_of(**({"normalize": "none", "id_sd": 0.3, "row_length": "as-it-comes"} | table))
    backbone = spec.SASRec(width=D, inner=16, max_length=7)
    return build(spec.Experiment(table=settings, backbone=backbone), TRAIN, N, z)


def steps(model: SequentialRecommender, epochs: int = 1) -> list[torch.Tensor]:
    """The table's weight after each epoch of a few steps."""
    optimizer = make_optimizer(model, spec.Train(lr=0.01))
    weights = []
    for epoch in range(epochs):
        model.table.begin_epoch(epoch)
        for batch in batches(sequences([N]), random_cut=False):
            train_step(model, optimizer, batch, criterion(spec.CE(), N))
        weights.append(model.table.weight.detach().clone())
    return weights


@pytest.mark.parametrize(
    ("inject", "moves", "trained"),
    [
        ("initialise", True, {"weight"}),
        ("frozen", False, set()),
        ("linear", False, {"adapter.weight", "adapter.bias"}),
        ("mlp", False, {"adapter.0.weight", "adapter.0.bias", "adapter.2.weight", "adapter.2.bias"}),
        ("spectral", False, {f"adapter.{name}" for name in SPECTRAL}),
        ("sum", False, {"ids"}),
        ("split", False, {"ids"}),
    ],
)
def test_what_is_trained_moves_and_what_is_frozen_stays(inject: str, moves: bool, trained: set[str]) -> None:
    model = model_of(inject=inject)
    assert {name for name, p in model.table.named_parameters() if p.requires_grad} == trained
    before = {name: p.detach().clone() for name, p in model.table.named_parameters()}
    steps(model)
    assert torch.equal(model.table.weight, before["weight"]) != moves
    for name in trained:
        assert not torch.equal(model.table.get_parameter(name), before[name]), name


def test_rows_are_what_the_names_say() -> None:
    assert torch.equal(model_of(inject="frozen").table.rows(), torch.tensor(Z))
    added = model_of(inject="sum").table
    assert added.ids is not None
    torch.testing.assert_close(added.rows(), torch.tensor(Z) + added.ids)
    split = model_of(inject="split", id_dims=4).table
    assert split.ids is not None
    assert split.ids.shape == (N, 4)
    torch.testing.assert_close(split.rows()[:, :-4], torch.tensor(Z)[:, :-4])
    torch.testing.assert_close(split.rows()[:, -4:], torch.tensor(Z)[:, -4:] + split.ids)
    wide = np.random.default_rng(1).standard_normal((N, 50)).astype(np.float32)
    assert model_of(wide, inject="linear").table.rows().shape == (N, D)
    for adapter in ("mlp", "spectral"):
        rows = model_of(wide, inject=adapter, normalize="both").tables()[1]
        assert rows.norm(dim=1).tolist() == pytest.approx([1.0] * N)


def test_rows_of_a_trained_id_table_are_injected_as_vectors_are() -> None:
    assert torch.equal(model_of(init="id-trained", inject="frozen").table.rows(), torch.tensor(Z))
    assert model_of(init="id-trained", inject="mlp").table.rows().shape == (N, D)


def test_freeze_then_free_moves_from_its_epoch_on() -> None:
    stayed = [torch.equal(weight, torch.tensor(Z)) for weight in steps(model_of(freeze_epochs=2), epochs=3)]
    assert stayed == [True, True, False]


def scores(model: SequentialRecommender) -> torch.Tensor:
    model.eval()
    rows, scoring = model.tables()
    with torch.no_grad():
        return model.after(rows, torch.tensor([3, 4, 5]), torch.tensor([3])) @ scoring.T


def test_biases_and_temperatures_add_what_they_say() -> None:
    plain = scores(model_of())
    torch.testing.assert_close(scores(model_of(tau=0.25)), plain * 4)
    torch.testing.assert_close(scores(model_of(tau=0.25, tau_trained=True)), plain * 4)
    free = model_of(bias="free")
    assert free.bias is not None
    torch.testing.assert_close(scores(free), plain)
    with torch.no_grad():
        free.bias.copy_(torch.arange(N))
    torch.testing.assert_close(scores(free), plain + torch.arange(N))
    popular = model_of(bias="popularity", tau=0.5)
    expected = torch.log((torch.arange(N) + 1.0) / (COUNTS.sum() + N))
    torch.testing.assert_close(scores(popular), plain * 2 + expected)
    for model, name in ((free, "bias"), (popular, "beta"), (model_of(tau_trained=True), "log_tau")):
        before = model.get_parameter(name).detach().clone()
        steps(model)
        assert not torch.equal(model.get_parameter(name), before), name


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"init": "id", "inject": "sum"}, r"table\.inject=sum needs LLM vectors"),
        ({"inject": "spectral", "rescale": True, "normalize": "none"}, "rescale changes nothing when table.inject is"),
    ],
)
def test_what_does_not_fit_is_refused(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table_of(**table)


def test_widths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match=r"50 columns do not fit backbone\.width=12"):
        model_of(np.ones((N, 50), np.float32))
    with pytest.raises(UserError, match=r"table\.inject\.id_dims=13 exceeds backbone\.width=12"):
        model_of(inject="split", id_dims=13)
