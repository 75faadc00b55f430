"""NGCF: propagation with weights and products of neighbours (Wang et al., SIGIR 2019; docs/method.md B.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.models.bipartite import Links
from engine.models.dropout import Dropout
from engine.models.graph.gcn import glorot

_SLOPE = 0.2  # of LeakyReLU below 0


class NGCFPropagation(nn.Module):
    """E_k = LeakyReLU((A_hat + I) E_{k-1} W_k + (A_hat E_{k-1} * E_{k-1}) V_k) (equation 7), k = 1..K, over users and
    items; the rows that meet are E_0 beside drop(E_k) of unit length, all k (equation 9)."""

    def __init__(self, settings: spec.NGCF) -> None:
        super().__init__()
        self.sums = _maps(settings)
        self.products = _maps(settings)
        self.dropout = Dropout(settings.dropout)

    def propagate(self, links: Links, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `Propagation`."""
        all_users, all_items = [users], [items]
        for of_sum, of_product in zip(self.sums, self.products, strict=True):
            near_users, near_items = links.to_users(items), links.to_items(users)
            users, items = (
                self.dropout(F.leaky_relu(of_sum(near + rows) + of_product(near * rows), _SLOPE))
                for near, rows in ((near_users, users), (near_items, items))
            )
            all_users.append(F.normalize(users, dim=1))
            all_items.append(F.normalize(items, dim=1))
        return torch.cat(all_users, dim=1), torch.cat(all_items, dim=1)


def _maps(settings: spec.NGCF) -> nn.ModuleList:
    """A square matrix for each layer, without a constant as in equation 7."""
    return nn.ModuleList(glorot(settings.width) for _ in range(settings.layers))
