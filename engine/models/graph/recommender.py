"""The family of graph models: users and items as nodes of the training graph, items from an item table."""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.data import Sequences
from engine.data.arrays import FloatArray
from engine.models.bipartite import BipartiteGraph, Links
from engine.models.distil import Lesson, StudentRows
from engine.models.graph.edges import EdgeTrained, NodeRows
from engine.models.graph.guides import Guide, GuidedRows, guide_of
from engine.models.item_table import ItemTable
from engine.models.registry import load
from engine.models.table_recommender import TableRecommender, table_of


class Propagation(Protocol):
    """A graph model's own part. A torch module."""

    def propagate(self, links: Links, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Initial rows of users [m, d] and items [n, d] -> the rows that meet in a score, of any one width."""


class GraphRecommender(TableRecommender, EdgeTrained):
    """Rows of users and items behind a propagation.

    Initial item rows are those of the item table, unit length where `table.normalize` says input; scoring rows are
    unit length behind the propagation where it says scoring. Initial user rows are trained, the mean of the initial
    rows of the user's items, or the mean of their vectors under the table's map. Initial rows are penalised. A guided
    table has a guide, which adds to the loss.
    """

    def __init__(
        self, table: ItemTable, backbone: Propagation, experiment: spec.Experiment, train: Sequences, n_items: int
    ) -> None:
        super().__init__(table, experiment.table, np.bincount(train.items, minlength=n_items))
        self.backbone = backbone
        self.graph = BipartiteGraph(train, n_items)
        settings = cast(spec.GraphBackbone, experiment.backbone)
        self.experiment, self.reg = experiment, settings.reg
        self.users_alike = settings.pairs == "users"
        self.users: nn.Parameter | None = None
        if settings.users == "trained":
            self.users = nn.Parameter(torch.randn(self.graph.n_users, settings.width) * settings.user_sd)
        self._links: dict[str, Links] = {}
        inject = experiment.table.inject
        self.guide: Guide | None = None
        self.user_vectors: Tensor | None
        self.register_buffer("user_vectors", None, persistent=False)
        if isinstance(inject, spec.GuidedID) or settings.users == "mapped":
            vectors = table.weight.detach()
            self.user_vectors = self._link("mean", vectors).to_users(vectors)
        if isinstance(inject, spec.GUIDED):
            self.guide = guide_of(inject, table.weight.shape[1], settings.width, self._width())

    def rows(self) -> NodeRows:
        """See `EdgeTrained`."""
        initial = self.initial()
        entering = (*initial, None) if self.guide is None else self.guide.mask(*initial)
        users, items = self.backbone.propagate(self._link("symmetric", initial[1]), *entering[:2])
        scoring = self.with_bias(F.normalize(items, dim=1) if self.table.unit_scoring else items)
        return NodeRows(users, scoring, initial, entering[2])

    def initial(self) -> tuple[Tensor, Tensor]:
        """Rows of users [m, d] and items [n, d] before the propagation."""
        items, _ = self.table()
        if self.users is not None:
            return self.users, items
        if self.user_vectors is not None and self.table.adapter is not None:
            return self.table.adapter(self.user_vectors), items
        return self._link("mean", items).to_users(items), items

    def extra_loss(self, rows: NodeRows, users: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor | None:
        """See `EdgeTrained`: what the guide adds, and the tutor."""
        items = rows.items[:, : rows.users.shape[1]]
        added: Tensor | None = None
        if self.guide is not None and self.user_vectors is not None:
            vectors = self.user_vectors, self.table.weight
            added = self.guide(GuidedRows(rows.users, items, *vectors, users, targets, negatives, rows.masked))
        if self.tutor is not None:
            queries = self.query(F.embedding(users, rows.users))
            taught: Tensor = self.tutor(StudentRows(rows.users, items, queries, rows.items, users, targets, negatives))
            added = taught if added is None else added + taught
        return added

    def learn_from(self, lesson: Lesson) -> None:
        """Have a tutor from now on."""
        self.take_tutor(lesson, self.experiment, self.graph, self._width())

    @torch.no_grad()
    def _width(self) -> int:
        """Columns of propagated rows."""
        self.train(False)
        width = self.rows().users.shape[1]
        self.train()
        return width

    def _link(self, kind: str, like: Tensor) -> Links:
        """The graph's matrix on the device and in the precision of `like`, made once."""
        link = self._links.get(kind)
        if link is None or (link.matrix.device, link.matrix.dtype) != (like.device, like.dtype):
            link = self.graph.mean(like) if kind == "mean" else self.graph.symmetric(like)
            self._links[kind] = link
        return link


def build(experiment: spec.Experiment, train: Sequences, n_items: int, z: FloatArray | None = None) -> GraphRecommender:
    """The family's models; see `engine.models.registry.build`."""
    torch.manual_seed(experiment.seed)
    settings = cast(spec.GraphBackbone, experiment.backbone)
    backbone = load(settings.implementation)(settings)
    table = table_of(experiment, settings.width, n_items, z)
    return GraphRecommender(table, backbone, experiment, train, n_items)
