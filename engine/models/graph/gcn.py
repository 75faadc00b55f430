"""GCN: graph convolution with self loops (Kipf & Welling, ICLR 2017; docs/method.md B.1)."""

from __future__ import annotations

from torch import Tensor, nn

from engine import spec
from engine.models.bipartite import Links
from engine.models.dropout import Dropout


class GCNPropagation(nn.Module):
    """H_k = ReLU(A~ drop(H_{k-1}) W_k), the last layer without ReLU; A~ = (D + I)^-1/2 (A + I) (D + I)^-1/2 (equation
    2), over users and items. The rows that meet are those of the last layer."""

    def __init__(self, settings: spec.GCN) -> None:
        super().__init__()
        self.maps = nn.ModuleList(glorot(settings.width) for _ in range(settings.layers))
        self.dropout = Dropout(settings.dropout)

    def propagate(self, links: Links, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `Propagation`."""
        # A~ by the matrix D^-1/2 A D^-1/2 that is there: rows are scaled before it and behind it
        user_scale = (links.user_degrees / (links.user_degrees + 1)).sqrt()
        item_scale = (links.item_degrees / (links.item_degrees + 1)).sqrt()
        for number, weights in enumerate(self.maps):
            if number:
                users, items = users.relu(), items.relu()
            users, items = weights(self.dropout(users)), weights(self.dropout(items))
            users, items = (
                user_scale * links.to_users(item_scale * items) + users / (links.user_degrees + 1),
                item_scale * links.to_items(user_scale * users) + items / (links.item_degrees + 1),
            )
        return users, items


def glorot(width: int) -> nn.Linear:
    """A square matrix of Glorot's uniform entries, without a constant."""
    weights = nn.Linear(width, width, bias=False)
    nn.init.xavier_uniform_(weights.weight)
    return weights
