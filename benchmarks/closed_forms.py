"""Closed forms at scale: CPU seconds to fit and to rank, in units of one sparse product over the graph, and memory.

    python benchmarks/closed_forms.py [--interactions 2000000] [--users 14000] [--items 8000] [--only gf-cf slim ...]

Items are drawn by Zipf's law, history lengths are log-normal. The unit is R x for R [users, items] with the
interactions and x [items, 64], in float32. Every model is fitted in a process of its own, for its peak memory, and
ranks the first 2,000 users. Prints JSON; settings are the defaults, `l3ae` has random vectors of width 64.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from engine import spec
from engine.data import Sequences
from engine.data.cases import held_out
from engine.models.interactions import interactions
from engine.models.registry import build_fitted
from engine.training.ranking import evaluate

NAMES = [name for name, part in spec.BACKBONES.items() if not part.is_trained]
RANKED = 2000


def histories(given: argparse.Namespace) -> Sequences:
    """Synthetic training histories."""
    draw = np.random.default_rng(0)
    shares = draw.lognormal(0.0, 0.8, given.users)
    lengths = np.maximum(2, np.round(shares / shares.sum() * given.interactions)).astype(np.int64)
    ends = np.cumsum(np.arange(1, given.items + 1) ** -0.8)
    items = np.searchsorted(ends, draw.random(int(lengths.sum())) * ends[-1], "right").clip(max=given.items - 1)
    return Sequences(items.astype(np.int64), np.concatenate([[0], np.cumsum(lengths)]))


def one_product(train: Sequences, n_items: int) -> float:
    """CPU seconds of the unit, the median of five."""
    x, dense = interactions(train, n_items, np.float32), np.ones((n_items, 64), np.float32)
    seconds = []
    for _ in range(5):
        began = time.process_time()
        x @ dense
        seconds.append(time.process_time() - began)
    return float(np.median(seconds))


def measured(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """One model, in this process."""
    torch.set_num_threads(given.threads)
    train = histories(given)
    unit = one_product(train, given.items)
    experiment = spec.Experiment.model_validate(
        {"backbone": {"name": name}, "table": {"init": {"kind": "id"}, "normalize": "none"}}
    )
    cases = held_out(train, np.zeros(len(train), np.int64))[:RANKED]
    model = build_fitted(experiment, train, given.items)
    began = time.process_time()
    model.fit()
    fitted = time.process_time()
    evaluate(model.scorer(), cases, mask_seen=False)
    ranked = time.process_time() - fitted
    return {
        "interactions": len(train.items),
        "unit_s": round(unit, 3),
        "fit_units": round((fitted - began) / unit, 1),
        "rank_units_per_1000_users": round(ranked / len(cases) * 1000 / unit, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


def options(described: str | None, names: Sequence[str]) -> argparse.ArgumentParser:
    """The options of both benchmarks of models over the graph."""
    parser = argparse.ArgumentParser(description=described, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=14_000)
    parser.add_argument("--items", type=int, default=8_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    return parser


def print_each(measure: Callable[[str, argparse.Namespace], dict[str, Any]], given: argparse.Namespace) -> None:
    """One line of JSON a model, each from a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for name in given.only:
            print(json.dumps({"model": name} | pool.apply(measure, (name, given))), flush=True)


if __name__ == "__main__":
    print_each(measured, options(__doc__, NAMES).parse_args())
