"""What a model has to offer: to be ranked, to be trained by the loop, or to be fitted in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias

import torch
from torch import Tensor, nn

from engine.data.arrays import IntArray
from engine.data.cases import Cases
from engine.models.item_table import ItemTable

Criterion: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""(h [N, c], rows [n, c], targets [N], negatives [N, k] or None) -> the mean loss of N targets; scores are h rows^T."""


class Scorer(Protocol):
    """A model as it is now, with what all cases share computed once."""

    def scores(self, cases: Cases) -> Tensor:
        """[B, n] of each case over the whole catalogue; the higher, the better."""


@dataclass(frozen=True)
class InnerProducts:
    """A scorer whose scores are inner products of a case's query with the items' rows.

    items:       [n, c]
    queries:     cases -> [B, c], divided by the temperature already
    width:       the leading columns of `items` that are vectors; a bias is one more, met by a 1 in the query
    temperature: tau
    """

    items: Tensor
    queries: Callable[[Cases], Tensor]
    width: int
    temperature: float

    def scores(self, cases: Cases) -> Tensor:
        return self.queries(cases) @ self.items.T


class Recommender(Protocol):
    """Everything that can be ranked."""

    def scorer(self) -> Scorer:
        """The model as it is now."""


class TrainingBatch(Protocol):
    """What one optimiser step is computed on; only the model that made it knows more."""

    @property
    def targets(self) -> IntArray:
        """[N] item indices; the batch's loss is a mean over them."""

    @property
    def size(self) -> int:
        """How many windows or pairs it has."""

    def parts(self, size: int) -> Iterator[Self]:
        """Batches of at most `size` windows or pairs that hold the batch together."""

    def dealt(self, count: int) -> Iterator[Self]:
        """At most `count` batches of like size that hold the batch together, none of them empty."""


class Trained(Protocol):
    """A torch module that the loop trains. Checkpoints hold its state dict, evaluation is without dropout."""

    training: bool

    @property
    def table(self) -> ItemTable | None:
        """None where the settings say that it has none."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""

    @property
    def n_targets(self) -> int:
        """Targets that one epoch can train on."""

    def begin_epoch(self, epoch: int) -> None:
        """Before the first batch of each epoch (numbered from 0), also after a resume."""

    def batches(self, epoch: int) -> Sequence[Iterable[TrainingBatch]]:
        """The batches of an epoch, each as something that gives its one batch when it is asked, so that a resumed
        epoch skips the first ones at no cost. They depend on seed and epoch alone."""

    def loss(self, batch: Any, criterion: Criterion) -> Tensor:
        """The mean of what the batch's targets cost, with whatever the model adds to it."""

    def scorer(self) -> InnerProducts:
        """The model as it is now, differentiable."""

    def parameters(self) -> Iterator[nn.Parameter]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...
    def train(self, mode: bool = True) -> Any: ...
    def to(self, device: torch.device) -> Any: ...
    def double(self) -> Any: ...


def item_table(model: Trained) -> ItemTable:
    """The item table of a model that has one. Raises ValueError where it has none."""
    if model.table is None:
        raise ValueError("this model has no item table")
    return model.table


class Fitted(Protocol):
    """A model with a closed form: no epochs, one point of the curve."""

    def fit(self) -> None:
        """Solve it for the training histories it was made with. Raises UserError where it cannot."""

    def scorer(self) -> Scorer:
        """The fitted model."""
