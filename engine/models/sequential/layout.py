"""Packed windows: T items of B windows side by side, without padding.

Everything that treats items one by one works on [T, d]. Attention needs [b, length, d] blocks:
windows come longest first, so groups of similar length stand together and are padded among
themselves only; a group of equal lengths is a plain view.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SLACK = 0.75  # windows of at least this share of their group's longest join the group


@dataclass(frozen=True)
class Group:
    """Windows `first..first+count-1`, items `start..stop-1`, padded to `length`.

    slots: [stop - start] place of each item in the flat [count * length] block; None where every
    window is exactly `length` long.
    """

    start: int
    stop: int
    count: int
    length: int
    slots: Tensor | None

    def pad(self, x: Tensor) -> Tensor:
        """[T, ...] -> [count, length, ...], zeros behind the end of shorter windows."""
        part = x[self.start : self.stop]
        if self.slots is None:
            return part.view(self.count, self.length, *part.shape[1:])
        block = part.new_zeros((self.count * self.length, *part.shape[1:]))
        return block.index_copy(0, self.slots, part).view(self.count, self.length, *part.shape[1:])

    def unpad(self, block: Tensor) -> Tensor:
        """[count, length, ...] -> [stop - start, ...]."""
        flat = block.flatten(0, 1)
        return flat if self.slots is None else flat.index_select(0, self.slots)


@dataclass(frozen=True)
class Layout:
    """Where the items of packed windows stand.

    lengths:   [B] int64 on the CPU, descending
    positions: [T] place of each item in its window, from 0
    last:      [B] index in 0..T-1 of each window's last item
    groups:    windows of similar length, covering all in order
    """

    lengths: Tensor
    positions: Tensor
    last: Tensor
    groups: tuple[Group, ...]

    @staticmethod
    def of(lengths: Tensor, device: torch.device) -> Layout:
        """The layout of windows of these lengths ([B] int64 on the CPU, descending, each at least 1)."""
        ends = lengths.cumsum(0)
        total = int(ends[-1])
        window = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        positions = torch.arange(total) - (ends - lengths)[window]
        sizes = lengths.tolist()
        groups = []
        first = start = 0
        for n in range(1, len(sizes) + 1):
            if n < len(sizes) and sizes[n] >= _SLACK * sizes[first]:
                continue
            stop = int(ends[n - 1])
            slots = None
            if sizes[n - 1] < sizes[first]:
                slots = (window[start:stop] - first) * sizes[first] + positions[start:stop]
                slots = slots.to(device)
            groups.append(Group(start, stop, n - first, sizes[first], slots))
            first, start = n, stop
        return Layout(lengths, positions.to(device), (ends - 1).to(device), tuple(groups))
