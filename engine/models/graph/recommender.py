"""The family of graph models: users and items as nodes of the training graph, items from an item table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.data import Sequences
from engine.data.arrays import FloatArray, IntArray
from engine.data.cases import Cases
from engine.models.base import Criterion, InnerProducts
from engine.models.graph.bipartite import BipartiteGraph, Links
from engine.models.item_table import ItemTable
from engine.models.registry import load
from engine.models.table_recommender import TableRecommender, table_of

_ORDER, _NEGATIVES = 0, 1  # streams of the random generator


class Propagation(Protocol):
    """A graph model's own part. A torch module."""

    def propagate(self, links: Links, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Initial rows of users [m, d] and items [n, d] -> the rows that meet in a score."""


@dataclass(frozen=True)
class Pairs:
    """N edges of the graph.

    users:     [N] user indices
    targets:   [N] item indices
    negatives: [N, k] items drawn against each target; None where the loss is over all items
    """

    users: IntArray
    targets: IntArray
    negatives: IntArray | None

    def parts(self, size: int) -> Iterator[Pairs]:
        """Batches of at most `size` pairs that hold the batch together."""
        for first in range(0, len(self.users), size):
            part = slice(first, first + size)
            negatives = None if self.negatives is None else self.negatives[part]
            yield Pairs(self.users[part], self.targets[part], negatives)


class GraphRecommender(TableRecommender):
    """The query of a case is its user's row behind the propagation, whatever the case's history.

    Edges are the interactions of training, for validation and for test: the model is transductive, as published, and
    its rows do not change when an item is held out. Initial item rows are those of the item table, unit length where
    `table.normalize` says input; scoring rows are unit length behind the propagation where it says scoring. Initial
    user rows are trained, or the mean of the initial rows of the user's items.
    """

    def __init__(
        self, table: ItemTable, backbone: Propagation, experiment: spec.Experiment, train: Sequences, n_items: int
    ) -> None:
        super().__init__(table, experiment.table, np.bincount(train.items, minlength=n_items))
        self.backbone = backbone
        self.graph = BipartiteGraph(train, n_items)
        self._settings, self._experiment = cast(spec.GraphBackbone, experiment.backbone), experiment
        self.users: nn.Parameter | None = None
        if self._settings.users == "trained":
            self.users = nn.Parameter(torch.randn(self.graph.n_users, self._settings.width) * self._settings.user_sd)
        self._links: dict[str, Links] = {}

    @property
    def n_targets(self) -> int:
        """See `Trained`: every edge of the graph."""
        return len(self.graph.items)

    def batches(self, epoch: int) -> list[Iterator[Pairs]]:
        """See `Trained`: the edges in a new order each epoch; negatives are drawn from the items without an edge to the
        user."""
        seed, size = self._experiment.seed, self._experiment.train.batch_size
        k = self._experiment.train.loss.n_negatives
        order = np.random.default_rng([seed, epoch, _ORDER]).permutation(len(self.graph.items))

        def build(number: int) -> Iterator[Pairs]:
            chosen = order[number * size : (number + 1) * size]
            users, targets = self.graph.users[chosen], self.graph.items[chosen]
            generator = np.random.default_rng([seed, epoch, _NEGATIVES, number])
            yield Pairs(users, targets, self.graph.draw_negatives(users, targets, k, generator) if k else None)

        return [build(number) for number in range(-(-len(order) // size))]

    def loss(self, batch: Pairs, criterion: Criterion) -> Tensor:
        """See `Trained`. Added is reg / 2 times the mean over the pairs of |e_u|^2 + |e_i|^2 + the negatives' |e_j|^2,
        all of them initial rows."""
        users, items = self.initial()
        final_users, scoring = self.propagated(users, items)
        of = [torch.from_numpy(batch.users).to(users.device), torch.from_numpy(batch.targets).to(users.device)]
        negatives = None if batch.negatives is None else torch.from_numpy(batch.negatives).to(users.device)
        value = criterion(self.query(F.embedding(of[0], final_users)), scoring, of[1], negatives)
        if not self._settings.reg:
            return value
        rows = [F.embedding(of[0], users), F.embedding(of[1], items)]
        if negatives is not None:
            rows.append(F.embedding(negatives, items))
        for each in rows:
            value = value + self._settings.reg / 2 / len(batch.users) * each.square().sum()
        return value

    def scorer(self) -> InnerProducts:
        """See `Trained`."""
        users, scoring = self.propagated(*self.initial())

        def queries(cases: Cases) -> Tensor:
            return self.query(users[torch.from_numpy(cases.users).to(users.device)])

        return InnerProducts(scoring, queries, users.shape[1], self.temperature())

    def initial(self) -> tuple[Tensor, Tensor]:
        """Rows of users [m, d] and items [n, d] before the propagation."""
        items, _ = self.table()
        return (self._link("mean", items).to_users(items) if self.users is None else self.users), items

    def propagated(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """(rows of users [m, d], rows that score [n, d], one column more where there is a bias)."""
        users, items = self.backbone.propagate(self._link("symmetric", items), users, items)
        return users, self.with_bias(F.normalize(items, dim=1) if self.table.unit_scoring else items)

    def _link(self, kind: str, like: Tensor) -> Links:
        """The graph's matrix on the device and in the precision of `like`, made once."""
        made = self._links.get(kind)
        if made is None or (made.matrix.device, made.matrix.dtype) != (like.device, like.dtype):
            made = self.graph.mean(like) if kind == "mean" else self.graph.symmetric(like)
            self._links[kind] = made
        return made


def build(experiment: spec.Experiment, train: Sequences, n_items: int, z: FloatArray | None = None) -> GraphRecommender:
    """The family's models; see `engine.models.registry.build`."""
    torch.manual_seed(experiment.seed)
    settings = cast(spec.GraphBackbone, experiment.backbone)
    backbone = load(settings.implementation)(settings)
    table = table_of(experiment, settings.width, n_items, z)
    return GraphRecommender(table, backbone, experiment, train, n_items)
