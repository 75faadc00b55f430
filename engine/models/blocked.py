"""A map of a huge table's rows, block by block: what it keeps on the way is that of one block."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_ROWS = 1 << 16


class _Blocked(torch.autograd.Function):
    """The map's inner results are made again for the gradient."""

    @staticmethod
    def forward(ctx: Any, rowwise: nn.Module, width: int, rows: Tensor, *parameters: Tensor) -> Tensor:
        ctx.rowwise, ctx.rows, ctx.parameters = rowwise, rows, parameters
        made = rows.new_empty(len(rows), width)
        for part, to in zip(rows.split(_ROWS), made.split(_ROWS), strict=True):
            to.copy_(rowwise(part))
        return made

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        totals = [torch.zeros_like(parameter) for parameter in ctx.parameters]
        for part, slope in zip(ctx.rows.split(_ROWS), upstream[0].split(_ROWS), strict=True):
            with torch.enable_grad():
                made = ctx.rowwise(part)
            for total, each in zip(totals, torch.autograd.grad(made, ctx.parameters, slope), strict=True):
                total.add_(each)
        return None, None, None, *totals


def blocked(rowwise: nn.Module, width: int, rows: Tensor) -> Tensor:
    """`rowwise(rows)` [n, width] for rows [n, D] without a gradient, of a map without chance that treats each row by
    itself; differentiable once in the map's parameters, all of which it uses."""
    made: Tensor = _Blocked.apply(rowwise, width, rows, *rowwise.parameters())  # type: ignore[no-untyped-call]
    return made
