"""GRU4Rec: a gated recurrent network over the history (Hidasi et al., ICLR 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine import spec
from engine.models.dropout import Dropout
from engine.models.sequential.layout import Layout
from engine.models.sequential.recurrence import TimeOrder, recur


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
        once = self.training or not torch.is_grad_enabled()  # curvature differentiates twice, in evaluation mode
        states = self._recur(x, layout) if once and x.device.type == "cpu" else self._torch_gru(x, layout)
        out: Tensor = self.down(states)
        return out

    def _recur(self, x: Tensor, layout: Layout) -> Tensor:
        """States at the positions that are used, [N, hidden]."""
        time = TimeOrder.of(layout.lengths)
        states = x.index_select(0, time.order)
        for layer in self.gru.all_weights:
            states = recur(states, time.counts, layer)
        return states.index_select(0, time.back if layout.used is None else time.back[layout.used])

    def _torch_gru(self, x: Tensor, layout: Layout) -> Tensor:
        """The same by torch's own layers, which a GPU has kernels for, at all positions."""
        states = [group.unpad(self.gru(group.pad(x))[0]) for group in layout.groups]
        return layout.of_used(states[0] if len(states) == 1 else torch.cat(states))
