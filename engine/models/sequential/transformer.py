"""Transformer blocks over packed windows: the common part of SASRec and BERT4Rec (docs/method.md B.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.models.dropout import Dropout
from engine.models.projection import Projection
from engine.models.sequential.attention import attend, attend_used
from engine.models.sequential.layout import Layout

_ROWS = 1024  # of the inner layer at once where nothing is kept for gradients: they stay in the cache of a core


class Block(nn.Module):
    """x + drop(attention(norm(x))), then x + drop(mlp(norm(x))); post-norm: norm(x + drop(attention(x))), then
    norm(x + drop(mlp(x)))."""

    def __init__(self, settings: spec.TransformerBackbone, causal: bool) -> None:
        super().__init__()
        width, inner = settings.width, settings.inner
        self.heads, self.causal, self.pre_norm = settings.heads, causal, settings.norm == "pre"
        self.attention_dropout = settings.attention_dropout
        # the norm of each layer, which post-norm blocks apply behind it
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = Projection(width, 3 * width), Projection(width, width)
        self.widen, self.narrow = Projection(width, inner), Projection(inner, width)
        self.drop = Dropout(settings.dropout)

    def forward(self, x: Tensor, layout: Layout, used: Tensor | None = None) -> Tensor:
        """[T, d] -> [T, d], or [N, d] at the positions `used` = `layout.used`."""
        total = len(x)
        mixed = self.out(self._attended(self.before_attention(x) if self.pre_norm else x, layout, used))
        if used is not None:
            x = x.index_select(0, used)
        x = x + self._dropped(mixed, used, total)
        if self.pre_norm:
            return x + self._dropped(self._mlp(self.before_mlp(x)), used, total)
        x = self.before_attention(x)
        out: Tensor = self.before_mlp(x + self._dropped(self._mlp(x), used, total))
        return out

    def _attended(self, x: Tensor, layout: Layout, used: Tensor | None) -> Tensor:
        """All positions are keys and values; where only some are used, only those ask."""
        dropout = self.attention_dropout if self.training else 0.0
        if used is None:
            once = self.training or not torch.is_grad_enabled()  # curvature differentiates twice, in evaluation mode
            return attend(self.qkv(x), layout, self.heads, causal=self.causal, once=once, dropout=dropout)
        width = x.shape[1]
        kv = self.qkv.part(x, slice(width, None))
        q = self.qkv.part(x.index_select(0, used), slice(width))
        return attend_used(q, kv, layout, self.heads, causal=self.causal, dropout=dropout)

    def _dropped(self, change: Tensor, used: Tensor | None, total: int) -> Tensor:
        out: Tensor = self.drop(change) if used is None else self.drop.of_rows(change, used, total)
        return out

    def _mlp(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or x.device.type != "cpu" or len(x) <= _ROWS:
            out: Tensor = self.narrow(F.gelu(self.widen(x)))
            return out
        return torch.cat([self._mlp(rows) for rows in x.split(_ROWS)])


class Transformer(nn.Module):
    """Learned positions, blocks and a LayerNorm: at the end, or before post-norm blocks."""

    def __init__(self, settings: spec.TransformerBackbone, causal: bool) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(settings.max_length, settings.width))
        self.blocks = nn.ModuleList(Block(settings, causal) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(settings.width)
        self.pre_norm, self.from_end = settings.norm == "pre", settings.positions == "right"
        self.drop = Dropout(settings.dropout)
        nn.init.normal_(self.positions, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, vectors: Tensor, layout: Layout) -> Tensor:
        """Item vectors [T, d] -> representations of the positions that are used [N, d], of all [T, d] where the layout
        names none."""
        places = layout.from_end() if self.from_end else layout.positions
        x = vectors + F.embedding(places, self.positions)
        x = self.drop(x if self.pre_norm else self.norm(x))
        for number, block in enumerate(self.blocks, 1):
            x = block(x, layout, layout.used if number == len(self.blocks) else None)
        out: Tensor = self.norm(x) if self.pre_norm else x
        return out
