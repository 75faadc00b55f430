"""Two checkouts of this program against each other: the same work, in turns, by CPU seconds.

    python benchmarks/against.py OTHER_CHECKOUT --dataset ml-100k --backbone sasrec

Each side is a process of its own with one thread; they take turns, round after round, so that a busy machine meets
both. Printed are medians of the ratios other / this (above 1: this checkout is faster) and of the CPU seconds a round:
`step` is so many optimiser steps, `valid` a full evaluation, `probe` the cross-entropy of the training probe.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")


def work(dataset_name: str, backbone: str, sets: list[str], steps: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name; only names that both checkouts have are imported."""
    import torch

    from engine.data import load_dataset, split_dataset
    from engine.data.cases import Cases, held_out, training_probe
    from engine.models.registry import build
    from engine.presets import resolve
    from engine.training import loop, ranking
    from engine.training.losses import criterion
    from engine.training.optimizer import make_optimizer

    try:
        from engine.training.process import settle
    except ImportError:  # an older checkout
        torch.set_num_threads(1)
        torch.set_deterministic_debug_mode("error")
    else:
        settle(torch.device("cpu"), 1)
    experiment = resolve(method="id", dataset=dataset_name, backbone=backbone, sets=tuple(sets)).experiment
    dataset = load_dataset(experiment.data)
    split = split_dataset(dataset, experiment.data)
    n_items = len(dataset.item_ids)
    model = build(experiment, split.train, n_items)
    optimizer = make_optimizer(model, experiment.train)
    minimised = criterion(experiment.train.loss, n_items)
    batches = [batch for epoch in range(3) for one in model.batches(epoch) for batch in one][:steps]
    valid = held_out(split.valid_history, split.valid)
    runs = [getattr(experiment.train, "probe_run", 1)]  # an older checkout has none
    probe = training_probe(split.train, experiment.train.probe, *runs)

    def step() -> None:
        model.train()
        for batch in batches:
            loop.train_step(model, optimizer, batch, minimised)

    def evaluated(cases: Cases, mask_seen: bool) -> None:
        with ranking.evaluating(model) as scorer:
            ranking.evaluate(scorer, cases, mask_seen)

    return {"step": step, "valid": lambda: evaluated(valid, True), "probe": lambda: evaluated(probe, False)}


def serve(arguments: argparse.Namespace) -> None:
    """One side: a name comes on stdin, its CPU seconds leave on stdout."""
    tasks = work(arguments.dataset, arguments.backbone, arguments.set, arguments.steps)
    for task in tasks.values():
        task()
    print(json.dumps(list(tasks)), flush=True)
    for line in sys.stdin:
        tick = time.process_time()
        tasks[line.strip()]()
        print(time.process_time() - tick, flush=True)


class _Side:
    """The process of one checkout."""

    def __init__(self, folder: Path) -> None:
        argv = [sys.executable, __file__, "-", *sys.argv[2:]]
        env = os.environ | THREADS | {"PYTHONPATH": str(folder)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(argv, env=env, stdin=pipe, stdout=pipe, text=True, cwd=folder)

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def seconds(self, name: str) -> float:
        """CPU seconds of one round of the task."""
        assert self._process.stdin is not None
        self._process.stdin.write(name + "\n")
        self._process.stdin.flush()
        return float(self.line())

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", help="folder of the other checkout")
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--backbone", default="sasrec")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--steps", type=int, default=8, help="optimiser steps a round")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds")
    parser.add_argument("--only", action="append", help="step, valid or probe (several times); default: all")
    given = parser.parse_args()
    if given.other == "-":
        serve(given)
        return

    sides = [_Side(Path(given.other).resolve()), _Side(HERE)]
    names = [json.loads(side.line()) for side in sides][1]
    report: dict[str, object] = {"dataset": given.dataset, "backbone": given.backbone}
    for name in given.only or names:
        pairs = [[side.seconds(name) for side in sides] for _ in range(given.rounds)]
        report[name] = {
            "ratio": round(statistics.median(other / this for other, this in pairs), 2),
            "other_s": round(statistics.median(other for other, _ in pairs), 3),
            "this_s": round(statistics.median(this for _, this in pairs), 3),
        }
    print(json.dumps(report))
    for side in sides:
        side.end()


if __name__ == "__main__":
    main()
