"""GRU4Rec: a gated recurrent network over the history (Hidasi et al., ICLR 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine import spec
from engine.models.dropout import Dropout
from engine.models.sequential.layout import Layout


class GRU4RecEncoder(nn.Module):
    """h_t = V GRU(items 1..t) predicts item t + 1; V maps the hidden state to the items' width."""

    mask_share: float | None = None

    def __init__(self, settings: spec.GRU4Rec) -> None:
        super().__init__()
        s = settings
        self.drop = Dropout(s.dropout)
        self.gru = nn.GRU(s.width, s.hidden, s.layers, batch_first=True)
        self.down = nn.Linear(s.hidden, s.width)

    def encode(self, vectors: Tensor, layout: Layout, masked: Tensor | None) -> Tensor:
        """See `SequenceEncoder`."""
        x = self.drop(vectors)
        states = [group.unpad(self.gru(group.pad(x))[0]) for group in layout.groups]
        out: Tensor = self.down(states[0] if len(states) == 1 else torch.cat(states))
        return out
