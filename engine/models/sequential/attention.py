"""Self-attention within packed windows, group by group (`layout.py`; docs/performance.md)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.sequential.layout import Asked, Group, Layout

_CPU_KERNEL = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
_CPU_KERNEL_BACKWARD = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward", None)


def attend(qkv: Tensor, layout: Layout, heads: int, *, causal: bool, once: bool, dropout: float = 0.0) -> Tensor:
    """Queries, keys and values [T, 3d] of packed windows -> [T, d], each window apart.

    `once` promises that gradients, if any, are taken once: on a CPU all groups are then one function, whose backward
    writes into one block instead of adding up one of zeros for each group. Same bits either way. `dropout` is the share
    of the weights that is dropped, now.
    """
    if (
        once
        and dropout == 0
        and qkv.device.type == "cpu"
        and _CPU_KERNEL is not None
        and _CPU_KERNEL_BACKWARD is not None
    ):
        out: Tensor = _PackedAttention.apply(qkv, layout, heads, causal)  # type: ignore[no-untyped-call]
        return out
    parts = []
    for group, part in zip(
        layout.groups, qkv.split([group.stop - group.start for group in layout.groups]), strict=True
    ):
        q, k, v = _by_head(group.pad_part(part), 3, heads)
        mask = None if causal else _real_keys(group)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=causal)
        parts.append(group.unpad(mixed.transpose(1, 2).flatten(2)))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def attend_used(q: Tensor, kv: Tensor, layout: Layout, heads: int, *, causal: bool, dropout: float = 0.0) -> Tensor:
    """As `attend`, for the positions `layout.used` alone: their queries [N, d], keys and values [T, 2d] of all."""
    parts = []
    for group, part in zip(layout.groups, kv.split([group.stop - group.start for group in layout.groups]), strict=True):
        asked = group.asked
        if asked is None:
            continue
        k, v = _by_head(group.pad_part(part) if part.requires_grad else group.repeat_part(part), 2, heads)
        block = q[asked.start : asked.stop]
        if len(block) < group.count * asked.width:
            block = q.new_zeros(group.count * asked.width, q.shape[1]).index_copy_(0, asked.slots, block)
        (query,) = _by_head(block.view(group.count, asked.width, -1), 1, heads)
        mask = _reached_keys(group, asked, causal)
        mixed = F.scaled_dot_product_attention(query, k, v, attn_mask=mask, dropout_p=dropout).transpose(1, 2)
        rows = mixed.reshape(group.count * asked.width, -1)
        parts.append(rows if len(rows) == len(asked.slots) else rows.index_select(0, asked.slots))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _by_head(block: Tensor, kinds: int, heads: int) -> Tensor:
    """[count, length, kinds d] -> [kinds, count, heads, length, d / heads]."""
    by_head: Tensor = block.unflatten(-1, (kinds, heads, -1)).permute(2, 0, 3, 1, 4)
    return by_head


def _real_keys(group: Group) -> Tensor | None:
    """[count, 1, 1, length] False at padding; a causal mask needs none, since padding comes last."""
    if group.slots is None:
        return None
    real = torch.zeros(group.count * group.length, dtype=torch.bool, device=group.slots.device)
    real.index_fill_(0, group.slots, value=True)
    return real.view(group.count, 1, 1, group.length)


def _reached_keys(group: Group, asked: Asked, causal: bool) -> Tensor | None:
    """[count, 1, width, length] True at the keys that each asked position sees; None where all see all. Slots without
    a position see the first key, as a softmax over nothing would be no number."""
    forward_only = causal and not asked.last_only
    if not forward_only and group.slots is None:
        return None
    reach = torch.ones(group.count * asked.width, dtype=torch.int64, device=asked.slots.device)
    reach[asked.slots] = asked.positions + 1 if forward_only else asked.sizes
    keys = torch.arange(group.length, device=reach.device)
    return keys < reach.view(group.count, 1, asked.width, 1)


class _PackedAttention(torch.autograd.Function):
    """The kernel that `scaled_dot_product_attention` takes on a CPU, over all groups of a layout."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, layout: Layout, heads: int, causal: bool) -> Tensor:
        width = qkv.shape[1] // 3
        out = qkv.new_empty(len(qkv), width)
        kept: list[tuple[Tensor | None, ...]] | None = [] if ctx.needs_input_grad[0] else None
        for group in layout.groups:
            q, k, v = _by_head(group.repeat_part(qkv[group.start : group.stop]), 3, heads)
            real = None if causal else _real_keys(group)
            mask = None if real is None else torch.zeros(real.shape, dtype=q.dtype).masked_fill_(~real, -torch.inf)
            assert _CPU_KERNEL is not None
            mixed, log_sums = _CPU_KERNEL(q, k, v, 0.0, causal, attn_mask=mask)
            flat = mixed.transpose(1, 2).reshape(group.count * group.length, width)
            if group.slots is None:
                out[group.start : group.stop] = flat
            else:
                torch.index_select(flat, 0, group.slots, out=out[group.start : group.stop])
            if kept is not None:
                kept.append((q, k, v, mixed, log_sums, mask))
        ctx.kept, ctx.layout, ctx.heads, ctx.causal = kept, layout, heads, causal
        return out

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:
        d_out = upstream[0]
        d_qkv = d_out.new_empty(len(d_out), 3 * d_out.shape[1])
        for group, (q, k, v, mixed, log_sums, mask) in zip(ctx.layout.groups, ctx.kept, strict=True):
            (d_mixed,) = _by_head(group.pad(d_out), 1, ctx.heads)
            assert _CPU_KERNEL_BACKWARD is not None
            slopes = _CPU_KERNEL_BACKWARD(d_mixed, q, k, v, mixed, log_sums, 0.0, ctx.causal, attn_mask=mask)
            place = d_qkv[group.start : group.stop]
            stacked = [slope.transpose(1, 2) for slope in slopes]  # each [count, length, heads, d / heads]
            if group.slots is None:
                block = place.view(group.count, group.length, 3, ctx.heads, -1)
                for kind, slope in enumerate(stacked):
                    block[:, :, kind].copy_(slope)
            else:
                flat = torch.stack(stacked, 2).view(group.count * group.length, -1)
                torch.index_select(flat, 0, group.slots, out=place)
        return d_qkv, None, None, None
