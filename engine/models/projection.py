"""A linear map whose products can be made in bf16 while training (docs/performance.md)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Projection(nn.Linear):
    """x [T, d_in] -> x W^T + b [T, d_out]. With `in_bf16` the factors of its three products are rounded to bf16, in
    training alone; weights, their gradients and outputs are float32."""

    in_bf16 = False

    def forward(self, x: Tensor) -> Tensor:
        """See above."""
        return self._product(x, self.weight, self.bias)

    def part(self, x: Tensor, outputs: slice) -> Tensor:
        """Some of its outputs alone."""
        return self._product(x, self.weight[outputs], self.bias[outputs])

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if self.in_bf16 and self.training:
            out: Tensor = _BF16Product.apply(x, weight, bias)  # type: ignore[no-untyped-call]
            return out
        return F.linear(x, weight, bias)


def use_bf16_products(model: nn.Module) -> None:
    """In all projections of the model."""
    for module in model.modules():
        if isinstance(module, Projection):
            module.in_bf16 = True


_ROWS = 256
"""Row numbers are rounded up to a multiple of this: the library makes and keeps a kernel for each shape that it meets,
which takes longer than the product, and windows hold another number of items in every batch."""


def _rounded(x: Tensor) -> Tensor:
    """x [T, d] in bf16, with rows of zeros behind it up to a multiple of `_ROWS`."""
    rows = x.new_zeros(-(-len(x) // _ROWS) * _ROWS, x.shape[1], dtype=torch.bfloat16)
    rows[: len(x)] = x
    return rows


class _BF16Product(torch.autograd.Function):
    """Differentiable once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        rows, columns = _rounded(x), weight.bfloat16()
        ctx.save_for_backward(rows, columns)
        return torch.mm(rows, columns.T)[: len(x)] + bias

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows, columns = ctx.saved_tensors
        slope = upstream[0]
        slopes = _rounded(slope)
        d_x, d_weight = torch.mm(slopes, columns)[: len(slope)], torch.mm(slopes.T, rows)
        return d_x.to(slope.dtype), d_weight.to(slope.dtype), slope.sum(0)
