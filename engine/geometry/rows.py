"""Rows of a matrix that may not fit into memory: as they are, about their mean, or at unit length."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.embeddings.reductions import unit_rows

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_CELLS = 1 << 22
"""Numbers held at once (32 MiB)."""


@dataclass(frozen=True)
class Rows:
    """A view of a matrix [n x d] (memory-mapped, perhaps) that is read block by block.

    mean: [d], subtracted from every row where there is one
    unit: rows at length 1 (after the mean); a row of zeros stays zero
    """

    source: npt.NDArray[np.floating]
    mean: Array | None = None
    unit: bool = False

    def __len__(self) -> int:
        return len(self.source)

    @property
    def width(self) -> int:
        """d."""
        return int(self.source.shape[1])

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """(first row, rows [b x d]), all of them in order."""
        size = max(1, _CELLS // self.width)
        for first in range(0, len(self), size):
            yield first, self._seen(self.source[first : first + size])
        self.let_go()

    def let_go(self) -> None:
        """Give the pages of a mapped file back: they count as memory of the process while they stay."""
        held: object = self.source
        while isinstance(held, np.ndarray):
            held = held.base
        if isinstance(held, mmap.mmap) and not self.source.flags.writeable:
            held.madvise(mmap.MADV_DONTNEED)

    def take(self, index: IntArray) -> Array:
        """The rows of these indices [m x d]."""
        return self._seen(self.source[index])

    def columns(self, chosen: slice, index: IntArray | None = None, dtype: npt.DTypeLike = np.float64) -> Any:
        """Some columns of the rows (of these rising indices), block by block into one array [m x c]."""
        which = np.arange(len(self)) if index is None else index
        made = np.empty((len(which), len(range(self.width)[chosen])), dtype)
        size = max(1, _CELLS // self.width)
        for first in range(0, len(which), size):
            made[first : first + size] = self.take(which[first : first + size])[:, chosen]
        return made

    def array(self) -> Array:
        """All rows [n x d]."""
        return self._seen(self.source[:])

    def at_unit_length(self) -> Rows:
        """The rows at length 1."""
        return replace(self, unit=True)

    def _seen(self, part: npt.NDArray[np.floating]) -> Array:
        rows: Array = part.astype(np.float64)
        if self.mean is not None:
            rows -= self.mean
        return unit_rows(rows) if self.unit else rows


def mean_of(rows: Rows) -> Array:
    """[d] the mean row."""
    total = np.zeros(rows.width)
    for _, block in rows.blocks():
        total += block.sum(axis=0)
    mean: Array = total / max(1, len(rows))
    return mean
