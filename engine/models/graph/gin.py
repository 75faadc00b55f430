"""GIN: sums of neighbours through a perceptron (Xu et al., ICLR 2019; docs/method.md B.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine import spec
from engine.models.bipartite import Links


class GINPropagation(nn.Module):
    """h_k = MLP_k((1 + eps_k) h_{k-1} + sum of h_{k-1} over the neighbours) (equation 4.1), over users and items. The
    rows that meet are h_0 beside h_k, all k (equation 4.2)."""

    def __init__(self, settings: spec.GIN) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.zeros(settings.layers))
        self.perceptrons = nn.ModuleList(_perceptron(settings.width) for _ in range(settings.layers))

    def propagate(self, links: Links, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `Propagation`."""
        roots = links.user_degrees.sqrt(), links.item_degrees.sqrt()  # A = D^1/2 A_hat D^1/2
        layers, sizes = [torch.cat([users, items])], [len(users), len(items)]
        for eps, perceptron in zip(self.eps, self.perceptrons, strict=True):
            users, items = layers[-1].split(sizes)
            sums = roots[0] * links.to_users(roots[1] * items), roots[1] * links.to_items(roots[0] * users)
            layers.append(perceptron((1 + eps) * layers[-1] + torch.cat(sums)))
        users, items = torch.cat(layers, dim=1).split(sizes)
        return users, items


def _perceptron(width: int) -> nn.Sequential:
    """Two layers. Batch normalisation is over all nodes, in training and at test: the graph is always whole."""
    return nn.Sequential(
        nn.Linear(width, width, bias=False),
        nn.BatchNorm1d(width, track_running_stats=False),
        nn.ReLU(),
        nn.Linear(width, width),
    )
