"""A GPU: first whether it computes what the CPU computes, then seconds an epoch and runs an hour.

    python benchmarks/gpu.py [--dataset ml-1m] [--device cuda] [--slots 1 4 8] [--epochs 3]
    python benchmarks/gpu.py --devices 2                   # and runs that so many cards share
    python benchmarks/gpu.py --device cpu --small          # the script itself, where no card is at hand

Each backbone has the same weights on both devices and no dropout. Compared are the loss and the gradients of one batch
and the ranks of the validation users; without agreement nothing is timed, and the exit code is 1. An epoch is its
optimiser steps, with the evaluation beside it. `peak_share` is the arithmetic of the products (forward and backward,
real positions only) over what the device reaches on a square product in float32. Runs an hour are of so many
processes at once, each with steps and evaluation, `train.epochs` epochs a run.

`options` are steps in ways that the program does not take: the backbone in bf16 by autocast, and on a card TF32,
`torch.compile` of the backbone, and CUDA graphs by it; each with its seconds an epoch and its validation NDCG@10
behind them, beside those of float32, or with what it failed with. `devices` are whole runs (`engine.job`) on one
device and on `--devices`. `catalogue` is the exact cross-entropy over a million items against its three bare products.
Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training_speed import products

from engine import spec
from engine.data import Split, load_dataset, split_dataset
from engine.data.cases import held_out, training_probe
from engine.metrics import rank_metrics
from engine.models.base import Trained
from engine.models.registry import build
from engine.presets import resolve
from engine.spool import RunFolder, read_records
from engine.training import loop, ranking
from engine.training.losses import criterion
from engine.training.optimizer import make_optimizer
from engine.training.process import settle
from engine.training.softmax import softmax_cross_entropy

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


OPTIONS = ("float32", "tf32", "bf16 autocast", "compiled", "cuda graphs")


def prepared(option: str, model: Any, device: torch.device) -> AbstractContextManager[object]:
    """The model as the option has it; inside the context its steps are taken. ValueError for an option that the device
    does not have."""
    if option in ("tf32", "compiled", "cuda graphs") and device.type != "cuda":
        raise ValueError("for cards only")
    if option == "compiled":
        model.backbone.encode = torch.compile(model.backbone.encode, dynamic=True)
    elif option == "cuda graphs":
        model.backbone.encode = torch.compile(model.backbone.encode, mode="reduce-overhead")
    elif option == "tf32":
        return tf32()
    elif option == "bf16 autocast":
        model.backbone.encode = in_bf16(model.backbone.encode, device)
    return nullcontext()


def in_bf16(encode: Callable[..., torch.Tensor], device: torch.device) -> Callable[..., torch.Tensor]:
    """The backbone under autocast, each time in a context of its own and backwards outside of it: autocast keeps the
    bf16 copy of a weight as long as its context lasts, whatever the optimiser does to the weight meanwhile."""

    def cast(*values: Any) -> torch.Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return encode(*values).float()

    return cast


@contextmanager
def tf32() -> Iterator[None]:
    """Products in TF32, cuDNN's too."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False


def options(trial: Trial, device: torch.device, count: int) -> dict[str, Any]:
    """Of each option the median seconds of an epoch's steps, behind one that is not counted, and the NDCG@10."""
    found: dict[str, Any] = {}
    for option in OPTIONS:
        try:
            torch.manual_seed(0)
            model: Any = trial.model(device)
            optimizer = make_optimizer(model, trial.experiment.train)
            with prepared(option, model, device):
                taken = [seconds(device, lambda: steps(trial, model, optimizer, epoch)) for epoch in range(count + 1)]  # noqa: B023
            ranks = trial.evaluated(model)
            ndcg = rank_metrics(ranks)["ndcg@10"]
            found[option] = {"steps_s": round(statistics.median(taken[1:]), 4), "valid ndcg@10": round(ndcg, 4)}
        except Exception as error:  # an option may fail in any way; the others are measured all the same
            found[option] = {"failed": (str(error).strip().splitlines() or [type(error).__name__])[0]}
    return found


def steps(trial: Trial, model: Any, optimizer: torch.optim.Optimizer, epoch: int) -> float:
    """An epoch's steps; the arithmetic of their products."""
    work = 0.0
    model.train()
    model.begin_epoch(epoch)
    for batch in (one for each in model.batches(epoch) for one in each):
        loop.train_step(model, optimizer, batch, trial.criterion, None)
        backbone = trial.experiment.backbone
        assert isinstance(backbone, spec.ItemBackbone)
        work += 6 * products(backbone, trial.n_items, batch)
    return work


def whole_runs(trial: Trial, device: torch.device, devices: int, count: int) -> dict[str, Any]:
    """A run of so many epochs as the program carries it out, on one device and on several."""
    found = {}
    for number in (1, devices):
        changes = {"device": device.type, "devices": number}
        execution = trial.experiment.execution.model_copy(update=changes)
        train = trial.experiment.train.model_copy(update={"epochs": count})
        experiment = trial.experiment.model_copy(update={"execution": execution, "train": train})
        with tempfile.TemporaryDirectory() as root:
            folder = RunFolder(Path(root, "run"))
            folder.root.mkdir()
            folder.spec.write_text(spec.to_json(experiment))
            done = subprocess.run(
                [sys.executable, "-P", "-m", "engine.job", str(folder.root)],
                check=False,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            results = [record["values"] for record in read_records(folder.spool)[0] if record["r"] == "result"]
        if results:
            found[str(number)] = {
                "wall_s": results[0]["wall_s"],
                "targets_per_s": results[0]["targets_per_s"],
                "test ndcg@10": round(results[0]["test"]["ndcg@10"], 4),
            }
        else:
            found[str(number)] = {"failed": (done.stdout.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    return found


def catalogue(device: torch.device, n_items: int, targets: int = 256, width: int = 64) -> dict[str, Any]:
    """Seconds of the exact cross-entropy, forward and backward, over those of its three products; peak on a card."""
    h = torch.randn(targets, width, device=device, requires_grad=True)
    rows = (torch.randn(n_items, width, device=device) * 0.02).requires_grad_()
    wanted = torch.randint(0, n_items, (targets,), device=device)

    def loss() -> None:
        h.grad = rows.grad = None
        softmax_cross_entropy(h, rows, wanted).backward()

    @torch.no_grad()
    def bare() -> None:
        for part in h.split(max(1, (1 << 26) // n_items)):
            weights = part @ rows.T
            weights @ rows
            weights.T @ part

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    loss()
    bare()
    pairs = [(seconds(device, loss), seconds(device, bare)) for _ in range(5)]
    peak_gib = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    return {
        "items": n_items,
        "loss_s": round(statistics.median(one for one, _ in pairs), 4),
        "ratio": round(statistics.median(one / other for one, other in pairs), 2),
        "peak_gib": None if peak_gib is None else round(peak_gib, 2),
    }


def epochs(trial: Trial, device: torch.device, count: int) -> dict[str, Any]:
    """Medians of so many epochs, behind one that is not counted."""
    model: Any = trial.model(device)
    optimizer = make_optimizer(model, trial.experiment.train)
    work = [0.0]
    taken = []
    for epoch in range(count + 1):
        step_s = seconds(device, lambda: work.append(steps(trial, model, optimizer, epoch)))  # noqa: B023 (at once)
        taken.append((step_s, seconds(device, lambda: trial.evaluated(model))))
    step_s, measured_s = (statistics.median(each) for each in zip(*taken[1:], strict=True))
    return {
        "steps_s": round(step_s, 4),
        "evaluation_s": round(measured_s, 4),
        "peak_share": round(work[-1] / step_s / peak(device), 4),
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
    parser.add_argument("--devices", type=int, default=1, help="cards that share a run, beside one")
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
            found["options"] = options(Trial(dataset, backbone, None, sets), device, given.epochs)
            if given.devices > 1:
                found["devices"] = whole_runs(Trial(dataset, backbone, None, sets), device, given.devices, given.epochs)
            words = [sys.executable, __file__, "--dataset", dataset, "--device", given.device, "--backbone", backbone]
            words += ["--epochs", str(given.epochs), *(["--small"] if given.small else [])]
            found["runs_an_hour"] = {str(slots): runs_an_hour(words, slots) for slots in given.slots}
    report["catalogue"] = catalogue(device, 20_000 if given.small else 1_000_000)
    print(json.dumps(report, indent=2))
    sys.exit(0 if all(each["agreement"]["agrees"] for each in report["backbones"].values()) else 1)


if __name__ == "__main__":
    main()
