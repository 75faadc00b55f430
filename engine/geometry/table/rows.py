"""Vectors that may not fit into memory, seen in float64: as they are, about their mean, or at unit length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.embeddings.reduce.reductions import unit_rows
from engine.embeddings.rows import Vectors

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_CELLS = 1 << 22
"""Numbers held at once (32 MiB)."""


@dataclass(frozen=True)
class Rows:
    """A view of vectors [n x d] (memory-mapped, perhaps) that is read block by block, always in float64: curvature
    and bounds are about the smallest eigenvalues.

    mean: [d], subtracted from every row where there is one
    unit: rows at length 1 (after the mean); a row of zeros stays zero
    """

    source: Vectors
    mean: Array | None = None
    unit: bool = False

    @staticmethod
    def of(matrix: npt.NDArray[np.floating], *, unit: bool = False) -> Rows:
        """The rows of a matrix, in its order."""
        return Rows(Vectors.of(matrix), unit=unit)

    def __len__(self) -> int:
        return self.source.shape[0]

    @property
    def width(self) -> int:
        """d."""
        return self.source.shape[1]

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """(first row, rows [b x d]), all of them in order."""
        size = max(1, _CELLS // self.width)
        for first in range(0, len(self), size):
            yield first, self._seen(self._read(slice(first, first + size)))
        self.source.let_go()

    def take(self, index: IntArray) -> Array:
        """The rows of these indices [m x d]."""
        return self._seen(self._read(index))

    def columns(self, chosen: slice, index: IntArray | None = None, dtype: npt.DTypeLike = np.float64) -> Any:
        """Some columns of the rows (of these rising indices), block by block into one array [m x c]."""
        which = np.arange(len(self)) if index is None else index
        block = np.empty((len(which), len(range(self.width)[chosen])), dtype)
        size = max(1, _CELLS // self.width)
        for first in range(0, len(which), size):
            block[first : first + size] = self.take(which[first : first + size])[:, chosen]
        return block

    def array(self) -> Array:
        """All rows [n x d]."""
        return self._seen(self._read(slice(None)))

    def at_unit_length(self) -> Rows:
        """The rows at length 1."""
        return replace(self, unit=True)

    def _read(self, items: IntArray | slice) -> Tensor:
        return self.source.read(items, torch.float64)

    def _seen(self, part: Tensor) -> Array:
        rows: Array = part.numpy()
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
