"""Graph models at scale: CPU seconds of a step and of a ranking, in units of one sparse product over the graph.

    python benchmarks/graph_models.py [--interactions 2000000] [--users 14000] [--items 8000] [--only lightgcn ...]

Data, unit and threads are those of `closed_forms.py`: items by Zipf's law, log-normal history lengths, the unit R x for
R [users, items] with the interactions and x [items, 64] in float32. Every model is built in a process of its own, for
its peak memory, with the defaults of its preset (`gde` with 256 eigenvectors a side, at most); a step is forward,
backward and Adam on `--batch` pairs with one negative, the median of `--steps`. Prints JSON.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any

import numpy as np
import torch
from closed_forms import RANKED, histories, one_product, options, print_each

from engine import spec
from engine.data.cases import held_out
from engine.models.registry import build
from engine.training.loop import train_step
from engine.training.losses import criterion
from engine.training.optimizer import make_optimizer
from engine.training.ranking import evaluate, evaluating

NAMES = ["lightgcn", "ngcf", "gcn", "gin", "jgcf", "gde", "svd-gcn"]
_EIGENVECTORS = 256


def measured(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """One model, in this process."""
    torch.set_num_threads(given.threads)
    train = histories(given)
    unit = one_product(train, given.items)
    backbone: dict[str, Any] = {"name": name}
    if name == "gde":
        backbone["smooth_ratio"] = min(0.1, _EIGENVECTORS / max(given.users, given.items))
    experiment = spec.Experiment.model_validate(
        {
            "backbone": backbone,
            "table": {"init": {"kind": "id"}, "normalize": "none"},
            "train": {"loss": {"kind": "bpr"}, "batch_size": given.batch},
        }
    )
    began = time.process_time()
    model = build(experiment, train, given.items)
    optimizer = make_optimizer(model, experiment.train)
    minimised = criterion(experiment.train.loss, given.items)
    batches = model.batches(0)
    model.train()
    steps = []
    for number in range(given.steps + 1):  # the first one also decomposes, where there is something to decompose
        (batch,) = batches[number]
        start = time.process_time()
        train_step(model, optimizer, batch, minimised)
        steps.append(time.process_time() - start)
        if number == 0:
            prepared = time.process_time() - began
    cases = held_out(train, np.zeros(len(train), np.int64))[:RANKED]
    start = time.process_time()
    with evaluating(model) as scorer:
        propagated = time.process_time() - start
        evaluate(scorer, cases, mask_seen=False)
    ranked = time.process_time() - start - propagated
    return {
        "interactions": len(train.items),
        "edges": model.n_targets,
        "unit_s": round(unit, 3),
        "prepare_units": round(prepared / unit, 1),
        "step_units": round(float(np.median(steps[1:])) / unit, 1),
        "rows_units": round(propagated / unit, 1),
        "rank_units_per_1000_users": round(ranked / len(cases) * 1000 / unit, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


if __name__ == "__main__":
    parser = options(__doc__, NAMES)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=5)
    print_each(measured, parser.parse_args())
