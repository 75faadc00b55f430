"""A catalogue in slices, one a process: rows looked up, and the full softmax, without any process holding all rows
(docs/devices.md). Every function here is called by all processes together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from engine.training.softmax import LN_2, LOG2_E

_HELD = 1 << 26
"""Weights of a block of targets held at once."""


@dataclass(frozen=True)
class Slice:
    """Items first..stop - 1 of a catalogue of `n_items`, which `size` processes hold, this one as `rank`."""

    rank: int
    size: int
    n_items: int

    @property
    def first(self) -> int:
        return self.n_items * self.rank // self.size

    @property
    def stop(self) -> int:
        return self.n_items * (self.rank + 1) // self.size

    @property
    def largest(self) -> int:
        """Items of the largest slice."""
        return -(-self.n_items // self.size)

    def inside(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """(places of the items [N] that are in the slice, where in the slice they are)."""
        places = ((items >= self.first) & (items < self.stop)).nonzero()[:, 0]
        return places, items[places] - self.first


def from_all(tensor: Tensor, counts: Sequence[int]) -> Tensor:
    """[sum(counts), ...] the rows [counts[rank], ...] of all processes, in the order of ranks."""
    most = max(counts)
    padded = F.pad(tensor, (0, 0) * (tensor.dim() - 1) + (0, most - len(tensor)))
    given = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(given, padded.contiguous())
    return torch.cat([each[:count] for each, count in zip(given, counts, strict=True)])


def counts_of_all(*numbers: float, size: int) -> list[list[float]]:
    """The numbers of each process."""
    mine = torch.tensor(numbers, dtype=torch.float64)
    given = [torch.empty_like(mine) for _ in range(size)]
    dist.all_gather(given, mine)
    return [each.tolist() for each in given]


# ------------------------------------------------------------------------------------ rows looked up


class _LookUp(torch.autograd.Function):
    """Items of all processes are made known to all; each gives the rows that it has, and the sum is complete."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, items: Tensor, held: Slice) -> Tensor:
        counts = [int(count) for (count,) in counts_of_all(len(items), size=held.size)]
        wanted = from_all(items, counts)
        places, local = held.inside(wanted)
        found = rows.new_zeros(len(wanted), rows.shape[1])
        found[places] = rows[local]
        dist.all_reduce(found)
        ctx.save_for_backward(places, local)
        ctx.counts, ctx.shape = counts, rows.shape
        begin = sum(counts[: held.rank])
        return found[begin : begin + len(items)].clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        places, local = ctx.saved_tensors
        slopes = from_all(upstream[0], ctx.counts)
        return slopes.new_zeros(ctx.shape).index_add_(0, local, slopes[places]), None, None


def look_up(rows: Tensor, items: Tensor, held: Slice) -> Tensor:
    """The rows [N, d] of items of the whole catalogue, of which `rows` are the slice's. With gradients each process
    asks for items of its own; without, as in an evaluation, all ask for the same."""
    if torch.is_grad_enabled():
        found: Tensor = _LookUp.apply(rows, items, held)  # type: ignore[no-untyped-call]
        return found
    places, local = held.inside(items)
    found = rows.new_zeros(len(items), rows.shape[1])
    found[places] = rows[local]
    dist.all_reduce(found)
    return found


# ------------------------------------------------------------------------------------ the full softmax


class _SlicedCrossEntropy(torch.autograd.Function):
    """Each process scores the targets of all with its slice. Maxima and sums over the catalogue come from all of them,
    block by block, so that every gradient is that of the whole softmax: of a process's own representations by all
    rows, and of its own rows by all representations."""

    @staticmethod
    def forward(  # noqa: PLR0917 (as autograd passes them)
        ctx: Any, h: Tensor, rows: Tensor, targets: Tensor, weight: float, held: Slice
    ) -> Tensor:
        told = counts_of_all(len(h), weight, size=held.size)
        counts = [int(count) for count, _ in told]
        everyone, wanted_items = from_all(h, counts), from_all(targets, counts)
        shares = torch.cat([h.new_full((int(count),), each / count) for count, each in told])
        places, local = held.inside(wanted_items)
        d_everyone = torch.zeros_like(everyone)
        d_rows = torch.zeros_like(rows)
        costs = torch.empty_like(shares)
        block = max(1, _HELD // held.largest)
        for start in range(0, len(everyone), block):
            part = slice(start, start + block)
            weights = (everyone[part] * LOG2_E) @ rows.T
            top = weights.amax(1, keepdim=True)
            dist.all_reduce(top, dist.ReduceOp.MAX)
            weights.sub_(top).exp2_()
            total = weights.sum(1, keepdim=True)
            dist.all_reduce(total)
            costs[part] = LN_2 * (total.log2() + top)[:, 0]
            share = shares[part, None] / total
            d_everyone[part] = (weights @ rows) * share
            d_rows.addmm_(weights.T, everyone[part] * share)
        scores = torch.zeros_like(shares)
        scores[places] = (everyone[places] * rows[local]).sum(1)
        d_everyone[places] -= rows[local] * shares[places, None]
        d_rows.index_add_(0, local, everyone[places] * shares[places, None], alpha=-1)
        dist.all_reduce(scores)
        dist.all_reduce(d_everyone)
        begin = sum(counts[: held.rank])
        mine = slice(begin, begin + len(h))
        ctx.gradients = d_everyone[mine], d_rows
        return ((costs[mine] - scores[mine]) * shares[mine]).sum(dtype=torch.float64).to(h.dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        d_h, d_rows = ctx.gradients
        return d_h * upstream[0], d_rows * upstream[0], None, None, None


def sliced_cross_entropy(h: Tensor, rows: Tensor, targets: Tensor, weight: float, held: Slice) -> Tensor:
    """`weight` times the mean over this process's N targets of -log softmax(h E^T)[target], in nats, E all rows of the
    catalogue, of which `rows` [n, d] are the slice's; h [N, d]. The gradient is that of the sum over all processes, so
    it has to be taken of just that: each with the same factor."""
    loss: Tensor = _SlicedCrossEntropy.apply(h, rows, targets, weight, held)  # type: ignore[no-untyped-call]
    return loss
