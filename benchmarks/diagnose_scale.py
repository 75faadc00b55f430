"""`diagnose` on a large catalogue: seconds and peak memory of every stage, in one process.

    python benchmarks/diagnose_scale.py [--items 1000000] [--dimensions 384] [--edges 20000000] [--width 64]

Vectors are written to a memory-mapped file first (clusters of directions, log-normal norms, a common mean); the
graph joins items of one cluster more often than chance, with popular items as hubs. Prints JSON: seconds by
stage, seconds in all, peak memory so far in MiB (mapped pages count), and the condition numbers found.
Making the input is not counted in the time. The aim: minutes on two cores, below 4 GiB.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.embeddings.graph import Matrix, from_keys
from engine.geometry.report import Subject, diagnose


def vectors(path: Path, items: int, dimensions: int) -> npt.NDArray[np.float32]:
    """A memory-mapped matrix; item i is of cluster i % 200."""
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((200, dimensions), dtype=np.float32)
    mean = 2 * draw.standard_normal(dimensions, dtype=np.float32)
    made = np.lib.format.open_memmap(path, "w+", np.float32, (items, dimensions))
    for first in range(0, items, 1 << 14):
        which = np.arange(first, min(items, first + (1 << 14)))
        rows = centres[which % 200] + draw.standard_normal((len(which), dimensions), dtype=np.float32)
        made[which] = mean + rows * np.exp(0.4 * draw.standard_normal((len(which), 1), dtype=np.float32))
    made.flush()
    del made
    mapped: npt.NDArray[np.float32] = np.load(path, mmap_mode="r")
    return mapped


def graph(items: int, edges: int) -> Matrix:
    """About so many edges; a third of them inside clusters; popular items come first in their cluster."""
    draw = np.random.default_rng(1)
    drawn = []
    for _ in range(0, 5 * edges // 4, 1 << 22):  # some are drawn twice
        low, high = ((items * draw.random(1 << 22) ** 2).astype(np.int64) for _ in range(2))
        inside = draw.random(len(low)) < 1 / 3
        high[inside] = high[inside] // 200 * 200 + low[inside] % 200
        good = (low != high) & (high < items)
        drawn.append(np.minimum(low, high)[good] * items + np.maximum(low, high)[good])
    keys = np.concatenate(drawn)
    del drawn
    keys.sort()
    keys = keys[np.flatnonzero(np.diff(keys, prepend=-1))]
    keys = np.sort(draw.permutation(keys)[:edges])
    upper = from_keys(keys, draw.integers(1, 4, len(keys)).astype(np.float64), items)
    return Matrix(upper + upper.T)


def peak_mib() -> int:
    """The most memory that this process has had, in MiB; pages of mapped files count."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--edges", type=int, default=20_000_000)
    parser.add_argument("--width", type=int, default=64)
    given = parser.parse_args()
    stages: list[tuple[str, float, int]] = []

    def say(text: str, done: float) -> None:
        stages.append((text, time.monotonic(), peak_mib()))
        print(f"{done:4.0%} {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        x = vectors(Path(folder) / "x.npy", given.items, given.dimensions)
        a = graph(given.items, given.edges)
        binary = Matrix((np.ones(a.nnz), a.indices, a.indptr), shape=a.shape)
        before = peak_mib()
        popularity = np.diff(a.indptr).astype(np.int64)
        draw = np.random.default_rng(2)
        projection = draw.standard_normal((given.dimensions, given.width), dtype=np.float32)
        table = np.concatenate([x[at : at + (1 << 16)] @ projection for at in range(0, given.items, 1 << 16)])
        began = time.monotonic()
        found = diagnose(Subject(table, True, popularity, a, binary, x), say)
        took = time.monotonic() - began
    ends = [(at, peak) for _, at, peak in stages[1:]] + [(began + took, peak_mib())]
    told = {
        "items": given.items,
        "edges": a.nnz // 2,
        "seconds": round(took, 1),
        "stages": {
            text: {"seconds": round(end - at, 1), "peak_mib": peak}
            for (text, at, _), (end, peak) in zip(stages, ends, strict=True)
        },
        "input_peak_mib": before,
        "peak_mib": peak_mib(),
        "kappa": {name: t["curvature"]["kappa"] for name, t in found["tables"].items()},
        "tv_z": found["tables"]["arm_unit"]["tv"]["z"],
        "notes": found["notes"],
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
