"""SVD-GCN: weighted singular vectors and one trained matrix (Peng et al., CIKM 2022; docs/method.md B.1)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from engine import spec
from engine.data import Sequences
from engine.data.arrays import FloatArray
from engine.models.bipartite import BipartiteGraph
from engine.models.graph.edges import EdgeTrained, NodeRows
from engine.models.interactions import interactions
from engine.models.singular import leading, normalised


class SVDGCNRecommender(nn.Module, EdgeTrained):
    """Rows of users U diag(e^(beta sigma)) W, of items V diag(e^(beta sigma)) W, with R = (D_u + alpha)^-1/2 B
    (D_i + alpha)^-1/2 = U diag(sigma) V^T, the k largest sigma; W [k, width] is all that is trained. The rows
    themselves are penalised. There is no item table.
    """

    table = None
    of_users: Tensor
    of_items: Tensor

    def __init__(self, settings: spec.SVDGCN, experiment: spec.Experiment, train: Sequences, n_items: int) -> None:
        super().__init__()
        self.graph = BipartiteGraph(train, n_items)
        self.experiment, self.reg = experiment, settings.reg
        r, _, _ = normalised(interactions(train, n_items), settings.alpha, 0.5)
        sigma, v = leading(r, settings.k)
        weights = torch.from_numpy(sigma).mul(settings.beta).exp()
        for name, vectors in (("of_users", r @ v / sigma), ("of_items", v)):
            self.register_buffer(name, (torch.from_numpy(vectors) * weights).float(), persistent=False)
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(len(sigma), settings.width)))

    def begin_epoch(self, epoch: int) -> None:
        """See `Trained`."""

    def rows(self) -> NodeRows:
        """See `EdgeTrained`."""
        users, items = self.of_users @ self.weight, self.of_items @ self.weight
        return NodeRows(users, items, (users, items))

    def query(self, h: Tensor) -> Tensor:
        """See `EdgeTrained`."""
        return h

    def temperature(self) -> float:
        """See `EdgeTrained`."""
        return 1.0


def build(
    experiment: spec.Experiment, train: Sequences, n_items: int, z: FloatArray | None = None
) -> SVDGCNRecommender:
    """See `engine.models.registry.build`; it reads no item vectors."""
    torch.manual_seed(experiment.seed)
    return SVDGCNRecommender(cast(spec.SVDGCN, experiment.backbone), experiment, train, n_items)
