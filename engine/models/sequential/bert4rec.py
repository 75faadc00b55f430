"""BERT4Rec: bidirectional self-attention trained on masked items (Sun et al., CIKM 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine import spec
from engine.models.projection import Projection
from engine.models.sequential.layout import Layout
from engine.models.sequential.transformer import Transformer


class BERT4RecEncoder(nn.Module):
    """The representation of a masked position predicts its item; a mask behind the history asks for the next."""

    def __init__(self, settings: spec.BERT4Rec) -> None:
        super().__init__()
        self.mask_share = settings.mask_share
        self.transformer = Transformer(settings, causal=False)
        self.mask = nn.Parameter(torch.empty(settings.width))
        nn.init.normal_(self.mask, std=0.02)
        mix = Projection(settings.width, settings.width)
        nn.init.normal_(mix.weight, std=0.02)
        nn.init.zeros_(mix.bias)
        self.head = nn.Sequential(mix, nn.GELU(), nn.LayerNorm(settings.width))

    def encode(self, vectors: Tensor, layout: Layout, masked: Tensor | None) -> Tensor:
        """See `SequenceEncoder`."""
        if masked is None:
            raise ValueError("a backbone trained on masked items needs to know which items are masked")
        out: Tensor = self.head(self.transformer(torch.where(masked[:, None], self.mask, vectors), layout))
        return out
