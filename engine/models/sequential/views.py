"""Two views of an item, each read by the same backbone (docs/method.md B.2)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from engine import spec
from engine.models.adapters import ViewAttention
from engine.models.sequential.attention import attend
from engine.models.sequential.layout import Layout


class Reads(Protocol):
    """A backbone, as `SequenceEncoder` has it."""

    def encode(self, vectors: Tensor, layout: Layout, masked: Tensor | None) -> Tensor: ...


class TwoReadings(nn.Module):
    """What a backbone makes of both views of a history: attention mixes it (DWSRec), or it stays side by side, each
    view having read the other first by causal cross-attention (LLM-ESR)."""

    def __init__(self, settings: spec.ViewsAdapter, width: int) -> None:
        super().__init__()
        self.mix = ViewAttention(width) if isinstance(settings, spec.AttendedViews) else None
        self.cross: nn.ModuleList | None = None
        if isinstance(settings, spec.DualViews) and settings.cross_heads:
            self.cross = nn.ModuleList(CrossAttention(width, settings.cross_heads) for _ in range(2))

    def encode(self, backbone: Reads, vectors: Tensor, layout: Layout, masked: Tensor | None) -> Tensor:
        """Item vectors [T, 2 d] -> [T, d], or [T, 2 d] of views that stay apart; see `SequenceEncoder`."""
        if masked is not None:  # what the mask stands for is seen by nobody
            vectors = vectors.masked_fill(masked[:, None], 0.0)
        views = list(vectors.chunk(2, dim=1))
        if self.cross is not None:
            first, second = views
            views = [self.cross[0](second, first, layout), self.cross[1](first, second, layout)]
        both = torch.cat([backbone.encode(view.contiguous(), layout, masked) for view in views], dim=1)
        return both if self.mix is None else self.mix(both)


class CrossAttention(nn.Module):
    """W softmax(Q x (K y)^T / sqrt(d / heads)) V y over a window's places up to each one's own (LLM-ESR, whose code
    lets a place see later ones too)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, asking: Tensor, asked: Tensor, layout: Layout) -> Tensor:
        """Two views [T, d] -> what the first finds in the second, [T, d]."""
        once = self.training or not torch.is_grad_enabled()  # curvature differentiates twice, in evaluation mode
        qkv = torch.cat([self.query(asking), self.key(asked), self.value(asked)], dim=1)
        out: Tensor = self.out(attend(qkv, layout, self.heads, causal=True, once=once))
        return out
