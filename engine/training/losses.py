"""Full-softmax cross-entropy over the catalogue without holding the logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_CPU_CELLS = 1 << 18  # logits held at once: 1 MB of float32 stays in the cache of one core
_GPU_CELLS = 1 << 26


class _SoftmaxCrossEntropy(torch.autograd.Function):
    """Blocks of targets: each block's logits are made, turned into the gradient and dropped, so the
    memory is one block and the arithmetic three products, as in the plain form."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
        count = len(targets)
        d_h = torch.empty_like(h) if ctx.needs_input_grad[0] else None
        d_rows = torch.zeros_like(rows) if ctx.needs_input_grad[1] else None
        total = torch.zeros((), dtype=torch.float64, device=h.device)
        block = max(1, (_CPU_CELLS if h.device.type == "cpu" else _GPU_CELLS) // len(rows))
        for start in range(0, count, block):
            h_block, wanted = h[start : start + block], targets[start : start + block, None]
            weights = h_block @ rows.T
            top = weights.amax(1, keepdim=True)
            target_logits = weights.gather(1, wanted)
            total_weight = weights.sub_(top).exp_().sum(1, keepdim=True)
            total += (total_weight.log() + top - target_logits).sum(dtype=torch.float64)
            # p = weights / total_weight is never formed: its n columns are divided on the d-wide side of each product
            if d_h is not None:
                part = torch.mm(weights, rows, out=d_h[start : start + block])
                part.div_(total_weight).sub_(rows[wanted[:, 0]])
            if d_rows is not None:
                d_rows.addmm_(weights.T, h_block / total_weight)
        if d_rows is not None:
            d_rows.index_add_(0, targets, h, alpha=-1)
        ctx.gradients = (d_h, d_rows, count)
        return (total / count).to(h.dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        d_h, d_rows, count = ctx.gradients
        scale = upstream[0] / count
        return None if d_h is None else d_h * scale, None if d_rows is None else d_rows * scale, None


def softmax_cross_entropy(h: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
    """Mean over N targets of -log softmax(h rows^T)[target], in nats.

    h [N, d] (already divided by the temperature), rows [n, d], targets [N] int64 in 0..n-1. Differentiable
    once in h and rows; N must not be 0.
    """
    loss: Tensor = _SoftmaxCrossEntropy.apply(h, rows, targets)  # type: ignore[no-untyped-call]
    return loss
