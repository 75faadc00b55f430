"""Communities, agreement and clusters at scale: ours against igraph's Leiden and scikit-learn, seconds and peak memory.

    python benchmarks/partition_scale.py [--items 1000000] [--edges 20000000] [--only louvain leiden ...]

The graph: items of 200 planted blocks with popularity by Zipf's law; two thirds of the edges lie inside a block;
weights are counts. Every measurement runs in a process of its own; what it is given (the graph from a file, two
partitions, unit rows) is counted in its peak but not timed. Prints JSON lines: modularity reached and AMI with the
planted blocks for communities, the values for agreement, the mean cosine to the centre for clusters of unit rows
[10,000 x 64].

Measured on two shared cores, 1,000,000 items and 19.3 million edges: Leiden 61 CPU seconds and 4.5 GiB, Louvain 27 and
1.2 for the same modularity (.66302); agreement of 200 with 2,000 labels by scikit-learn 11 CPU seconds and 0.2
GiB. So agreement is scikit-learn's, and communities are Leiden's up to 4 million edges.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from engine.embeddings.graph.cooccurrence import Matrix

BLOCKS = 200
IntArray = npt.NDArray[np.int64]


def planted(given: argparse.Namespace) -> Matrix:
    """The graph; item i is of block i modulo 200."""
    draw = np.random.default_rng(0)
    n = given.items
    blocks = np.arange(n) % BLOCKS
    ends = np.cumsum(np.arange(1, n + 1) ** -0.6)
    i = np.searchsorted(ends, draw.random(given.edges) * ends[-1]).clip(max=n - 1)
    j = np.searchsorted(ends, draw.random(given.edges) * ends[-1]).clip(max=n - 1)
    stays = draw.random(given.edges) < 2 / 3
    j[stays] = (j[stays] // BLOCKS * BLOCKS + blocks[i[stays]]).clip(max=n - 1)
    kept = i != j
    i, j = i[kept].astype(np.int32), j[kept].astype(np.int32)
    half = sparse.coo_array((np.ones(len(i)), (np.minimum(i, j), np.maximum(i, j))), shape=(n, n)).tocsr()
    return Matrix(half + half.T)


def two_partitions(given: argparse.Namespace) -> tuple[IntArray, IntArray]:
    """200 blocks with a third of the labels drawn anew, against 2,000 communities of very different size."""
    draw = np.random.default_rng(1)
    a = np.arange(given.items) % 200
    b = np.minimum(a * 10 + (2 ** draw.random(given.items) * 10 - 10).astype(np.int64), 1999)
    anew = draw.random(given.items) < 1 / 3
    b[anew] = (2000 * draw.random(int(anew.sum())) ** 3).astype(np.int64)
    return a, b


def unit_rows() -> npt.NDArray[np.float64]:
    """[10,000 x 64] of 50 clusters."""
    draw = np.random.default_rng(2)
    rows = draw.standard_normal((50, 64))[draw.integers(50, size=10_000)] + 1.5 * draw.standard_normal((10_000, 64))
    unit: npt.NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    began, cpu = time.perf_counter(), time.process_time()
    made = work()
    return made, {
        "wall_s": round(time.perf_counter() - began, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "given_mib": before,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def measured(what: str, given: argparse.Namespace) -> dict[str, Any]:
    """One measurement, in this process."""
    match what:
        case "louvain" | "leiden":
            return of_communities(what, given)
        case "agreement" | "sklearn-agreement":
            return of_agreement(what, given)
        case _:
            return of_clusters(what)


def of_communities(what: str, given: argparse.Namespace) -> dict[str, Any]:
    from engine.geometry.graph.agreement import agreement
    from engine.geometry.graph.leiden import leiden
    from engine.geometry.graph.louvain import louvain
    from engine.geometry.graph.modularity import modularity

    graph = Matrix(sparse.load_npz(given.graph))
    labels, cost = timed(lambda: louvain(graph) if what == "louvain" else leiden(graph))
    return cost | {
        "edges": graph.nnz // 2,
        "communities": int(labels.max()) + 1,
        "modularity": round(modularity(graph, labels), 5),
        "ami": round(agreement(labels, np.arange(given.items) % BLOCKS)["ami"], 4),
    }


def of_agreement(what: str, given: argparse.Namespace) -> dict[str, Any]:
    a, b = two_partitions(given)

    def theirs() -> dict[str, float]:
        from sklearn import metrics

        return {
            "nmi": metrics.normalized_mutual_info_score(a, b),
            "ami": metrics.adjusted_mutual_info_score(a, b),
            "ari": metrics.adjusted_rand_score(a, b),
        }

    def ours() -> dict[str, float]:
        from engine.geometry.graph.agreement import agreement

        return agreement(a, b)

    values, cost = timed(ours if what == "agreement" else theirs)
    return {**cost, **values}


def of_clusters(what: str) -> dict[str, Any]:
    unit = unit_rows()

    def theirs() -> IntArray:
        from sklearn.cluster import KMeans

        found: IntArray = KMeans(50, n_init=10, random_state=0).fit_predict(unit)
        return found

    def ours() -> IntArray:
        from engine.embeddings.clusters import spherical_kmeans

        return spherical_kmeans(unit, 50, np.random.default_rng(0), 10)

    labels, cost = timed(ours if what == "clusters" else theirs)
    sums = np.zeros((50, 64))
    np.add.at(sums, labels, unit)
    return cost | {"mean_cosine": round(float(np.linalg.norm(sums, axis=1).sum()) / len(unit), 5)}


def main() -> None:
    known = ["louvain", "leiden", "agreement", "sklearn-agreement", "clusters", "sklearn-clusters"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--edges", type=int, default=20_000_000)
    parser.add_argument("--only", nargs="+", choices=known, default=known)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        given.graph = Path(folder) / "graph.npz"
        if {"louvain", "leiden"} & set(given.only):
            sparse.save_npz(given.graph, planted(given), compressed=False)
        for what in given.only:
            with multiprocessing.get_context("spawn").Pool(1) as apart:
                print(json.dumps({"what": what} | apart.apply(measured, (what, given))), flush=True)


if __name__ == "__main__":
    main()
