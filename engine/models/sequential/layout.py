"""Packed windows: T items of B windows side by side, without padding.

Everything that treats items one by one works on [T, d]. Attention needs [b, length, d] blocks:
windows come longest first, so groups of similar length stand together and are padded among
themselves only; a group of equal lengths is a plain view.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from engine.models.transfer import sent

_SLACK = 0.75  # windows of at least this share of their group's longest join the group


@dataclass(frozen=True)
class Asked:
    """The positions of a group whose representations are used: `start..stop-1` of `Layout.used`.

    width:     most of them in any window
    slots:     [stop - start] place of each in the flat [count * width] block
    positions: [stop - start] place of each in its window, from 0
    sizes:     [stop - start] items of its window
    last_only: whether each is the last of its window
    """

    start: int
    stop: int
    width: int
    slots: Tensor
    positions: Tensor
    sizes: Tensor
    last_only: bool


@dataclass(frozen=True)
class Group:
    """Windows `first..first+count-1`, items `start..stop-1`, padded to `length`.

    slots: [stop - start] place of each item in the flat [count * length] block; None where every
    window is exactly `length` long.
    asked: None where no position of the group is used, or all are (`Layout.used` is None).
    source: [count * length] which of the group's items stands at each place of the block; behind the end of a window
        its last one again. None as `slots`.
    gaps:  places of the block behind the ends of windows; None as `slots`.
    """

    start: int
    stop: int
    count: int
    length: int
    slots: Tensor | None
    asked: Asked | None = None
    source: Tensor | None = None
    gaps: Tensor | None = None

    def pad(self, x: Tensor) -> Tensor:
        """[T, ...] -> [count, length, ...], zeros behind the end of shorter windows."""
        return self.pad_part(x[self.start : self.stop])

    def pad_part(self, part: Tensor) -> Tensor:
        """As `pad`, of the group's own items [stop - start, ...]."""
        if part.requires_grad and self.slots is not None:  # whose gradient is a selection of rows
            block = part.new_zeros((self.count * self.length, *part.shape[1:]))
            return block.index_copy_(0, self.slots, part).view(self.count, self.length, *part.shape[1:])
        block = self.repeat_part(part)
        return block if self.gaps is None else block.flatten(0, 1).index_fill_(0, self.gaps, 0).view_as(block)

    def repeat_part(self, part: Tensor) -> Tensor:
        """As `pad_part`, with a window's last item behind its end: for places that nothing reads but has to compute
        with."""
        if self.source is not None:
            part = part.index_select(0, self.source)
        return part.view(self.count, self.length, *part.shape[1:])

    def unpad(self, block: Tensor) -> Tensor:
        """[count, length, ...] -> [stop - start, ...]."""
        flat = block.flatten(0, 1)
        return flat if self.slots is None else flat.index_select(0, self.slots)


@dataclass(frozen=True)
class _Places:
    """How a group's items stand in its block, see `Group`; of equal windows nothing has to be known."""

    slots: Tensor | None = None
    source: Tensor | None = None
    gaps: Tensor | None = None

    @staticmethod
    def of(lengths: Tensor) -> _Places:
        """Of windows of different lengths, the longest first."""
        place = torch.arange(int(lengths[0]))
        ends = lengths[:, None]
        real = (place < ends).flatten()
        source = (lengths.cumsum(0)[:, None] - ends + torch.minimum(place, ends - 1)).flatten()
        return _Places(real.nonzero()[:, 0], source, (~real).nonzero()[:, 0])

    def to(self, device: torch.device) -> _Places:
        return _Places(*(None if each is None else sent(each, device) for each in (self.slots, self.source, self.gaps)))


@dataclass(frozen=True)
class Layout:
    """Where the items of packed windows stand.

    lengths:   [B] int64 on the CPU, descending
    device:    where everything else is
    chosen:    as `used`, on the CPU
    items:     [T] which item stands at each place, for backbones that ask where an item comes back; None: not said
    times:     [T] clock times of the interactions, for backbones that ask how long ago; None: not known

    What follows from these is found when it is first asked for: a recurrence asks for little of it.
    """

    lengths: Tensor
    device: torch.device
    chosen: Tensor | None = None
    items: Tensor | None = None
    times: Tensor | None = None

    @staticmethod
    def of(lengths: Tensor, device: torch.device, used: Tensor | None = None) -> Layout:
        """The layout of windows of these lengths ([B] int64 on the CPU, descending, each at least 1). `used` is on the
        CPU as well."""
        return Layout(lengths, device, None if used is None or len(used) == int(lengths.sum()) else used)

    @cached_property
    def used(self) -> Tensor | None:
        """[N] indices in 0..T-1, ascending, of the positions whose representations are used; None: all of them."""
        return None if self.chosen is None else sent(self.chosen, self.device)

    @cached_property
    def last(self) -> Tensor:
        """[B] index in 0..T-1 of each window's last item."""
        return sent(self.lengths.cumsum(0) - 1, self.device)

    @cached_property
    def positions(self) -> Tensor:
        """[T] place of each item in its window, from 0."""
        return sent(self._place, self.device)

    @cached_property
    def _owner(self) -> Tensor:
        """[T] the window of each item, on the CPU."""
        return torch.repeat_interleave(torch.arange(len(self.lengths)), self.lengths)

    @cached_property
    def _place(self) -> Tensor:
        """[T] place of each item in its window, on the CPU."""
        return torch.arange(len(self._owner)) - (self.lengths.cumsum(0) - self.lengths)[self._owner]

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Windows of similar length, covering all in order."""
        lengths, device, asked = self.lengths, self.device, None
        if self.chosen is not None:
            asked = _Used.of(self.chosen, self._owner, self._place, lengths)
        ends, sizes = lengths.cumsum(0), lengths.tolist()
        groups = []
        first = start = 0
        for n in range(1, len(sizes) + 1):
            if n < len(sizes) and sizes[n] >= _SLACK * sizes[first]:
                continue
            stop = int(ends[n - 1])
            places = _Places.of(lengths[first:n]).to(device) if sizes[n - 1] < sizes[first] else _Places()
            part = None if asked is None else asked.of_windows(first, n, device)
            groups.append(Group(start, stop, n - first, sizes[first], places.slots, part, places.source, places.gaps))
            first, start = n, stop
        return tuple(groups)

    def windows(self) -> Tensor:
        """[T] the window of each item."""
        return sent(self._owner, self.device)

    def from_end(self) -> Tensor:
        """[T] how many items of its window stand behind each: right-aligned positions, 0 for the last."""
        return self.last[self.windows()] - torch.arange(len(self._owner), device=self.device)

    def of_used(self, x: Tensor) -> Tensor:
        """Rows [T, ...] at the positions that are used, [N, ...]; rows [N, ...] as they are."""
        return x if self.used is None or len(x) == len(self.used) else x.index_select(0, self.used)


@dataclass(frozen=True)
class _Used:
    """The used positions by window, on the CPU: all [N], but bounds [B + 1], where each window's begin."""

    used: Tensor
    window: Tensor
    positions: Tensor
    sizes: Tensor
    bounds: Tensor

    @staticmethod
    def of(used: Tensor, window: Tensor, positions: Tensor, lengths: Tensor) -> _Used:
        owner = window[used]
        bounds = torch.searchsorted(owner, torch.arange(len(lengths) + 1))
        return _Used(used, owner, positions[used], lengths[owner], bounds)

    def of_windows(self, first: int, stop: int, device: torch.device) -> Asked | None:
        """Those of the windows first..stop - 1."""
        begin, end = int(self.bounds[first]), int(self.bounds[stop])
        if begin == end:
            return None
        width = int((self.bounds[first + 1 : stop + 1] - self.bounds[first:stop]).max())
        owner, positions, sizes = (each[begin:end] for each in (self.window, self.positions, self.sizes))
        slots = (owner - first) * width + torch.arange(begin, end) - self.bounds[owner]
        last_only = bool((positions == sizes - 1).all())
        slots, positions, sizes = sent(slots, device), sent(positions, device), sent(sizes, device)
        return Asked(begin, end, width, slots, positions, sizes, last_only)
