"""Optimisers do what their names say, and runs with them resume to the bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine import spec
from engine.data import load_dataset, split_dataset
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
