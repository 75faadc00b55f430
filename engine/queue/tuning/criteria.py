"""What a tuning chooses by: a curve of the validation split, or of the training sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import UserError, nearest
from engine.metrics import offered
from engine.store import Store, series

DEFAULT_BY = "valid.ndcg@10"
_LOSSES = {
    "valid_ce": "validation CE, at its lowest epoch",
    "train_ce": "training CE, at the last epoch",
}


@dataclass(frozen=True)
class Criterion:
    """A curve that runs report after every epoch, and how a run's value comes of it."""

    name: str
    """The series: `valid_ce`, `train_ce`, `valid.ndcg@10`."""
    higher_is_better: bool

    @property
    def text(self) -> str:
        """In words."""
        return _LOSSES.get(self.name, f"{self.name}, at its best epoch")

    def value(self, curve: Mapping[int, float]) -> tuple[int, float] | None:
        """The epoch that counts and the value there; None where no number was measured there."""
        if self.name == "train_ce":
            last = max(curve, default=0)
            return (last, curve[last]) if math.isfinite(curve.get(last, math.nan)) else None
        known = {epoch: value for epoch, value in curve.items() if math.isfinite(value)}
        sign = -1 if self.higher_is_better else 1
        best = min(known, key=lambda epoch: (sign * known[epoch], epoch), default=None)
        return None if best is None else (best, known[best])

    def best_of(self, values: Mapping[int, float]) -> int | None:
        """The key of the best value, the lowest of equals; None where there is none."""
        sign = -1 if self.higher_is_better else 1
        return min(values, key=lambda key: (sign * values[key], key), default=None)


def criterion(name: str) -> Criterion:
    """The criterion that a name means; `val` is short for valid. Raises UserError, also for the test split, which
    never chooses."""
    given = name.strip().lower()
    known = _known()
    if given in known:
        return known[given]
    plain = given.removeprefix("val_").removeprefix("valid_").removeprefix("val.")
    for whole in (given, f"valid.{plain}", f"valid_{plain}"):
        if given.startswith("val") and whole in known:
            return known[whole]
    if given.startswith("test") or f"valid.{given}" in known:
        raise UserError(f"--by {name}: the test split never chooses; say --by valid.{given.rpartition('.')[2]}")
    raise UserError(f"--by {name}: nothing chooses by this{nearest(given, known)}")


def _known() -> dict[str, Criterion]:
    ranked = [str(metric) for metric in offered() if metric.split == "valid"]
    return {name: Criterion(name, higher_is_better=False) for name in _LOSSES} | {
        name: Criterion(name, higher_is_better=True) for name in ranked
    }


def curve_of(store: Store, run_id: str, by: Criterion) -> dict[int, float]:
    """The criterion by whole epochs, as far as the run is; epoch 0 is before the first step."""
    values, epochs = series(store, run_id, by.name), series(store, run_id, "epoch")
    at = dict(zip(epochs.steps.tolist(), epochs.values.tolist(), strict=True))
    points = zip(values.steps.tolist(), values.values.tolist(), strict=True)
    return {int(at[step]): value for step, value in points if step in at and float(at[step]).is_integer()}
