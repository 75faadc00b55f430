"""SASRec: causal self-attention over the history (Kang & McAuley, ICDM 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from engine import spec
from engine.models.sequential.layout import Layout
from engine.models.sequential.transformer import Transformer


class SASRecEncoder(nn.Module):
    """h_t sees items 1..t and predicts item t + 1. Where positions count from the end, it also knows how many follow:
    at the last, where it is asked, none."""

    mask_share: float | None = None

    def __init__(self, settings: spec.SASRec) -> None:
        super().__init__()
        self.transformer = Transformer(settings, causal=True)

    def encode(self, vectors: Tensor, layout: Layout, masked: Tensor | None) -> Tensor:
        """See `SequenceEncoder`."""
        out: Tensor = self.transformer(vectors, layout)
        return out
