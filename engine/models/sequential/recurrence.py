"""One layer of gated recurrent units over packed windows, step by step in time (docs/performance.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class TimeOrder:
    """Packed windows, longest first, turned round: all first items, then all second ones.

    counts: windows that have an item at each step, never rising
    order:  [T] where in the packed windows each item of the new order stands
    back:   [T] its inverse
    """

    counts: list[int]
    order: Tensor
    back: Tensor

    @staticmethod
    def of(lengths: Tensor) -> TimeOrder:
        """Of windows of these lengths ([B] int64, descending, each at least 1)."""
        steps = torch.arange(int(lengths[0]))
        counts = torch.searchsorted(-lengths, -steps)  # windows longer than the step's number
        starts = lengths.cumsum(0) - lengths
        step = torch.repeat_interleave(steps, counts)
        window = torch.arange(len(step)) - (counts.cumsum(0) - counts)[step]
        order = starts[window] + step
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        return TimeOrder(counts.tolist(), order, back)


class _GatedRecurrence(torch.autograd.Function):
    """r, z = sigma(W x + b + U h + c), n = tanh(W_n x + b_n + r (U_n h + c_n)), h' = (1 - z) n + z h, as torch.nn.GRU.

    Each step works on the windows that reach it and nothing else; products with the inputs and gradients of the
    weights are one product over all steps. What the steps read and write is split once, into views.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 (the weights in torch's order)
        ctx: Any, x: Tensor, counts: list[int], w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor
    ) -> Tensor:
        total, hidden = len(x), w_h.shape[1]
        from_x = torch.addmm(b_x, x, w_x.T)
        gates, new = x.new_empty(total, 2 * hidden), x.new_empty(total, hidden)
        from_h, states = x.new_empty(total, hidden), x.new_empty(total, hidden)
        state = x.new_zeros(counts[0], hidden)
        steps = zip(
            *(from_x[:, : 2 * hidden].split(counts), from_x[:, 2 * hidden :].split(counts)),
            *(gates.split(counts), gates[:, :hidden].split(counts), gates[:, hidden:].split(counts)),
            *(new.split(counts), from_h.split(counts), states.split(counts)),
            strict=True,
        )
        weights = w_h.T
        for x_gates, x_new, gate, r, z, n, h_new, out in steps:
            state = state[: len(out)]
            mixed_gates, mixed_new = torch.addmm(b_h, state, weights).split((2 * hidden, hidden), 1)
            torch.add(x_gates, mixed_gates, out=gate).sigmoid_()
            h_new.copy_(mixed_new)
            state = torch.lerp(torch.addcmul(x_new, r, h_new, out=n).tanh_(), state, z, out=out)
        ctx.save_for_backward(x, w_x, w_h, gates, new, from_h, states)
        ctx.counts = counts
        return states

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, w_x, w_h, gates, new, from_h, states = ctx.saved_tensors
        counts, hidden = ctx.counts, states.shape[1]
        reset, update = gates[:, :hidden], gates[:, hidden:]
        ends = list(accumulate(counts))
        before = torch.zeros_like(states)  # the state that each step began with
        for step in range(1, len(counts)):
            last, count = ends[step - 1] - counts[step - 1], counts[step]
            before[ends[step - 1] : ends[step]] = states[last : last + count]
        # by how much each pre-activation moves the state, all steps at once
        slope_new = (1 - new * new).mul_(1 - update)
        slope_update = (before - new).mul_(update).mul_(1 - update)
        slope_reset = (from_h * reset).mul_(1 - reset)
        d_gates, d_new = x.new_empty(len(x), 3 * hidden), x.new_empty(len(x), hidden)
        carried = x.new_zeros(0, hidden)
        columns = d_gates.split(hidden, 1)
        steps = zip(
            *(upstream[0].split(counts), d_gates.split(counts), d_new.split(counts)),
            *(each.split(counts) for each in (*columns, slope_new, slope_reset, slope_update, reset, update)),
            strict=True,
        )
        for d_out, d_gate, slope, d_r, d_z, d_n, by_new, by_reset, by_update, r, z in reversed(list(steps)):
            d_state = d_out.clone()
            d_state[: len(carried)].add_(carried)
            torch.mul(d_state, by_new, out=slope)
            torch.mul(slope, by_reset, out=d_r)
            torch.mul(d_state, by_update, out=d_z)
            torch.mul(slope, r, out=d_n)
            carried = torch.addmm(d_state.mul_(z), d_gate, w_h)
        d_w_h, d_b_h = d_gates.T @ before, d_gates.sum(0)
        d_gates[:, 2 * hidden :] = d_new
        d_x = d_gates @ w_x if ctx.needs_input_grad[0] else None
        return d_x, None, d_gates.T @ x, d_w_h, d_gates.sum(0), d_b_h


def recur(x: Tensor, counts: list[int], weights: Sequence[Tensor]) -> Tensor:
    """States [T, hidden] behind inputs [T, d] in time order, `counts` windows at each step (`TimeOrder`).

    weights: input weights [3 hidden, d], state weights [3 hidden, hidden] and their biases, gates in torch's order
    (reset, update, new). Differentiable once.
    """
    if not torch.is_grad_enabled():
        return _states(x, counts, *weights)
    states: Tensor = _GatedRecurrence.apply(x, counts, *weights)  # type: ignore[no-untyped-call]
    return states


def _states(  # noqa: PLR0917 (the weights in torch's order)
    x: Tensor, counts: list[int], w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor
) -> Tensor:
    """What `_GatedRecurrence` gives, where nothing is kept for gradients: all that a step makes but its state is in two
    small blocks, which stay in the cache. The same bits while many windows are left; products of few rows are rounded
    in another way."""
    hidden = w_h.shape[1]
    states, state = x.new_empty(len(x), hidden), x.new_zeros(counts[0], hidden)
    from_x, mixed = x.new_empty(2, counts[0], 3 * hidden)
    for inputs, out in zip(x.split(counts), states.split(counts), strict=True):
        count = len(out)
        state = state[:count]
        x_gates, x_new = torch.addmm(b_x, inputs, w_x.T, out=from_x[:count]).split((2 * hidden, hidden), 1)
        gates, h_new = torch.addmm(b_h, state, w_h.T, out=mixed[:count]).split((2 * hidden, hidden), 1)
        reset, update = gates.add_(x_gates).sigmoid_().chunk(2, 1)
        state = torch.lerp(torch.addcmul(x_new, reset, h_new).tanh_(), state, update, out=out)
    return states
