"""Optimisers do what their names say, and runs with them resume to the bit."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file

from engine import spec
from engine.data import load_dataset, split_dataset
from engine.models.base import Trained
from engine.models.registry import build
from engine.training import loop
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


@pytest.mark.parametrize("settings", SGD, ids=str)
def test_a_resumed_run_with_sgd_equals_an_uninterrupted_one(settings: dict[str, Any], tmp_path: Path) -> None:
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
    kinds: list[spec.Optimizer] = [spec.Adam(), spec.AdamW(), spec.SGD(), spec.SGD(momentum=0.9)]
    assert len({spec.config_hash(spec.Experiment(train=spec.Train(optimizer=kind))) for kind in kinds}) == 4


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
