"""The exact full softmax over a large catalogue, forward and backward, against its three bare products.

    python benchmarks/large_catalogue.py --items 1000000 --targets 256

One thread, CPU seconds, in turns. The bare products write into memory that is there already, as many targets at once as
the loss takes. `peak_gib` is of the whole process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable

import torch

from engine.training import softmax
from engine.training.process import settle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--targets", type=int, default=256)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    settle(torch.device("cpu"), 1)
    h = torch.randn(given.targets, given.width, requires_grad=True)
    rows = (torch.randn(given.items, given.width) * 0.02).requires_grad_()
    targets = torch.randint(0, given.items, (given.targets,))

    def loss() -> None:
        h.grad = rows.grad = None
        softmax.softmax_cross_entropy(h, rows, targets).backward()

    def cpu_seconds(work: Callable[[], None]) -> float:
        tick = time.process_time()
        work()
        return time.process_time() - tick

    loss()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    h.grad = rows.grad = None
    block = max(1, min(given.targets, (1 << 26) // given.items))
    logits, d_h, d_rows = torch.empty(block, given.items), torch.empty(block, given.width), torch.empty_like(rows)

    @torch.no_grad()
    def products() -> None:
        for first in range(0, given.targets, block):
            part = h[first : first + block]
            weights = logits[: len(part)]
            torch.mm(part, rows.T, out=weights)
            torch.mm(weights, rows, out=d_h[: len(part)])
            torch.addmm(d_rows, weights.T, part, out=d_rows)

    products()
    pairs = [(cpu_seconds(loss), cpu_seconds(products)) for _ in range(given.rounds)]
    report = {
        "items": given.items,
        "targets": given.targets,
        "loss_s": round(statistics.median(one for one, _ in pairs), 2),
        "products_s": round(statistics.median(other for _, other in pairs), 2),
        "ratio": round(statistics.median(one / other for one, other in pairs), 2),
        "peak_gib": round(peak, 2),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
