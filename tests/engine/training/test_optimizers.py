"""Optimisers do what their names say, and runs with them resume to the bit."""

from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from safetensors.torch import load_file

from engine import spec
from engine.data import load_dataset, split_dataset
from engine.models.base import Trained
from engine.models.registry import build
from engine.training import loop
from engine.training.losses import criterion
from engine.training.optimizer import make_optimizer
from tests.engine.training.test_loop import BACKBONES, DATA, DEMO, Notes, comparable, experiment, train

SGD: list[dict[str, Any]] = [
    {"optimizer": {"kind": "sgd"}, "lr": 0.5},
    {"optimizer": {"kind": "sgd", "momentum": 0.9}, "lr": 0.1, "weight_decay": 0.01},
]


@pytest.mark.parametrize("settings", SGD, ids=str)
def test_sgd_steps_as_its_formula_says(settings: dict[str, Any]) -> None:
    train_ = split_dataset(load_dataset(DATA), DATA).train
    model = build(experiment(BACKBONES[0]), train_, DEMO.items)
    chosen = spec.Train.model_validate(settings)
    optimizer = make_optimizer(model, chosen)
    weight = next(model.parameters())
    expected, velocity = weight.detach().clone(), torch.zeros_like(weight)
    for step in range(3):
        optimizer.zero_grad()
        (weight**2).sum().mul(step + 1).backward()
        optimizer.step()
        gradient = 2 * (step + 1) * expected + chosen.weight_decay * expected
        velocity = settings["optimizer"].get("momentum", 0.0) * velocity + gradient
        expected = expected - chosen.lr * velocity
    torch.testing.assert_close(weight.detach(), expected)


LAZY: dict[str, Any] = {"optimizer": {"kind": "lazy-adam"}, "loss": {"kind": "sampled-ce", "negatives": 3}, "lr": 0.01}


@pytest.mark.parametrize("settings", [*SGD, LAZY], ids=str)
def test_a_resumed_run_equals_an_uninterrupted_one(settings: dict[str, Any], tmp_path: Path) -> None:
    split = split_dataset(load_dataset(DATA), DATA)
    e = experiment(BACKBONES[1], epochs=2, **settings)
    expected = train(e, split, tmp_path / "whole", Notes())
    with pytest.raises(loop.StoppedError):
        train(e, split, tmp_path / "pieces", Notes(), stop_after=4)
    found = train(e, split, tmp_path / "pieces", Notes(), resume=True)
    assert comparable(found) == comparable(expected)
    one, other = (load_file(tmp_path / run / "last.safetensors") for run in ("whole", "pieces"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert found["train_ce"][-1]["value"] < found["train_ce"][0]["value"]


def test_each_optimizer_is_another_run() -> None:
    kinds: list[spec.Optimizer] = [spec.Adam(), spec.AdamW(), spec.SGD(), spec.SGD(momentum=0.9), spec.LazyAdam()]
    trains = [spec.Train(optimizer=kind, loss=spec.SampledCE()) for kind in kinds]
    assert len({spec.config_hash(spec.Experiment(train=train)) for train in trains}) == 5


class Two(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.early = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        self.late = torch.nn.Parameter(torch.tensor([3.0, 0.5]))


@pytest.mark.parametrize(
    "kind", [spec.Adam(), spec.AdamW(), spec.SGD(), spec.SGD(momentum=0.9)], ids=["adam", "adamw", "sgd", "momentum"]
)
def test_a_table_that_is_freed_later_steps_as_if_it_began_then(kind: spec.Optimizer) -> None:
    settings = spec.Train(optimizer=kind, lr=0.1)
    model, alone = Two(), Two()
    optimizer, fresh = (
        make_optimizer(cast("Trained", model), settings),
        make_optimizer(cast("Trained", alone), settings),
    )
    for step in range(3):
        model.late.requires_grad_(step > 0)
        optimizer.zero_grad()
        ((model.early**2).sum() + (model.late**2).sum()).backward()
        optimizer.step()
        if step > 0:
            fresh.zero_grad()
            (alone.late**2).sum().backward()
            fresh.step()
    assert torch.equal(model.late, alone.late)
    assert not torch.equal(model.late, Two().late)


# ------------------------------------------------------------------------------------ lazy Adam


class Rows(torch.nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.linspace(-1, 1, 3 * n).view(n, 3))
        self.rest = torch.nn.Parameter(torch.tensor([0.5, -0.5, 2.0]))

    def cost(self, items: list[int], *, sparse: bool) -> torch.Tensor:
        rows = F.embedding(torch.tensor(items), self.table, sparse=sparse)
        return ((rows - self.rest) ** 3).sum()


def lazy(model: torch.nn.Module) -> torch.optim.Optimizer:
    return make_optimizer(cast("Trained", model), spec.Train(optimizer=spec.LazyAdam(), loss=spec.BCE(), lr=0.05))


BATCHES = [[4, 1], [1], [0, 4, 0], [1, 4], [3], [1, 1, 0]]


def test_lazy_adam_is_adam_on_each_row_by_itself_over_the_steps_that_ask_for_it() -> None:
    model = Rows(6)
    optimizer = lazy(model)
    alone = [torch.nn.Parameter(row.clone()) for row in model.table.detach()]
    each = [torch.optim.Adam([row], lr=0.05) for row in alone]
    for items in BATCHES:
        optimizer.zero_grad(set_to_none=True)
        model.cost(items, sparse=True).backward()
        assert model.table.grad is not None
        gradient = model.table.grad.to_dense()
        for row in set(items):
            alone[row].grad = gradient[row].clone()
            each[row].step()
        optimizer.step()
        torch.testing.assert_close(model.table.detach(), torch.stack([row.detach() for row in alone]))
    assert optimizer.state_dict()["state"][0]["steps"].tolist() == [4, 3, 2, 1], "of rows 1, 4, 0, 3"
    untouched = Rows(6).table
    assert torch.equal(model.table[[2, 5]], untouched[[2, 5]])


def test_lazy_adam_is_adam_where_every_row_is_asked_for() -> None:
    one, other = Rows(4), Rows(4)
    optimizer = lazy(one)
    whole = make_optimizer(cast("Trained", other), spec.Train(optimizer=spec.Adam(), lr=0.05))
    for _ in range(5):
        for model, stepped, sparse in ((one, optimizer, True), (other, whole, False)):
            stepped.zero_grad(set_to_none=True)
            model.cost([0, 1, 2, 3], sparse=sparse).backward()
            stepped.step()
    torch.testing.assert_close(one.table, other.table)
    torch.testing.assert_close(one.rest, other.rest)


def test_the_state_of_lazy_adam_is_kept_and_goes_on() -> None:
    model, again = Rows(5000), Rows(5000)
    optimizer = lazy(model)
    batches = [*BATCHES, list(range(1000, 3000)), [4, 2999, 4999]]
    for at, items in enumerate(batches):
        if at == 5:
            again.load_state_dict(model.state_dict())
            resumed = lazy(again)
            resumed.load_state_dict(deepcopy(optimizer.state_dict()))
        for each, stepped in ((model, optimizer), (again, resumed)) if at >= 5 else ((model, optimizer),):
            stepped.zero_grad(set_to_none=True)
            each.cost(items, sparse=True).backward()
            stepped.step()
    assert torch.equal(model.table, again.table)
    assert len(optimizer.state_dict()["state"][0]["exp_avg"]) == 4 + 2000 + 1, "of rows that had a gradient alone"


@pytest.mark.parametrize("backbone", BACKBONES[:3], ids=lambda each: each.name)
@pytest.mark.parametrize("bias", ["none", "free", "popularity"])
def test_rows_that_a_batch_asks_for_have_the_gradients_of_the_whole_table(backbone: spec.Backbone, bias: str) -> None:
    train_ = split_dataset(load_dataset(DATA), DATA).train
    table = {"init": {"kind": "id"}, "normalize": "both", "tau": 0.5, "bias": {"kind": bias}}
    found = []
    for kind in ("adam", "lazy-adam"):
        e = experiment(backbone, **(LAZY | {"optimizer": {"kind": kind}}))
        e = e.model_copy(update={"embedding": None, "table": spec.Table.model_validate(table)})
        model: Any = build(e, train_, DEMO.items)
        batch = next(iter(model.batches(0)[0]))
        loss = model.train(False).loss(batch, criterion(e.train.loss, DEMO.items))
        loss.backward()
        weight = model.table.weight.grad
        rest = {name: p.grad for name, p in model.named_parameters() if p.grad is not None and name != "table.weight"}
        found.append((loss, weight.to_dense() if weight.is_sparse else weight, rest, weight.is_sparse))
    (loss, whole, rest, dense), (other, few, others, sparse) = found
    assert (dense, sparse) == (False, True)
    torch.testing.assert_close(other, loss)
    torch.testing.assert_close(few, whole)
    torch.testing.assert_close(others, rest)


@pytest.mark.parametrize(
    ("train_", "also", "says"),
    [
        ({"loss": {"kind": "ce"}}, {}, "gives every row a gradient"),
        ({"weight_decay": 0.1}, {}, "would not decay"),
        ({}, {"table": {"inject": {"kind": "linear"}}}, "not table.inject=linear"),
        ({}, {"table": {"inject": {"kind": "initialise", "keep_lengths": True}}}, "keep_lengths"),
        ({}, {"backbone": {"name": "lightgcn"}}, "needs all rows at once"),
        ({}, {"execution": {"devices": 2}}, "execution.devices=2"),
    ],
)
def test_lazy_adam_where_other_rows_are_needed_is_refused(
    train_: dict[str, Any], also: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        spec.Experiment.model_validate({"train": LAZY | train_} | also)
