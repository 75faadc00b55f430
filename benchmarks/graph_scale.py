"""Item graphs at scale: seconds and peak memory of building one from histories, and of every null graph.

    python benchmarks/graph_scale.py [--interactions 19930000] [--users 140000] [--items 27000] [--window 3]
        [--only co-occurrence rewired ...]

Items are drawn by Zipf's law, history lengths are log-normal. Every graph is made in a process of its own, for its
peak memory; those of null graphs hold the co-occurrence graph too, which is counted there but not timed. Prints JSON;
for null graphs also whether numbers of neighbours, and weights, are exactly those of the real graph, and how far
weighted degrees are off (sum of differences over their sum).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from typing import Any

import numpy as np

from engine.data import Sequences
from engine.embeddings.graph import null_graphs
from engine.embeddings.graph.cooccurrence import Matrix, cooccurrence
from engine.embeddings.graph.laplacian import laplacian
from engine.spec import CoOccurrence

NULLS = {
    "rewired": null_graphs.rewired,
    "erdos-renyi": null_graphs.erdos_renyi,
    "permuted": null_graphs.permuted,
    "popularity": null_graphs.popularity,
}


def histories(given: argparse.Namespace) -> Sequences:
    """Synthetic training histories."""
    draw = np.random.default_rng(0)
    shares = draw.lognormal(0.0, 0.8, given.users)
    lengths = np.maximum(1, np.round(shares / shares.sum() * given.interactions)).astype(np.int64)
    ends = np.cumsum(np.arange(1, given.items + 1) ** -given.skew)
    spots = draw.random(int(lengths.sum())) * ends[-1]
    items = np.searchsorted(ends, spots, "right").clip(max=given.items - 1)
    return Sequences(items.astype(np.int64), np.concatenate([[0], np.cumsum(lengths)]))


def measured(what: str, given: argparse.Namespace) -> dict[str, Any]:
    """One graph, in this process."""
    train = histories(given)
    began = time.perf_counter(), time.process_time()
    settings = CoOccurrence(window=given.window)
    if what == "ppmi":
        settings = CoOccurrence(window=given.window, weight="ppmi")
    elif what == "top-k":
        settings = CoOccurrence(window=None, top_k=20)
    real = cooccurrence(train, given.items, settings)
    made = real
    told: dict[str, Any] = {}
    if what in NULLS:
        began = time.perf_counter(), time.process_time()
        made = NULLS[what](real, 0)
        told = compared(real, made)
    elif what == "combinatorial":
        began = time.perf_counter(), time.process_time()
        laplacian(real, "combinatorial")
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    return {
        "interactions": len(train.items),
        "edges": made.nnz // 2,
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    } | told


def compared(real: Matrix, null: Matrix) -> dict[str, Any]:
    """What the null graph kept."""
    wanted, reached = (np.asarray(one.sum(axis=1)).ravel() for one in (real, null))
    return {
        "neighbours_kept": bool(np.array_equal(np.diff(real.indptr), np.diff(null.indptr))),
        "weights_kept": real.nnz == null.nnz and bool(np.array_equal(np.sort(real.data), np.sort(null.data))),
        "degrees_off": round(float(np.abs(wanted - reached).sum() / wanted.sum()), 5),
    }


def main() -> None:
    graphs = ["co-occurrence", "ppmi", "top-k", "combinatorial", *NULLS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", type=int, default=19_930_000)
    parser.add_argument("--users", type=int, default=140_000)
    parser.add_argument("--items", type=int, default=27_000)
    parser.add_argument("--window", type=int, default=3)
    parser.add_argument("--skew", type=float, default=0.8, help="exponent of Zipf's law; 0 = all items alike")
    parser.add_argument("--only", nargs="+", choices=graphs, default=graphs)
    given = parser.parse_args()
    for what in given.only:
        with multiprocessing.get_context("spawn").Pool(1) as apart:
            print(json.dumps({"graph": what} | apart.apply(measured, (what, given))), flush=True)


if __name__ == "__main__":
    main()
