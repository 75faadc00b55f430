"""LightGCN: linear propagation, all layers averaged (He et al., SIGIR 2020; docs/method.md B.1)."""

from __future__ import annotations

from torch import Tensor, nn

from engine import spec
from engine.models.bipartite import Links


class LightGCNPropagation(nn.Module):
    """E = 1 / (K + 1) sum_k A_hat^k E_0, k = 0..K, over users and items; nothing of it is trained."""

    def __init__(self, settings: spec.LightGCN) -> None:
        super().__init__()
        self.layers = settings.layers

    def propagate(self, links: Links, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `Propagation`."""
        all_users, all_items = users, items
        for _ in range(self.layers):
            users, items = links.to_users(items), links.to_items(users)
            all_users, all_items = all_users + users, all_items + items
        return all_users / (self.layers + 1), all_items / (self.layers + 1)
