"""A training step over a million items where only some rows have gradients: lazy Adam beside Adam.

    python benchmarks/large_table.py [--items 1000000] [--rounds 5]

SASRec on generated histories, sampled softmax with log Q, 256 targets and as many negatives each. Each side is a
process of its own with one thread, which says CPU seconds a step (median of `--steps`) and its peak memory while it
trains; sides take turns, and the ratios are medians. `state_mb` is what a checkpoint keeps of the optimiser. Prints
JSON; Linux only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.data import Sequences
from engine.models.registry import build
from engine.presets import resolve
from engine.training import loop
from engine.training.losses import criterion
from engine.training.optimizer import make_optimizer
from engine.training.process import settle

SIDES = ("adam", "lazy-adam")


def histories(n_items: int, users: int, length: int) -> Sequences:
    """Random histories: a few items of most, the rest hardly ever."""
    items = (np.random.default_rng(0).pareto(1.0, users * length) * n_items / 1000).astype(np.int64) % n_items
    return Sequences(items, np.arange(0, users * length + 1, length))


def one(side: str, n_items: int, targets: int, steps: int) -> dict[str, float]:
    """CPU seconds a step, the peak of the process in GiB, and what is kept of the optimiser in MB."""
    settle(torch.device("cpu"), 1)
    length = 16
    sets = [f"train.optimizer={side}", "train.loss=sampled-ce", "train.loss.log_q=true", "table.normalize=none"]
    sets += [f"train.batch_size={targets // length}", "train.loss.negatives=256"]
    experiment = resolve(method="id", backbone="sasrec", sets=sets).experiment
    model: Any = build(experiment, histories(n_items, 4000, length + 1), n_items)
    optimizer = make_optimizer(model, experiment.train)
    minimised = criterion(experiment.train.loss, n_items)
    batches = [batch for each in model.batches(0)[: steps + 1] for batch in each]
    model.train()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that of what follows
    taken = []
    for batch in batches:
        tick = time.process_time()
        loop.train_step(model, optimizer, batch, minimised)
        taken.append(time.process_time() - tick)
    kept = [tensor for moments in optimizer.state_dict()["state"].values() for tensor in moments.values()]
    return {
        "step_s": statistics.median(taken[1:]),
        "peak_gib": peak_kib() / 2**20,
        "state_mb": sum(tensor.numel() * tensor.element_size() for tensor in kept) / 1e6,
    }


def peak_kib() -> int:
    """Most memory that this process held."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--targets", type=int, default=256, help="of a step")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one, given.items, given.targets, given.steps)))
        return
    words = [sys.executable, __file__, "--items", str(given.items), "--targets", str(given.targets)]
    words += ["--steps", str(given.steps)]
    told: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(given.rounds):
        for side in SIDES:
            done = subprocess.run([*words, "--one", side], stdout=subprocess.PIPE, text=True, check=True)
            told[side].append(json.loads(done.stdout))
    report: dict[str, Any] = {"items": given.items, "targets": given.targets, "rounds": given.rounds}
    for name in ("step_s", "peak_gib", "state_mb"):
        sides = [[each[name] for each in told[side]] for side in SIDES]
        report |= {f"{side} {name}": round(statistics.median(of), 4) for side, of in zip(SIDES, sides, strict=True)}
        report[f"ratio {name}"] = round(statistics.median(a / b for a, b in zip(*sides, strict=True)), 2)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
