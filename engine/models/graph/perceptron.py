"""A perceptron in place of a propagation: what a graph model can be distilled into (docs/method.md B.1, B.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine import spec
from engine.models.bipartite import Links
from engine.models.dropout import Dropout


class PerceptronPropagation(nn.Module):
    """E_k = ReLU(E_{k-1}) W_k + b_k, k = 1..K, the first without ReLU, over users and items each by itself. The rows
    that meet are those of the last layer."""

    def __init__(self, settings: spec.Perceptron) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(settings.width, settings.width) for _ in range(settings.layers))
        self.dropout = Dropout(settings.dropout)

    def propagate(self, links: Links, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `Propagation`; it has no use for the links."""
        rows, sizes = torch.cat([users, items]), [len(users), len(items)]
        for number, weights in enumerate(self.maps):
            rows = weights(self.dropout(rows.relu() if number else rows))
        users, items = rows.split(sizes)
        return users, items
