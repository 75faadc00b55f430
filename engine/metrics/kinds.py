"""What a metric is: how it is called, what it is computed from, which direction is better."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias, assert_never

from engine.metrics.curves import mean_level
from engine.records import RunResult

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray: TypeAlias = npt.NDArray[np.float64]
    IntArray: TypeAlias = npt.NDArray[np.int32]
    IndexArray: TypeAlias = npt.NDArray[np.int64]

Split: TypeAlias = Literal["test", "valid", "train"]
Direction: TypeAlias = Literal["higher", "lower", "neither"]
"""Which values are better; `neither` where a larger value is just another one."""

TOP = 20
"""How many items of each test user's list are kept."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class TopLists:
    """What a run recommends to its test users, and how often it has seen the items.

    items:      int32 [users, places], best first, -1 where a user has no list or a shorter one
    popularity: int64 [items] interactions of each item of the catalogue in the training split
    """

    items: IntArray
    popularity: IndexArray


@dataclass(frozen=True, kw_only=True)
class _Named:
    name: str
    """As a person types it: lower case letters, digits and underscores."""
    title: str
    """As people write it: `NDCG`."""
    direction: Direction
    about: str
    """What it says, in one sentence."""
    formula: str
    source: str
    """Where the definition is from."""
    digits: int = 4
    """Decimals that tables show."""
    splits: ClassVar[tuple[Split, ...]]
    """What it can be measured on, the one that a bare name means first."""
    artifact: ClassVar[str | None]
    """The kind of file that it is computed from; None where it is in the result."""
    highest_cutoff: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"metric {self.name!r}: a name has lower case letters, digits and underscores")


@dataclass(frozen=True, kw_only=True)
class RankMeasure(_Named):
    """The mean over users of a gain of the rank of their target (1 = best)."""

    gain: Callable[[FloatArray, int | None], FloatArray]
    """(ranks, cut-off) to gains of the same shape; 0 behind the cut-off."""
    cutoff: Literal["required", "optional"] = "required"
    splits = ("test", "valid")
    artifact = "ranks"

    @property
    def forms(self) -> tuple[str, ...]:
        """How it is written, `K` for a cut-off."""
        bare = () if self.cutoff == "required" else (self.name,)
        return (*bare, f"{self.name}@K")


@dataclass(frozen=True, kw_only=True)
class ListMeasure(_Named):
    """A number of the first places of all test users' top lists; it always has a cut-off."""

    value: Callable[[TopLists], float]
    """Of lists that are cut already."""
    cutoff: ClassVar[Literal["required"]] = "required"
    highest_cutoff = TOP
    splits = ("test",)
    artifact = "top"

    @property
    def forms(self) -> tuple[str, ...]:
        """How it is written, `K` for a cut-off."""
        return (f"{self.name}@K",)


@dataclass(frozen=True, kw_only=True)
class CurveMeasure(_Named):
    """A curve that is measured once an epoch, read at an epoch or at its end, or its mean level up to there."""

    curve: str
    """The name of the curve in the result."""
    mean: bool = False
    cutoff: ClassVar[None] = None
    splits = ("train",)
    artifact = None

    @property
    def forms(self) -> tuple[str, ...]:
        """How it is written."""
        return (self.name, f"{self.name}@EPOCH")


Measure: TypeAlias = RankMeasure | ListMeasure | CurveMeasure


@dataclass(frozen=True)
class Metric:
    """One number of a finished run: a measure, of what, and where it is cut or read."""

    measure: Measure
    split: Split
    at: int | None = None
    """The cut-off; of a curve the epoch, None for the last one."""

    def __str__(self) -> str:
        """The full name: `test.ndcg@10`, `train_ce@20`."""
        return self.key if self.is_curve else f"{self.split}.{self.key}"

    @property
    def key(self) -> str:
        """The name among the metrics of its split: `ndcg@10`."""
        return self.measure.name if self.at is None else f"{self.measure.name}@{self.at}"

    @property
    def is_curve(self) -> bool:
        return isinstance(self.measure, CurveMeasure)

    @property
    def has_users(self) -> bool:
        """Whether every user has a value of their own."""
        return isinstance(self.measure, RankMeasure)

    @property
    def direction(self) -> Direction:
        return self.measure.direction

    @property
    def higher_is_better(self) -> bool | None:
        """None where neither direction is better."""
        return None if self.direction == "neither" else self.direction == "higher"

    @property
    def short(self) -> str:
        """In few words: `test NDCG@10`, `train CE`."""
        if self.is_curve:
            return self.measure.title
        return f"{self.split} {self.measure.title}" + ("" if self.at is None else f"@{self.at}")

    @property
    def title(self) -> str:
        """In full: `test NDCG@10`, `train CE at epoch 20`."""
        if not isinstance(self.measure, CurveMeasure):
            return self.short
        if self.measure.mean:
            return f"{self.short} over all epochs" if self.at is None else f"{self.short} up to epoch {self.at}"
        return f"{self.short} at the last epoch" if self.at is None else f"{self.short} at epoch {self.at}"

    def of(self, result: RunResult) -> float | None:
        """Its value among those that a result holds by their names; None where it has none."""
        match self.split:
            case "train":
                return self._of_curve(result)
            case "valid":
                return result.valid.get(self.key)
            case "test":
                return result.test.get(self.key)
            case _:
                assert_never(self.split)

    def _of_curve(self, result: RunResult) -> float | None:
        assert isinstance(self.measure, CurveMeasure)
        if not self.measure.mean:
            return result.last_train_ce if self.at is None else result.train_ce_at(self.at)
        if self.key in result.train:
            return result.train[self.key]
        if self.at is not None and result.train_ce_at(self.at) is None:
            return None
        points = [point for point in result.train_ce if self.at is None or point.epoch <= self.at]
        known = [(point.epoch, point.value) for point in points if point.value is not None]
        return mean_level(known) if len(known) == len(points) else None

    def text(self, value: float) -> str:
        """A value as tables show it."""
        return f"{value:.{self.measure.digits}f}"

    def difference(self, value: float) -> str:
        """A difference as tables show it, with its sign."""
        return f"{value:+.{self.measure.digits}f}"

    def better(self, difference: float) -> bool | None:
        """Whether a value is better that is larger by so much; None where neither direction is better, or it is 0."""
        if self.direction == "neither" or difference == 0:
            return None
        return (difference > 0) == (self.direction == "higher")
