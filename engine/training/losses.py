"""What training minimises: the criteria that settings name, and the losses on sampled negatives (docs/method.md D.1
row 16). The full softmax is in `softmax.py`."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from engine import spec
from engine.errors import UserError
from engine.models.base import Criterion
from engine.models.registry import load
from engine.training.softmax import softmax_cross_entropy

_CPU_CELLS = 1 << 18  # logits held at once: 1 MB of float32 stays in the cache of one core
_GPU_CELLS = 1 << 26


def _block(h: Tensor, cells: int) -> int:
    """How many targets of so many cells each are dealt with at once."""
    return max(1, (_CPU_CELLS if h.device.type == "cpu" else _GPU_CELLS) // cells)


# ------------------------------------------------------------------------------------ sampled negatives

_PairLoss: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Scores of targets [b, 1] and of their negatives [b, k] -> (losses [b, 1], their derivatives by either)."""

_DENSE = 40  # scoring all n items of a block by one product beats fetching k rows a target up to n = 40 k (CPU, d 64)


def sampled_softmax(positive: Tensor, negative: Tensor, *, shift: float) -> tuple[Tensor, Tensor, Tensor]:
    """-log of the target's share in e^(s+) + sum_j e^(s_j + shift)."""
    negative = negative + shift
    log_sum = torch.logaddexp(positive, negative.logsumexp(1, keepdim=True))
    return log_sum - positive, torch.exp(positive - log_sum) - 1, torch.exp(negative - log_sum)


def binary(positive: Tensor, negative: Tensor, *, beta: float, offset: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """-[beta log sigma(s+) + sum_j log(1 - sigma(s_j))] / (k + 1), s the scores plus `offset`."""
    positive, negative = positive + offset, negative + offset
    terms = negative.shape[1] + 1
    loss = (beta * F.softplus(-positive) + F.softplus(negative).sum(1, keepdim=True)) / terms
    return loss, torch.sigmoid(-positive) * (-beta / terms), torch.sigmoid(negative) / terms


def pairwise(positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """-mean_j log sigma(s+ - s_j): Bayesian personalised ranking."""
    gap = negative - positive
    slope = torch.sigmoid(gap) / negative.shape[1]
    return F.softplus(gap).mean(1, keepdim=True), -slope.sum(1, keepdim=True), slope


_MOST = 0.99  # share up to which a negative's probability counts, so that its weight is 3 at most


def adaptive_pairwise(positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """-mean_j log sigma(s+ - w_j s_j), w_j = 1 - log10(1 - min(sigma(s_j), .99)) taken as a constant."""
    weights = 1 - torch.log10(1 - torch.sigmoid(negative).clamp(max=_MOST))
    loss, d_positive, d_weighted = pairwise(positive, weights * negative)
    return loss, d_positive, d_weighted * weights


class _Sampled(torch.autograd.Function):
    """As above, block by block. Scores come from one product with all rows where the catalogue is small beside the
    number of negatives, else from the rows of the negatives alone; the result is the same up to rounding."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, rows: Tensor, candidates: Tensor, loss: _PairLoss) -> Tensor:
        count, k = candidates.shape  # of each row the target comes first
        d_h = torch.empty_like(h) if ctx.needs_input_grad[0] else None
        d_rows = torch.zeros_like(rows) if ctx.needs_input_grad[1] else None
        total = torch.zeros((), dtype=torch.float64, device=h.device)
        dense = len(rows) <= _DENSE * k
        block = _block(h, len(rows) if dense else k * h.shape[1])
        for start in range(0, count, block):
            part = slice(start, start + block)
            h_block, items = h[part], candidates[part]
            if dense:
                cells = h_block @ rows.T
                scores = cells.gather(1, items)
            else:
                fetched = rows[items]
                scores = torch.bmm(fetched, h_block[:, :, None])[:, :, 0]
            losses, d_target, d_negative = loss(scores[:, :1], scores[:, 1:])
            total += losses.sum(dtype=torch.float64)
            weights = torch.cat([d_target, d_negative], 1)
            if dense:
                cells.zero_().scatter_add_(1, items, weights)
                if d_h is not None:
                    torch.mm(cells, rows, out=d_h[part])
                if d_rows is not None:
                    d_rows.addmm_(cells.T, h_block)
            else:
                if d_h is not None:
                    d_h[part] = torch.bmm(weights[:, None], fetched)[:, 0]
                if d_rows is not None:
                    each = weights[:, :, None] * h_block[:, None]
                    d_rows.index_add_(0, items.flatten(), each.flatten(0, 1))
        ctx.gradients = (d_h, d_rows, count)
        return (total / count).to(h.dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        d_h, d_rows, count = ctx.gradients
        scale = upstream[0] / count
        return None if d_h is None else d_h * scale, None if d_rows is None else d_rows * scale, None, None


def sampled(h: Tensor, rows: Tensor, targets: Tensor, negatives: Tensor, loss: _PairLoss) -> Tensor:
    """Mean over N targets of `loss` on their score and those of their negatives, scores = h rows^T.

    Shapes as in `softmax_cross_entropy`, negatives [N, k] int64. Differentiable once in h and rows.
    """
    candidates = torch.cat([targets[:, None], negatives], 1)
    value: Tensor = _Sampled.apply(h, rows, candidates, loss)  # type: ignore[no-untyped-call]
    return value


def gbce_beta(k: int, n_items: int, t: float) -> float:
    """The exponent of sigma(s+) in gBCE: alpha (t (1 - 1/alpha) + 1/alpha) with alpha = k / (n - 1), the share of the
    other items that is drawn: 1 at t = 0, alpha at t = 1."""
    alpha = k / (n_items - 1)
    return alpha * (t * (1 - 1 / alpha) + 1 / alpha)


# ------------------------------------------------------------------------------------ what settings name


def criterion(loss: spec.LossPart, n_items: int, precision: spec.Precision = "fp32") -> Criterion:
    """What is minimised: its implementation, told its settings. Raises UserError where the catalogue is too small for
    the negatives. `precision` is that of the full softmax's products."""
    if loss.n_negatives > n_items - 1:
        raise UserError(
            f"train.loss.negatives: {loss.n_negatives} against each target, but the catalogue has only {n_items - 1} "
            "other items; set fewer"
        )
    if precision == "bf16":
        return lambda h, rows, targets, negatives: softmax_cross_entropy(h, rows, targets, torch.bfloat16)
    return cast(Criterion, load(loss.implementation)(loss, n_items))


def full_softmax(loss: spec.CE, n_items: int) -> Criterion:
    """Of `ce`."""
    return lambda h, rows, targets, negatives: softmax_cross_entropy(h, rows, targets)


def sampled_ce(loss: spec.SampledCE, n_items: int) -> Criterion:
    """Of `sampled-ce`."""
    shift = math.log((n_items - 1) / loss.negatives) if loss.log_q else 0.0
    return _on_negatives(partial(sampled_softmax, shift=shift))


def bce(loss: spec.BCE, n_items: int) -> Criterion:
    """Of `bce`."""
    return _on_negatives(partial(binary, beta=1.0, offset=math.log(1 / loss.negatives) if loss.offset else 0.0))


def gbce(loss: spec.GBCE, n_items: int) -> Criterion:
    """Of `gbce`."""
    beta = gbce_beta(loss.negatives, n_items, loss.t)
    return _on_negatives(partial(binary, beta=beta, offset=math.log(beta / loss.negatives) if loss.offset else 0.0))


def bpr(loss: spec.BPR, n_items: int) -> Criterion:
    """Of `bpr`."""
    return _on_negatives(pairwise)


def adaptive_bpr(loss: spec.AdaptiveBPR, n_items: int) -> Criterion:
    """Of `adaptive-bpr`."""
    return _on_negatives(adaptive_pairwise)


def _on_negatives(loss: _PairLoss) -> Criterion:
    def mean(h: Tensor, rows: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        if negatives is None:
            raise ValueError("this loss needs negatives")
        return sampled(h, rows, targets, negatives, loss)

    return mean
