"""Rec-PCA at scale: time as a multiple of scikit-learn's covariance PCA, and peak memory, in one process.

    python benchmarks/rec_pca_scale.py [--items 1000000] [--dim 384] [--edges 20000000] [--rounds 5]

Makes a random memory-mapped float16 matrix and a random graph whose degrees follow Zipf's law, and fits Rec-PCA: the
whole way from the file to the map (mean, lengths, X^T X, X^T L X, eigenproblem), apart from the table of n rows
and the diagnostics, which are timed too. scikit-learn's PCA(svd_solver="covariance_eigh") is timed

    ready  on prepared rows that are in memory in float32 before the clock starts: nothing but its own work
    whole  from the file to the fit: rows made float32, centred and brought to unit length with numpy, then `ready`
    file   as `PCA.fit(memory-mapped file)`, which converts the whole file to float64 (only where that fits into memory)

    fresh  as `file`, both sides in processes of their own: a fit happens once in a run, on memory that is new

The first three are in one process that has done the like before. Memory is the peak of RssAnon (pages that no file
backs) above its value once the graph is there, for a quarter of the items and for all. Prints JSON. Needs scikit-learn:
pip install scikit-learn.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import torch

from engine.embeddings.graph.cooccurrence import Matrix, from_keys
from engine.embeddings.graph.laplacian import Laplacian, laplacian
from engine.embeddings.reduce.gram import gram_sums
from engine.embeddings.reduce.rec_pca import rec_pca
from engine.embeddings.reduce.reductions import fit, prepare
from engine.embeddings.reduce.trade_off import trade_off
from engine.embeddings.rows import Vectors
from engine.spec import Embedding, RecPCA

REDUCTION = RecPCA(lambda_=1.0)
SETTINGS = Embedding(reduce=REDUCTION)


class AnonymousMemory:
    """The most anonymous memory that the process has had since `start`, above what it had then, in MiB."""

    def __init__(self) -> None:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before is not ours
        self._base = self._most = _anonymous()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> AnonymousMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self._most = max(self._most, _anonymous())

    @property
    def mib(self) -> int:
        return round((self._most - self._base) / 2**20)


def _anonymous() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("rec_pca_scale.py reads /proc/self/status: it runs on Linux only")


def write_vectors(path: Path, n: int, d: int) -> npt.NDArray[np.float16]:
    """Rows about a common mean, of lengths that differ, some directions stronger than others."""
    rng = np.random.default_rng(0)
    matrix = np.lib.format.open_memmap(path, "w+", np.float16, (n, d))
    spread = np.linspace(2.0, 0.2, d, dtype=np.float32)
    for first in range(0, n, 20_000):
        rows = rng.standard_normal((min(20_000, n - first), d), dtype=np.float32) * spread + 0.5
        matrix[first : first + len(rows)] = rows * np.exp(0.3 * rng.standard_normal((len(rows), 1)))
    matrix.flush()
    return np.asarray(np.load(path, mmap_mode="r"))


def make_graph(n: int, edges: int, skew: float) -> Laplacian:
    """Distinct edges between items drawn with probability ~ rank^-skew, ranks in random order; its Laplacian."""
    rng = np.random.default_rng(1)
    ends = np.cumsum(np.arange(1, n + 1) ** -skew)
    item = rng.permutation(n)
    keys = np.empty(0, np.int64)
    while len(keys) < edges:
        a, b = (item[np.searchsorted(ends, rng.random(edges) * ends[-1]).clip(max=n - 1)] for _ in range(2))
        keys = np.concatenate([keys, (np.minimum(a, b) * n + np.maximum(a, b))[a != b]])
        keys.sort()
        keys = keys[np.flatnonzero(np.diff(keys, prepend=-1))]
    keys = np.sort(rng.permutation(keys)[:edges])
    upper = from_keys(keys, rng.random(edges) + 0.5, n)
    return laplacian(Matrix(upper + upper.T))


def timed(work: Callable[..., Any], *given: Any) -> tuple[Any, dict[str, float]]:
    """Its result, wall seconds and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = work(*given)
    return made, {
        "wall_s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
    }


def prepared(matrix: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    """The rows that Rec-PCA works on, the plain way, in memory."""
    x = matrix.astype(np.float32)
    x -= x.mean(axis=0, dtype=np.float64).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def ours(matrix: npt.NDArray[np.float16], graph: Laplacian, k: int) -> dict[str, Any]:
    """Times and memory of Rec-PCA's steps on the first rows of the matrix that the graph has."""
    vectors = Vectors(matrix, np.arange(len(graph.diagonal)))
    with AnonymousMemory() as memory:
        rows, preparing = timed(prepare, vectors, SETTINGS)
        found, passing = timed(gram_sums, rows, graph)
        reduction, solving = timed(rec_pca, found, k, REDUCTION.lambda_)
    _, diagnosing = timed(trade_off, found, k, REDUCTION.lambda_, reduction)
    return {
        "items": len(graph.diagonal),
        "fit": {name: round(preparing[name] + passing[name] + solving[name], 2) for name in preparing},
        "mean_and_lengths": preparing,
        "moments": passing,
        "eigenproblem": solving,
        "diagnostics": diagnosing,
        "peak_anonymous_mib": memory.mib,
    }


def theirs(matrix: npt.NDArray[np.float16], k: int) -> dict[str, Any]:
    """Times of scikit-learn's covariance PCA."""
    try:
        decomposition = importlib.import_module("sklearn.decomposition")
    except ImportError:
        raise SystemExit("rec_pca_scale.py compares with scikit-learn: pip install scikit-learn") from None
    n, d = matrix.shape
    found: dict[str, Any] = {"items": n}
    free = psutil.virtual_memory().available
    if 3 * n * d * 4 > free:
        return found | {"skipped": f"float32 rows and their copies need {3 * n * d * 4 / 2**30:.0f} GiB"}

    def pca() -> Any:
        return decomposition.PCA(k, svd_solver="covariance_eigh")

    x, preparing = timed(prepared, matrix)
    _, found["ready"] = timed(pca().fit, x)
    found["whole"] = {name: round(preparing[name] + found["ready"][name], 2) for name in preparing}
    del x
    if 2.5 * n * d * 8 < psutil.virtual_memory().available:
        _, found["file"] = timed(pca().fit, matrix)
    return found


def fresh(folder: Path, k: int, rounds: int) -> float:
    """CPU seconds of a fit as a multiple of `PCA.fit` on the file, each in a process of its own; median of turns."""
    words = [
        sys.executable,
        __file__,
        "--folder",
        str(folder),
        "--k",
        str(k),
        "--threads",
        str(torch.get_num_threads()),
    ]

    def seconds(side: str) -> float:
        return float(subprocess.run([*words, "--side", side], capture_output=True, text=True, check=True).stdout)

    return round(statistics.median(seconds("ours") / seconds("theirs") for _ in range(rounds)), 2)


def one_side(side: str, folder: Path, k: int) -> float:
    """CPU seconds of one fit; what a process imports and sets up at first is done before."""
    matrix = np.asarray(np.load(folder / "x.npy", mmap_mode="r"))
    graph: Laplacian = pickle.loads((folder / "graph").read_bytes())
    small = np.random.default_rng(0).standard_normal((1000, 32)).astype(np.float16)
    if side == "ours":
        fit(prepare(Vectors.of(small), SETTINGS), 2, SETTINGS, laplacian=make_graph(1000, 5000, 0.8))
        began = time.process_time()
        rec_pca(gram_sums(prepare(Vectors.of(matrix), SETTINGS), graph), k, REDUCTION.lambda_)
    else:
        pca = importlib.import_module("sklearn.decomposition").PCA
        pca(2, svd_solver="covariance_eigh").fit(small)
        began = time.process_time()
        pca(k, svd_solver="covariance_eigh").fit(matrix)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--edges", type=int, default=20_000_000)
    parser.add_argument("--skew", type=float, default=0.8, help="exponent of Zipf's law; 0 = all items alike")
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of torch; OMP_NUM_THREADS for all"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of fresh processes")
    parser.add_argument("--side", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.side:
        print(one_side(given.side, given.folder, given.k))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        matrix = write_vectors(folder / "x.npy", given.items, given.dim)
        fit(prepare(Vectors(matrix, np.arange(1000)), SETTINGS), 2, SETTINGS, laplacian=make_graph(1000, 5000, 0.8))
        sizes = [given.items // 4, given.items]
        graphs = [make_graph(n, given.edges * n // given.items, given.skew) for n in sizes]
        runs = [ours(matrix, graph, given.k) for graph in graphs]
        reference = theirs(matrix, given.k)
        (folder / "graph").write_bytes(pickle.dumps(graphs[-1]))
        in_turns = fresh(folder, given.k, given.rounds) if "file" in reference else None
    ratios = {
        name: {clock: round(runs[-1]["fit"][clock] / reference[name][clock], 2) for clock in ("wall_s", "cpu_s")}
        for name in ("ready", "whole", "file")
        if name in reference
    }
    shape = {"items": given.items, "dim": given.dim, "edges": given.edges, "skew": given.skew, "k": given.k}
    threads = {"threads": given.threads, "cores": os.cpu_count(), "rounds": given.rounds}
    report = {"rec_pca": runs, "scikit_learn": reference, "ratio": ratios | {"fresh": {"cpu_s": in_turns}}}
    print(json.dumps(shape | threads | report, indent=2))


if __name__ == "__main__":
    main()
