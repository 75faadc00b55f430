"""One layer of gated recurrent units over packed windows, step by step in time (docs/performance.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_ROWS = 512  # of successive steps together: what they read and write stays in the cache of a core


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

    Each step works on the windows that reach it and nothing else; products with the inputs and gradients of the weights
    are one product for a span of steps. Backwards, how much of a state's gradient reaches each pre-activation and the
    state before is known for a span at once, and each step multiplies that with its gradient in place.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 (the weights in torch's order)
        ctx: Any, x: Tensor, counts: list[int], w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor
    ) -> Tensor:
        total, hidden = len(x), w_h.shape[1]
        gates, from_h = x.new_empty(total, 3 * hidden), x.new_empty(total, hidden)
        states = _states(x, counts, (w_x, w_h, b_x, b_h), (gates, from_h))
        ctx.save_for_backward(x, w_x, w_h, gates, from_h, states)
        ctx.counts = counts
        return states

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, w_x, w_h, gates, from_h, states = ctx.saved_tensors
        counts, hidden = ctx.counts, states.shape[1]
        spans = _spans(counts)
        d_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        d_w_x, d_b = torch.zeros_like(w_x), x.new_zeros(4 * hidden)
        # side by side: the new gate by the state, reset, update, the new gate by the input, and the state before
        slopes = x.new_empty(max(rows.stop - rows.start for _, rows in spans), 5, hidden)
        weights = torch.cat([w_h[2 * hidden :], w_h[: 2 * hidden]])
        d_weights = torch.zeros_like(weights)
        reaching = [x.new_zeros(counts[0], hidden), *_reaching(states, counts, slice(0, len(counts)))]
        carried = x.new_zeros(0, hidden)
        for steps, rows in reversed(spans):
            before = torch.cat(reaching[steps])
            gradients = slopes[: len(before)]
            _slopes(gates[rows].unflatten(1, (3, hidden)), from_h[rows], before, out=gradients)
            by_h, by_x = gradients[:, :3].flatten(1), gradients[:, 1:4].flatten(1)
            d_states = upstream[0][rows].clone()
            parts = (each.split(counts[steps]) for each in (gradients, d_states[:, None], by_h, gradients[:, 4]))
            for going_on, gradient, d_state, d_by_h, d_before in reversed(
                list(zip(_reaching(d_states, counts, steps), *parts, strict=True))
            ):
                going_on.add_(carried)
                gradient.mul_(d_state)
                carried = d_before.addmm_(d_by_h, weights)
            carried = carried.clone()  # its place is the next span's
            d_weights.addmm_(by_h.T, before)
            d_w_x.addmm_(by_x.T, x[rows])
            d_b.add_(gradients[:, :4].flatten(1).sum(0))
            if d_x is not None:
                torch.mm(by_x, w_x, out=d_x[rows])
        d_w_h = torch.cat([d_weights[hidden:], d_weights[:hidden]])
        d_b_h = torch.cat([d_b[hidden : 3 * hidden], d_b[:hidden]])
        return d_x, None, d_w_x, d_w_h, d_b[hidden:], d_b_h


def _spans(counts: list[int]) -> list[tuple[slice, slice]]:
    """Successive steps that have few rows together: (steps, rows)."""
    spans = []
    first = start = stop = 0
    for step, count in enumerate(counts, 1):
        stop += count
        if stop - start >= _ROWS or step == len(counts):
            spans.append((slice(first, step), slice(start, stop)))
            first, start = step, stop
    return spans


def _reaching(rows: Tensor, counts: list[int], steps: slice) -> list[Tensor]:
    """Of the rows of each of these steps, those of the windows that reach the step behind it."""
    following = [*counts[1:], 0][steps]
    sizes = [size for count, left in zip(counts[steps], following, strict=True) for size in (left, count - left)]
    return list(rows.split(sizes)[::2])


def _slopes(gates: Tensor, from_h: Tensor, before: Tensor, out: Tensor) -> None:
    """Of gates [N, 3, H] (reset, update, new), [N, 5, H] by how much the gradient of a step's state is multiplied on
    its way to what `_GatedRecurrence.backward` lists."""
    reset, update, new = gates.unbind(1)
    by_h, by_reset, by_update, by_x, by_state = out.unbind(1)
    one = new.new_ones(())
    torch.addcmul(one, new, new, value=-1, out=by_x).addcmul_(by_x, update, value=-1)  # x (1 - u) as x - x u
    torch.mul(by_x, reset, out=by_h)
    torch.mul(by_h, from_h, out=by_reset).addcmul_(by_reset, reset, value=-1)
    torch.sub(before, new, out=by_update).mul_(update).addcmul_(by_update, update, value=-1)
    by_state.copy_(update)


def recur(x: Tensor, counts: list[int], weights: Sequence[Tensor]) -> Tensor:
    """States [T, hidden] behind inputs [T, d] in time order, `counts` windows at each step (`TimeOrder`).

    weights: input weights [3 hidden, d], state weights [3 hidden, hidden] and their biases, gates in torch's order
    (reset, update, new). Differentiable once.
    """
    if not torch.is_grad_enabled():
        return _states(x, counts, weights)
    states: Tensor = _GatedRecurrence.apply(x, counts, *weights)  # type: ignore[no-untyped-call]
    return states


def _states(
    x: Tensor, counts: list[int], weights: Sequence[Tensor], kept: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """See `recur`. The gates [T, 3 hidden] and U_n h + c_n [T, hidden] go into `kept`; without it they stand in two
    small blocks, which stay in the cache.

    tanh(u) is 2 sigma(2 u) - 1, which takes a quarter of its time and is off by as much as rounding is at 1. So the new
    gate has weights twice as large.
    """
    w_x, w_h, b_x, b_h = weights
    hidden = w_h.shape[1]
    factors = torch.tensor([1.0, 1.0, 2.0], dtype=x.dtype).repeat_interleave(hidden)
    to_gates, to_new = (w_h * factors[:, None]).T.split((2 * hidden, hidden), 1)
    from_input, bias, bias_new = (w_x * factors[:, None]).T, b_x * factors, 2 * b_h[2 * hidden :]
    bias[: 2 * hidden] += b_h[: 2 * hidden]
    minus_one = x.new_full((), -1)
    states, spans = x.new_empty(len(x), hidden), _spans(counts)
    if kept is None:
        most = max(rows.stop - rows.start for _, rows in spans)
        space = x.new_empty(most, 3 * hidden), x.new_empty(most, hidden)
    before = [x.new_zeros(counts[0], hidden), *_reaching(states, counts, slice(0, len(counts)))]
    for steps, rows in spans:
        if kept is None:
            gates, from_h = (each[: rows.stop - rows.start] for each in space)
        else:
            gates, from_h = (each[rows] for each in kept)
        torch.addmm(bias, x[rows], from_input, out=gates)
        columns = gates[:, : 2 * hidden], *gates.split(hidden, 1), from_h, states[rows]
        parts = (each.split(counts[steps]) for each in columns)
        for state, gate, reset, update, new, h_new, out in zip(before[steps], *parts, strict=True):
            gate.addmm_(state, to_gates).sigmoid_()
            torch.addmm(bias_new, state, to_new, out=h_new)
            torch.add(minus_one, new.addcmul_(reset, h_new).sigmoid_(), alpha=2, out=new)
            torch.lerp(new, state, update, out=out)
    if kept is not None:
        kept[1].mul_(0.5)
    return states
