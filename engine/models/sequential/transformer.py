"""Pre-norm transformer blocks over packed windows: the common part of SASRec and BERT4Rec."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.models.dropout import Dropout
from engine.models.sequential.attention import attend, attend_used
from engine.models.sequential.layout import Layout


class Block(nn.Module):
    """x + drop(attention(norm(x))), then x + drop(mlp(norm(x)))."""

    def __init__(self, settings: spec.SASRec | spec.BERT4Rec, causal: bool) -> None:
        super().__init__()
        width, inner = settings.width, settings.inner
        self.heads, self.causal = settings.heads, causal
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.drop = Dropout(settings.dropout)

    def forward(self, x: Tensor, layout: Layout, used: Tensor | None = None) -> Tensor:
        """[T, d] -> [T, d], or [N, d] at the positions `used` = `layout.used`."""
        if used is not None:
            return self._at_used(x, layout, used)
        once = self.training or not torch.is_grad_enabled()  # curvature differentiates twice, in evaluation mode
        qkv = self.qkv(self.before_attention(x))
        x = x + self.drop(self.out(attend(qkv, layout, self.heads, causal=self.causal, once=once)))
        out: Tensor = x + self.drop(self._mlp(x))
        return out

    def _at_used(self, x: Tensor, layout: Layout, used: Tensor) -> Tensor:
        """All positions are keys and values; only those that are used ask, and are computed behind that."""
        total, width = x.shape
        normed = self.before_attention(x)
        kv = F.linear(normed, self.qkv.weight[width:], self.qkv.bias[width:])
        q = F.linear(normed.index_select(0, used), self.qkv.weight[:width], self.qkv.bias[:width])
        mixed = self.out(attend_used(q, kv, layout, self.heads, causal=self.causal))
        x = x.index_select(0, used) + self.drop.of_rows(mixed, used, total)
        return x + self.drop.of_rows(self._mlp(x), used, total)

    def _mlp(self, x: Tensor) -> Tensor:
        out: Tensor = self.narrow(F.gelu(self.widen(self.before_mlp(x))))
        return out


class Transformer(nn.Module):
    """Learned positions, blocks and a final LayerNorm."""

    def __init__(self, settings: spec.SASRec | spec.BERT4Rec, causal: bool) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(settings.max_length, settings.width))
        self.blocks = nn.ModuleList(Block(settings, causal) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(settings.width)
        self.drop = Dropout(settings.dropout)
        nn.init.normal_(self.positions, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, vectors: Tensor, layout: Layout) -> Tensor:
        """Item vectors [T, d] -> representations of the positions that are used [N, d], of all [T, d] where the layout
        names none."""
        x = self.drop(vectors + F.embedding(layout.positions, self.positions))
        for number, block in enumerate(self.blocks, 1):
            x = block(x, layout, layout.used if number == len(self.blocks) else None)
        out: Tensor = self.norm(x)
        return out
