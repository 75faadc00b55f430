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
    weights are one product over all steps.
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
        first = 0
        for count in counts:
            here = slice(first, first + count)
            state = state[:count]
            mixed = torch.addmm(b_h, state, w_h.T)
            gate = torch.add(from_x[here, : 2 * hidden], mixed[:, : 2 * hidden], out=gates[here]).sigmoid_()
            from_h[here] = mixed[:, 2 * hidden :]
            candidate = torch.addcmul(from_x[here, 2 * hidden :], gate[:, :hidden], from_h[here], out=new[here]).tanh_()
            state = torch.lerp(candidate, state, gate[:, hidden:], out=states[here])
            first += count
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
        for end, count in zip(reversed(ends), reversed(counts), strict=True):
            here = slice(end - count, end)
            d_state = upstream[0][here].clone()
            d_state[: len(carried)] += carried
            gate = d_gates[here]
            slope = torch.mul(d_state, slope_new[here], out=d_new[here])
            torch.mul(slope, slope_reset[here], out=gate[:, :hidden])
            torch.mul(d_state, slope_update[here], out=gate[:, hidden : 2 * hidden])
            torch.mul(slope, reset[here], out=gate[:, 2 * hidden :])
            carried = torch.addmm(d_state.mul_(update[here]), gate, w_h)
        d_w_h, d_b_h = d_gates.T @ before, d_gates.sum(0)
        d_gates[:, 2 * hidden :] = d_new
        d_x = d_gates @ w_x if ctx.needs_input_grad[0] else None
        return d_x, None, d_gates.T @ x, d_w_h, d_gates.sum(0), d_b_h


def recur(x: Tensor, counts: list[int], weights: Sequence[Tensor]) -> Tensor:
    """States [T, hidden] behind inputs [T, d] in time order, `counts` windows at each step (`TimeOrder`).

    weights: input weights [3 hidden, d], state weights [3 hidden, hidden] and their biases, gates in torch's order
    (reset, update, new). Differentiable once.
    """
    states: Tensor = _GatedRecurrence.apply(x, counts, *weights)  # type: ignore[no-untyped-call]
    return states
