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


class _BF16Product(torch.autograd.Function):
    """Differentiable once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        half_x, half_weight = x.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(half_x, half_weight)
        return torch.mm(half_x, half_weight.T) + bias

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        half_x, half_weight = ctx.saved_tensors
        slope = upstream[0]
        half_slope = slope.bfloat16()
        d_x, d_weight = torch.mm(half_slope, half_weight), torch.mm(half_slope.T, half_x)
        return d_x.to(slope.dtype), d_weight.to(slope.dtype), slope.sum(0)
