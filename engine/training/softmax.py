"""The full-softmax cross-entropy without holding the logits (docs/method.md B.1, docs/performance.md)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor

LOG2_E, LN_2 = math.log2(math.e), math.log(2)

SAFE_LOG2 = 80.0
"""Scores of at most this many powers of two either way need no shift: sums of up to 2^26 of their exponentials, and
those sums times rows, stay normal numbers in float32 (2^-126 to 2^127)."""

_TARGETS, _ITEMS = 256, 2048  # of a tile on a CPU: 2 MB of float32 stay in the cache of a core
_WHOLE = 3072  # a catalogue up to this size is one tile, with fewer targets to it
_HELD = 1 << 26  # weights of a block of targets held at once, 256 MB in float32: what bounds huge catalogues and GPUs

_Tiles: TypeAlias = list[tuple[int, int]]


def bounded(queries: Tensor, rows: Tensor) -> bool:
    """Whether no score of queries [N, d] with rows [n, d] exceeds SAFE_LOG2 in size, by |<q, e>| <= |q| |e|. False
    where a number is not finite, and on a GPU, where the answer would have to be waited for."""
    if queries.device.type != "cpu" or not len(queries):
        return False
    return bool(queries.norm(dim=1).amax() * rows.norm(dim=1).amax() <= SAFE_LOG2)


def _sizes(device: torch.device, n_items: int) -> tuple[int, int]:
    """Targets and items of a tile."""
    if device.type != "cpu":
        return max(1, _HELD // n_items), n_items
    if n_items <= _WHOLE:
        return max(64, min(512, _TARGETS * 1024 // n_items)), n_items
    return max(1, min(_TARGETS, _HELD // n_items)), _ITEMS


class _SoftmaxCrossEntropy(torch.autograd.Function):
    """Blocks of targets by tiles of items: a tile's logits are made, turned into weights 2^(s log2 e) and used for d_h
    while they are in the cache; the block's tiles are kept until its sums are known, for d_rows. Three products, as in
    the plain form, and the memory is one block."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, rows: Tensor, targets: Tensor, kind: torch.dtype | None) -> Tensor:
        count, n_items = len(h), len(rows)
        d_h = torch.zeros_like(h) if ctx.needs_input_grad[0] else None
        d_rows = torch.zeros_like(rows) if ctx.needs_input_grad[1] else None
        sums = h.new_zeros(count, 1)
        log2_sums = h.new_empty(count, 1)
        scaled = h * LOG2_E
        shifted = not bounded(scaled, rows)
        kind = h.dtype if kind is None or shifted else kind
        factor, other = scaled.to(kind), rows.to(kind)
        block, width = _sizes(h.device, n_items)
        tiles = [(first, min(n_items, first + width)) for first in range(0, n_items, width)]
        space = h.new_empty(min(block, count) * n_items, dtype=kind)
        for start in range(0, count, block):
            part = slice(start, start + block)
            total = sums[part]
            held = []
            top, tiled = _weights(factor[part], other, tiles, space, shifted)
            for (first, stop), weights in zip(tiles, tiled, strict=True):
                total.add_(weights.sum(1, keepdim=True, dtype=h.dtype))
                if d_h is not None:
                    _add_product(d_h[part], weights, other[first:stop])
                held.append(weights)
            torch.log2(total, out=log2_sums[part])
            if top is not None:
                log2_sums[part].add_(top)
            if d_rows is not None:
                # p = weights / total is never formed: its n columns are divided on the d-wide side of each product
                divided = (h[part] / total).to(kind)
                for (first, stop), weights in zip(tiles, held, strict=True):
                    _add_product(d_rows[first:stop], weights.T, divided)
        wanted = rows.index_select(0, targets)
        loss = LN_2 * log2_sums.sum(dtype=torch.float64) - (h * wanted).sum(dtype=torch.float64)
        if d_h is not None:
            d_h.div_(sums).sub_(wanted)
        if d_rows is not None:
            d_rows.index_add_(0, targets, h, alpha=-1)
        ctx.gradients = (d_h, d_rows, count)
        return (loss / count).to(h.dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        d_h, d_rows, count = ctx.gradients
        scale = upstream[0] / count
        return None if d_h is None else d_h * scale, None if d_rows is None else d_rows * scale, None, None


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """total += a b, in the precision of `total` where the factors have a lower one."""
    if a.dtype == total.dtype:
        total.addmm_(a, b)
    else:
        total.add_(torch.mm(a, b))


def _weights(
    scaled: Tensor, rows: Tensor, tiles: _Tiles, space: Tensor, shifted: bool
) -> tuple[Tensor | None, Iterator[Tensor]]:
    """top [b, 1], each target's highest score, and tile by tile 2^(scaled rows^T - top) [b, items] in `space`. Without
    a shift top is None, and each tile's logits are made when it is asked for, so that they are used in the cache."""
    places = [space[len(scaled) * first : len(scaled) * stop].view(len(scaled), stop - first) for first, stop in tiles]
    top = None
    if shifted:
        for (first, stop), place in zip(tiles, places, strict=True):
            torch.mm(scaled, rows[first:stop].T, out=place)
            highest = place.amax(1, keepdim=True)
            top = highest if top is None else torch.maximum(top, highest)

    def weighted() -> Iterator[Tensor]:
        for (first, stop), place in zip(tiles, places, strict=True):
            if top is None:
                torch.mm(scaled, rows[first:stop].T, out=place)
            else:
                place.sub_(top)
            yield place.exp2_()

    return top, weighted()


def softmax_cross_entropy(h: Tensor, rows: Tensor, targets: Tensor, kind: torch.dtype | None = None) -> Tensor:
    """Mean over N targets of -log softmax(h rows^T)[target], in nats.

    h [N, d] (already divided by the temperature), rows [n, d], targets [N] int64 in 0..n-1. Differentiable
    once in h and rows; N must not be 0. `kind` is the type of the factors and of each tile's results in the three
    products, None that of h; where scores are beyond the bound it is that of h too, since their size needs its digits.
    """
    loss: Tensor = _SoftmaxCrossEntropy.apply(h, rows, targets, kind)  # type: ignore[no-untyped-call]
    return loss
