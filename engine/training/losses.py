"""Full-softmax cross-entropy over the catalogue without holding the logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_CPU_CELLS = 1 << 19  # logits held at once: 2 MB of float32 stay in the cache of one core
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
            logits = h_block @ rows.T
            log_sum = logits.logsumexp(1, keepdim=True)
            total += (log_sum - logits.gather(1, wanted)).sum(dtype=torch.float64)
            if d_h is None and d_rows is None:
                continue
            slope = logits.sub_(log_sum).exp_()
            slope.scatter_add_(1, wanted, slope.new_full((1, 1), -1.0).expand(wanted.shape))
            if d_h is not None:
                torch.mm(slope, rows, out=d_h[start : start + block])
            if d_rows is not None:
                d_rows.addmm_(slope.T, h_block)
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
