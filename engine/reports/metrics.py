"""Names of metrics, and where a run's record keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import UserError, nearest

CUTOFFS = (5, 10, 20)
MEASURES = (*(f"{kind}@{k}" for kind in ("hr", "ndcg") for k in CUTOFFS), "mrr")
"""The ranking metrics that every record holds, for valid and for test."""

NAMES = (*(f"{split}.{measure}" for split in ("test", "valid") for measure in MEASURES), "train_ce")
"""Every metric by its full name; `train_ce@EPOCH` besides."""

_CE = "train_ce"


@dataclass(frozen=True)
class Metric:
    """One number of a finished run: a ranking metric at the best validation epoch, or the training CE."""

    split: Literal["test", "valid", "train"]
    measure: str
    """`ndcg@10`, `hr@5`, `mrr`; `ce` for the training cross-entropy."""
    epoch: int | None = None
    """Only for `ce`: the epoch it is read at; None is the last one."""

    def __str__(self) -> str:
        if self.split == "train":
            return _CE if self.epoch is None else f"{_CE}@{self.epoch}"
        return f"{self.split}.{self.measure}"

    @property
    def higher_is_better(self) -> bool:
        return self.split != "train"

    @property
    def title(self) -> str:
        """As people write it: `test NDCG@10`, `train CE at epoch 20`."""
        if self.split == "train":
            return "train CE at the last epoch" if self.epoch is None else f"train CE at epoch {self.epoch}"
        return f"{self.split} {self.measure.upper()}"

    def of(self, record: Mapping[str, Any]) -> float | None:
        """Its value in a run's record; None where the run did not measure it."""
        if self.split != "train":
            value = (record.get(self.split) or {}).get(self.measure)
            return None if value is None else float(value)
        curve = record.get(_CE) or []
        if self.epoch is not None:
            curve = [point for point in curve if point["epoch"] == self.epoch]
        return float(curve[-1]["value"]) if curve else None


def parse_metric(name: str) -> Metric:
    """The metric that a name means: `test.ndcg@10`, `valid.hr@20`, `test.mrr`, `train_ce`, `train_ce@20`.

    A bare `ndcg@10` means test. Upper and lower case are the same. Raises UserError with the nearest
    name where there is no such metric.
    """
    given = name.strip().lower()
    if given == _CE:
        return Metric("train", "ce")
    kind, _, epoch = given.partition("@")
    if kind == _CE:
        if epoch.isascii() and epoch.isdigit():
            return Metric("train", "ce", int(epoch))
        raise UserError(f"metric {name!r}: {epoch!r} is no epoch; write train_ce@20, or train_ce for the last epoch")
    split, dot, measure = given.rpartition(".")
    if measure in MEASURES:
        if split == "valid":
            return Metric("valid", measure)
        if split == "test" or not dot:
            return Metric("test", measure)
    raise UserError(f"no metric {name!r}{nearest(given, NAMES if dot else (*MEASURES, _CE))}")
