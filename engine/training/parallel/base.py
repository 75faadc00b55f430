"""What the loop asks of the processes of a run. A run in one process has `ALONE`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor

from engine.data import Sequences
from engine.data.cases import Cases
from engine.files import write_bytes
from engine.metrics import TopLists
from engine.models.base import Criterion, Scorer, Trained, TrainingBatch
from engine.training import checkpoint, ranking
from engine.training.ranking import Ranks
from engine.training.top_lists import top_lists

T = TypeVar("T")


class Parallel(Protocol):
    """The processes of one run, as one of them sees them. All of them call the same methods in the same order; the
    first one, of rank 0, decides, and alone writes files and records."""

    rank: int

    def seed(self, seed: int) -> None:
        """Behind the building of a model, which all processes draw alike: random numbers of its own from here on, for
        dropout. The first process keeps those that it has."""

    def from_first(self, work: Callable[[], T]) -> T:
        """What `work` returns in the first process, which alone does it, while the others wait for it."""

    def losses(
        self, model: Trained, batch: TrainingBatch, criterion: Criterion, micro_batch: int | None
    ) -> Iterator[Tensor]:
        """Losses to take the gradient of, each before the next one is asked for. Over all processes they add up to the
        mean over the batch's targets, and the gradients left behind are those of this sum, in each process."""

    def total(self, loss: Tensor) -> float:
        """The sum over the processes."""

    def decided(self, *wishes: bool) -> tuple[bool, ...]:
        """The wishes of the first process."""

    def evaluate(self, scorer: Scorer, cases: Cases, mask_seen: bool) -> tuple[Ranks, float]:
        """See `ranking.evaluate`; the same in every process."""

    def top_lists(self, scorer: Scorer, cases: Cases, mask_seen: bool, train: Sequences) -> TopLists:
        """See `top_lists.top_lists`; the same in every process."""

    def all_items(self, rows: Tensor) -> Tensor:
        """Rows of the whole catalogue [n, c] of those that a scorer has here."""

    def save(self, path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """A checkpoint that one process could go on from, or any other number of them."""

    def write(self, path: Path, block: bytes) -> None:
        """A file that the first process alone writes."""

    def own(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """What of a checkpoint's tensors is this process's."""


class SingleProcess:
    """A run in one process."""

    rank = 0

    def seed(self, seed: int) -> None: ...

    def from_first(self, work: Callable[[], T]) -> T:
        return work()

    def losses(
        self, model: Trained, batch: TrainingBatch, criterion: Criterion, micro_batch: int | None
    ) -> Iterator[Tensor]:
        for part in [batch] if micro_batch is None else batch.parts(micro_batch):
            yield model.loss(part, criterion) * (len(part.targets) / len(batch.targets))

    def total(self, loss: Tensor) -> float:
        return float(loss)

    def decided(self, *wishes: bool) -> tuple[bool, ...]:
        return wishes

    def evaluate(self, scorer: Scorer, cases: Cases, mask_seen: bool) -> tuple[Ranks, float]:
        return ranking.evaluate(scorer, cases, mask_seen)

    def top_lists(self, scorer: Scorer, cases: Cases, mask_seen: bool, train: Sequences) -> TopLists:
        return top_lists(scorer, cases, mask_seen, train)

    def all_items(self, rows: Tensor) -> Tensor:
        return rows

    def save(self, path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        checkpoint.write(path, tensors, about)

    def write(self, path: Path, block: bytes) -> None:
        write_bytes(path, block)

    def own(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return tensors


ALONE = SingleProcess()
