"""The vectors of a catalogue, read block by block, and its prepared rows: centred, at unit length.

Vectors stay where they are stored (a memory-mapped file of 16- or 32-bit floats, most often); what is held in memory is
a block of rows and a few numbers per item.
"""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

BFLOAT16 = np.dtype([("bfloat16", "<i2")])
"""numpy has no bfloat16: the type of a matrix that holds its bits."""
LARGE = 1 << 26
"""Numbers of a table (256 MiB in float32) above which no process holds a copy that it can do without."""
BLOCK = 1 << 22
"""Numbers of a block (16 MiB in float32), but at least so many rows:"""
BLOCK_ROWS = 1 << 12
"""A D x D product of fewer costs as much to add up as to compute where D is some thousands."""


@dataclass(frozen=True)
class Vectors:
    """X [n x D]: row i is row `rows[i]` of the stored matrix.

    matrix: floats of any width, or `BFLOAT16`
    rows:   [n]
    """

    matrix: npt.NDArray[Any]
    rows: IntArray

    @property
    def shape(self) -> tuple[int, int]:
        """(n, D)."""
        return len(self.rows), int(self.matrix.shape[1])

    @staticmethod
    def of(matrix: npt.NDArray[Any]) -> Vectors:
        """All rows of a matrix, in order."""
        return Vectors(matrix, np.arange(len(matrix)))

    def read(self, items: IntArray | slice, dtype: torch.dtype = torch.float32) -> Tensor:
        """The vectors of some items in float32 or float64, a copy."""
        stored_rows = self.rows[items]
        consecutive = len(stored_rows) > 0 and bool((np.diff(stored_rows) == 1).all())
        if self._tensor is None:
            stored = self.matrix[stored_rows[0] : stored_rows[-1] + 1] if consecutive else self.matrix[stored_rows]
            return torch.from_numpy(stored.astype(np.float64)).to(dtype)
        if consecutive:
            return self._tensor[stored_rows[0] : stored_rows[-1] + 1].to(dtype, copy=True)
        return self._tensor.index_select(0, torch.from_numpy(stored_rows)).to(dtype)

    @cached_property
    def _tensor(self) -> Tensor | None:
        """The stored matrix where it is, for torch, which converts 16-bit floats in vectors and numpy one by one;
        None for types that torch does not know."""
        native = self.matrix.dtype == BFLOAT16 or (self.matrix.dtype.isnative and self.matrix.dtype.itemsize <= 8)
        if not native or not self.matrix.flags.aligned:
            return None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nor is it written
            if self.matrix.dtype == BFLOAT16:
                return torch.from_numpy(self.matrix.view(np.int16)).view(torch.bfloat16)
            return torch.from_numpy(self.matrix)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """All vectors in order, as (which items, float32 [m x D])."""
        for which in spans(self.shape):
            yield which, self.read(which)
        self.let_go()

    def let_go(self) -> None:
        """Give the pages of a mapped file back: they count as memory of the process while they stay."""
        owner: object = self.matrix
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if isinstance(owner, mmap.mmap) and not self.matrix.flags.writeable:
            owner.madvise(mmap.MADV_DONTNEED)

    def array(self) -> FloatArray:
        """X, held in memory."""
        x = np.empty(self.shape, np.float32)
        for which, block in self.blocks():
            x[which] = block.numpy()
        return x


@dataclass(frozen=True)
class PreparedRows:
    """Prepared rows [n x D] of the vectors x: x - mean, divided by their length if `unit`.

    Of a large catalogue they are float32, for the speed of the products that a reduction is made of; what is measured
    reads vectors in float64 (`engine.geometry.table.rows`).

    vectors: x
    mean:    [D], zeros where vectors are not centred
    unit:    whether rows are at unit length; a row of zeros stays zero
    norms:   [n] |x|
    lengths: [n] |x - mean|
    exact:   the rows in float64 for a small catalogue; None for others, whose rows are made in float32 when asked for
    """

    vectors: Vectors
    mean: Array
    unit: bool
    norms: Array
    lengths: Array
    exact: Array | None

    @property
    def shape(self) -> tuple[int, int]:
        """(n, D)."""
        return self.vectors.shape

    def take(self, items: IntArray | slice) -> Tensor:
        """The rows of some items, float64 of a small catalogue and float32 of others."""
        if self.exact is not None:
            return torch.from_numpy(self.exact[items])
        rows = self.vectors.read(items).sub_(torch.from_numpy(self.mean).float())
        if self.unit:
            lengths = self.lengths[items]
            inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
            rows *= torch.from_numpy(inverse).float()[:, None]
        return rows

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """All rows in order, as (which items, rows [m x D]); a small catalogue is one block."""
        for which in [slice(0, self.shape[0])] if self.exact is not None else spans(self.shape):
            yield which, self.take(which)
        self.vectors.let_go()

    def array(self) -> npt.NDArray[np.floating]:
        """All rows, held in memory."""
        return self.exact if self.exact is not None else np.concatenate([block.numpy() for _, block in self.blocks()])


def spans(shape: tuple[int, int]) -> Iterator[slice]:
    """Consecutive rows of a matrix, about `BLOCK` numbers or `BLOCK_ROWS` rows, whichever is more."""
    n, d = shape
    step = max(BLOCK_ROWS, BLOCK // max(d, 1))
    for first in range(0, n, step):
        yield slice(first, min(first + step, n))
