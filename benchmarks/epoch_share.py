"""What an epoch is made of: steps, the full evaluation of validation, the training probe, in CPU seconds and shares.

    python benchmarks/epoch_share.py --dataset ml-100k --backbone sasrec

One thread; medians over whole epochs. Aim: evaluation and probe together at most .08.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from engine.data import load_dataset, split_dataset
from engine.data.cases import Cases, held_out, training_probe
from engine.models.registry import build
from engine.presets import resolve
from engine.training import loop, ranking
from engine.training.losses import criterion
from engine.training.optimizer import make_optimizer
from engine.training.process import settle


def cpu_s(work: Callable[[], object]) -> float:
    tick = time.process_time()
    work()
    return time.process_time() - tick


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--backbone", default="sasrec")
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    settle(torch.device("cpu"), 1)

    experiment = resolve(method="id", dataset=given.dataset, backbone=given.backbone).experiment
    dataset = load_dataset(experiment.data)
    split = split_dataset(dataset, experiment.data)
    n_items = len(dataset.item_ids)
    model = build(experiment, split.train, n_items)
    optimizer = make_optimizer(model, experiment.train)
    minimised = criterion(experiment.train.loss, n_items)
    valid = held_out(split.valid_history, split.valid)
    probe = training_probe(split.train, experiment.train.probe, experiment.train.probe_run)

    def steps(epoch: int) -> None:
        model.train()
        model.begin_epoch(epoch)
        for batch in (one for each in model.batches(epoch) for one in each):
            loop.train_step(model, optimizer, batch, minimised, experiment.execution.micro_batch)

    def evaluated(cases: Cases, mask_seen: bool) -> None:
        with ranking.evaluating(model) as scorer:
            ranking.evaluate(scorer, cases, mask_seen)

    parts: dict[str, Callable[[int], object]] = {
        "steps": steps,
        "valid": lambda _: evaluated(valid, True),
        "probe": lambda _: evaluated(probe, False),
    }
    taken = [{name: cpu_s(partial(part, n)) for name, part in parts.items()} for n in range(given.epochs)]
    seconds = {name: statistics.median(each[name] for each in taken) for name in parts}
    total = sum(seconds.values())
    report = {
        "dataset": given.dataset,
        "backbone": given.backbone,
        "cpu_s": {name: round(value, 3) for name, value in seconds.items()},
        "share": {name: round(value / total, 3) for name, value in seconds.items()},
        "evaluation_share": round(1 - seconds["steps"] / total, 3),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
