"""A GPU: first whether it computes what the CPU computes, then seconds an epoch and runs an hour.

    python benchmarks/gpu.py [--dataset ml-1m] [--device cuda] [--slots 1 4 8] [--epochs 3]
    python benchmarks/gpu.py --device cpu --small          # the script itself, where no card is at hand

Each backbone has the same weights on both devices and no dropout. Compared are the loss and the gradients of one batch
and the ranks of the validation users; without agreement nothing is timed, and the exit code is 1. An epoch is its
optimiser steps, with the evaluation beside it. `peak_share` is the arithmetic of the products (forward and backward,
real positions only) over what the device reaches on a square product in float32. Runs an hour are of so many
processes at once, each with steps and evaluation, `train.epochs` epochs a run. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from training_speed import products

from engine import spec
from engine.data import Split, load_dataset, split_dataset
from engine.data.cases import held_out, training_probe
from engine.models.base import Trained
from engine.models.registry import build
from engine.presets import resolve
from engine.training import loop, ranking
from engine.training.losses import criterion
from engine.training.optimizer import make_optimizer
from engine.training.process import settle

BACKBONES = ("sasrec", "gru4rec", "bert4rec")
SMALL = ("data.source.users=120", "data.source.items=90", "train.epochs=2")
LOSS, GRADIENT = 1e-5, 1e-3
"""Differences that are rounding: of the loss, relative; of a gradient, by its norm. TF32 is off."""
NEAR = 0.002
"""Share of the ranks that may differ, by neighbours whose scores are equal to rounding."""


class Trial:
    """One backbone with its data, built anew for a device."""

    def __init__(self, dataset: str, backbone: str, dropout: float | None, sets: tuple[str, ...]) -> None:
        without = () if dropout is None else (f"backbone.dropout={dropout}",)
        self.experiment = resolve(method="id", dataset=dataset, backbone=backbone, sets=(*sets, *without)).experiment
        data = load_dataset(self.experiment.data)
        self.split: Split = split_dataset(data, self.experiment.data)
        self.n_items = len(data.item_ids)
        self.criterion = criterion(self.experiment.train.loss, self.n_items)

    def model(self, device: torch.device) -> Trained:
        """The same weights every time."""
        model = build(self.experiment, self.split.train, self.n_items)
        model.to(device)
        return model

    def gradients(self, device: torch.device) -> tuple[float, dict[str, torch.Tensor]]:
        """Loss and gradients of the first batch, on the host."""
        model: Any = self.model(device)
        model.train()
        batch = next(iter(model.batches(0)[0]))
        loss = model.loss(batch, self.criterion)
        loss.backward()
        return float(loss.detach()), {name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None}

    def evaluated(self, model: Trained) -> ranking.Ranks:
        """What the loop measures after an epoch; the ranks of the validation users."""
        train = self.experiment.train
        with ranking.evaluating(model) as scorer:
            ranking.evaluate(scorer, training_probe(self.split.train, train.probe, train.probe_run), mask_seen=False)
            valid = held_out(self.split.valid_history, self.split.valid)
            return ranking.evaluate(scorer, valid, self.experiment.evaluate.mask_seen)[0]


def agreement(trial: Trial, device: torch.device) -> dict[str, Any]:
    """How far the device is from the CPU, and whether that is rounding."""
    cpu = torch.device("cpu")
    (loss, here), (other, there) = trial.gradients(cpu), trial.gradients(device)
    furthest = max(float((here[name] - there[name]).norm() / here[name].norm().clamp(min=1e-12)) for name in here)
    ranks, others = trial.evaluated(trial.model(cpu)), trial.evaluated(trial.model(device))
    differ = float(np.mean(ranks != others))
    relative = abs(loss - other) / abs(loss)
    agrees = here.keys() == there.keys() and relative <= LOSS and furthest <= GRADIENT and differ <= NEAR
    return {"agrees": agrees, "loss": relative, "gradient": furthest, "ranks": differ}


def done(device: torch.device) -> None:
    """Wait for what the device was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(device: torch.device, work: Callable[[], object]) -> float:
    done(device)
    tick = time.perf_counter()
    work()
    done(device)
    return time.perf_counter() - tick


def peak(device: torch.device) -> float:
    """Floating-point operations per second on a square product in float32."""
    side = 4096 if device.type == "cuda" else 512
    a, b = torch.randn(2, side, side, device=device).unbind()
    return float(2 * side**3) / min(seconds(device, lambda: a @ b) for _ in range(10))


def epochs(trial: Trial, device: torch.device, count: int) -> dict[str, Any]:
    """Medians of so many epochs, behind one that is not counted."""
    model: Any = trial.model(device)
    optimizer = make_optimizer(model, trial.experiment.train)
    work = 0.0

    def steps(epoch: int) -> None:
        nonlocal work
        work = 0.0
        model.train()
        model.begin_epoch(epoch)
        for batch in (one for each in model.batches(epoch) for one in each):
            loop.train_step(model, optimizer, batch, trial.criterion, None)
            backbone = trial.experiment.backbone
            assert isinstance(backbone, spec.ItemBackbone)
            work += 6 * products(backbone, trial.n_items, batch)

    taken = []
    for epoch in range(count + 1):
        step_s = seconds(device, lambda: steps(epoch))  # noqa: B023 (called at once)
        taken.append((step_s, seconds(device, lambda: trial.evaluated(model))))
    step_s, measured_s = (statistics.median(each) for each in zip(*taken[1:], strict=True))
    return {
        "steps_s": round(step_s, 4),
        "evaluation_s": round(measured_s, 4),
        "peak_share": round(work / step_s / peak(device), 4),
        "run_s": (step_s + measured_s) * trial.experiment.train.epochs,
    }


def runs_an_hour(words: list[str], slots: int) -> float:
    """Of so many processes at once, each of which says how long a run takes it."""
    started = [subprocess.Popen([*words, "--one"], stdout=subprocess.PIPE, text=True) for _ in range(slots)]
    told = [float(json.loads(process.communicate()[0])["run_s"]) for process in started]
    return round(sum(3600 / each for each in told), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default=None, help="ml-1m; demo with --small")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--backbone", action="append", choices=BACKBONES, help="several times; all")
    parser.add_argument("--slots", type=int, nargs="*", default=[1, 4, 8], help="runs at once")
    parser.add_argument("--epochs", type=int, default=3, help="that are timed")
    parser.add_argument("--small", action="store_true", help="little generated data: tries the script")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    dataset, sets = given.dataset or ("demo" if given.small else "ml-1m"), SMALL if given.small else ()
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU here; --device cpu --small tries the script")
    settle(device, 1)
    chosen = given.backbone or list(BACKBONES)
    if given.one:
        print(json.dumps(epochs(Trial(dataset, chosen[0], None, sets), device, given.epochs)))
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    report: dict[str, Any] = {"device": name, "dataset": dataset, "torch": torch.__version__, "backbones": {}}
    for backbone in chosen:
        found = {"agreement": agreement(Trial(dataset, backbone, 0.0, sets), device)}
        report["backbones"][backbone] = found
        if found["agreement"]["agrees"]:
            found |= epochs(Trial(dataset, backbone, None, sets), device, given.epochs)
            words = [sys.executable, __file__, "--dataset", dataset, "--device", given.device, "--backbone", backbone]
            words += ["--epochs", str(given.epochs), *(["--small"] if given.small else [])]
            found["runs_an_hour"] = {str(slots): runs_an_hour(words, slots) for slots in given.slots}
    print(json.dumps(report, indent=2))
    sys.exit(0 if all(each["agreement"]["agrees"] for each in report["backbones"].values()) else 1)


if __name__ == "__main__":
    main()
