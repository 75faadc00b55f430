"""What all graph models share: batches of edges, their loss, and scores by the rows of users and items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from engine import spec
from engine.data.arrays import IntArray
from engine.data.cases import Cases
from engine.models.base import Criterion, InnerProducts
from engine.models.bipartite import BipartiteGraph
from engine.models.transfer import sent

_ORDER, _NEGATIVES = 0, 1  # streams of the random generator


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

    @property
    def size(self) -> int:
        """N."""
        return len(self.users)

    def dealt(self, count: int) -> Iterator[Pairs]:
        """At most `count` batches that hold the batch together, none empty."""
        return self.parts(-(-len(self.users) // count))

    def parts(self, size: int) -> Iterator[Pairs]:
        """Batches of at most `size` pairs that hold the batch together."""
        for first in range(0, len(self.users), size):
            part = slice(first, first + size)
            negatives = None if self.negatives is None else self.negatives[part]
            yield Pairs(self.users[part], self.targets[part], negatives)


@dataclass(frozen=True)
class NodeRows:
    """users [m, c] and items [n, c]: the rows that meet in a score, one column of the items' more where there is a
    bias. penalised: the rows of users and of items whose squares the loss adds. masked: nodes, users first, whose
    initial rows were masked in this step of training."""

    users: Tensor
    items: Tensor
    penalised: tuple[Tensor, Tensor]
    masked: Tensor | None = None


class EdgeTrained(ABC):
    """The part of `Trained` that a model of users' and items' nodes has from its graph.

    The query of a case is its user's row, whatever the case's history. Edges are the interactions of training, for
    validation and for test: the model is transductive, as published, and its rows do not change when an item is held
    out.
    """

    graph: BipartiteGraph
    experiment: spec.Experiment
    reg: float
    users_alike: bool = False
    """Whether an epoch draws users, all alike, in place of going through the edges."""

    @abstractmethod
    def rows(self) -> NodeRows:
        """The rows as they are now."""

    @abstractmethod
    def query(self, h: Tensor) -> Tensor:
        """Rows of users [N, c] -> what the items' rows are multiplied with."""

    @abstractmethod
    def temperature(self) -> float:
        """tau, which `query` has divided by."""

    def extra_loss(self, rows: NodeRows, users: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor | None:
        """What the model adds to the loss of pairs [N] beside the squares; None where it adds nothing."""
        return None

    @property
    def n_items(self) -> int:
        """See `Trained`."""
        return self.graph.n_items

    @property
    def n_targets(self) -> int:
        """See `Trained`: as many as the graph has edges."""
        return len(self.graph.items)

    def batches(self, epoch: int) -> list[Iterator[Pairs]]:
        """See `Trained`: the edges in a new order each epoch, or users drawn with replacement, each with one of its
        edges; negatives are drawn from the items without an edge to the user."""
        seed, size = self.experiment.seed, self.experiment.train.batch_size
        k = self.experiment.train.loss.n_negatives
        generator = np.random.default_rng([seed, epoch, _ORDER])
        n_edges = len(self.graph.items)
        order = self.graph.draw_edges(n_edges, generator) if self.users_alike else generator.permutation(n_edges)

        def build(number: int) -> Iterator[Pairs]:
            chosen = order[number * size : (number + 1) * size]
            users, targets = self.graph.users[chosen], self.graph.items[chosen]
            generator = np.random.default_rng([seed, epoch, _NEGATIVES, number])
            yield Pairs(users, targets, self.graph.draw_negatives(users, targets, k, generator) if k else None)

        return [build(number) for number in range(-(-len(order) // size))]

    def loss(self, batch: Pairs, criterion: Criterion) -> Tensor:
        """See `Trained`. Added is reg / 2 times the mean over the pairs of |e_u|^2 + |e_i|^2 + the negatives' |e_j|^2,
        all of them penalised rows."""
        rows = self.rows()
        device = rows.users.device
        of = [sent(batch.users, device), sent(batch.targets, device)]
        negatives = None if batch.negatives is None else sent(batch.negatives, device)
        value = criterion(self.query(F.embedding(of[0], rows.users)), rows.items, of[1], negatives)
        extra = self.extra_loss(rows, of[0], of[1], negatives)
        if extra is not None:
            value = value + extra
        if not self.reg:
            return value
        users, items = rows.penalised
        penalised = [F.embedding(of[0], users), F.embedding(of[1], items)]
        if negatives is not None:
            penalised.append(F.embedding(negatives, items))
        for each in penalised:
            value = value + self.reg / 2 / len(batch.users) * each.square().sum()
        return value

    def scorer(self) -> InnerProducts:
        """See `Trained`."""
        rows = self.rows()

        def queries(cases: Cases) -> Tensor:
            return self.query(rows.users[sent(cases.users, rows.users.device)])

        return InnerProducts(rows.items, queries, rows.users.shape[1], self.temperature())
