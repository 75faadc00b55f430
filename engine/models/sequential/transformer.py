"""Pre-norm transformer blocks over packed windows: the common part of SASRec and BERT4Rec."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.models.dropout import Dropout
from engine.models.sequential.layout import Group, Layout


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

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """[T, d] -> [T, d]."""
        x = x + self.drop(self.out(self._attend(self.qkv(self.before_attention(x)), layout)))
        mixed: Tensor = x + self.drop(self.narrow(F.gelu(self.widen(self.before_mlp(x)))))
        return mixed

    def _attend(self, qkv: Tensor, layout: Layout) -> Tensor:
        """[T, 3d] -> [T, d], each window apart."""
        parts = []
        for group in layout.groups:
            q, k, v = group.pad(qkv).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            mask = None if self.causal else _real_keys(group)
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
            parts.append(group.unpad(mixed.transpose(1, 2).flatten(2)))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _real_keys(group: Group) -> Tensor | None:
    """[count, 1, 1, length] False at padding; a causal mask needs none, since padding comes last."""
    if group.slots is None:
        return None
    real = torch.zeros(group.count * group.length, dtype=torch.bool, device=group.slots.device)
    real[group.slots] = True
    return real.view(group.count, 1, 1, group.length)


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
        """Item vectors [T, d] -> representations [T, d]."""
        x = self.drop(vectors + F.embedding(layout.positions, self.positions))
        for block in self.blocks:
            x = block(x, layout)
        out: Tensor = self.norm(x)
        return out
