"""One batch in several passes: less memory, the same gradient."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.data.windows import Batch, gather


def micro_batches(batch: Batch, windows: int) -> Iterator[Batch]:
    """Batches of at most `windows` windows that hold the batch together. Each takes every k-th window, so
    that the long ones, which come first, are spread over all, and each has its longest first as well."""
    k = -(-len(batch.lengths) // windows)
    starts = np.cumsum(batch.lengths) - batch.lengths
    for first in range(k):
        where = gather(starts[first::k], batch.lengths[first::k])
        place = np.full(len(batch.items), -1)
        place[where] = np.arange(len(where))
        mine = place[batch.at] >= 0
        masked = None if batch.masked is None else batch.masked[where]
        at = place[batch.at[mine]]
        negatives = None if batch.negatives is None else batch.negatives[mine]
        yield Batch(batch.items[where], batch.lengths[first::k], masked, at, batch.targets[mine], negatives)
