"""Finished runs as statistics need them: record, specification, facts, and the files with the ranks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from engine import spec
from engine.errors import UserError
from engine.metrics import Metric, load_ranks, parse_metric, per_user, value_in
from engine.records import RunStatus
from engine.reports.stats.groups import BoolArray, user_groups
from engine.reports.stats.statistics import FloatArray
from engine.spec import Experiment

if TYPE_CHECKING:
    from engine.metrics.kinds import IntArray
    from engine.store import Run, Store

Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """One run. `files` holds ranks, split and items by kind, as far as the run has them."""

    record: Record
    experiment: Experiment
    facts: Mapping[str, Any]
    result: Mapping[str, Any]
    files: Mapping[str, Path]

    @property
    def run(self) -> str:
        return str(self.record["run"])

    @property
    def seed(self) -> int:
        return self.experiment.seed

    @property
    def config_hash(self) -> str:
        return str(self.record["config_hash"])

    def value(self, metric: Metric) -> float | None:
        """Any metric of it, from the record, else from its counts of ranks or its files; None where it has none."""
        known = metric.of(self.record)
        if known is not None:
            return known
        return value_in(metric, self.result, self.files.get("ranks"), self.files.get("top"))

    def measured(self, metrics: Sequence[str]) -> Record:
        """Its record with these metrics, as `leaderboards` takes it. Raises UserError where one is unknown."""
        record = {name: dict(v) if name in ("valid", "test") else v for name, v in self.record.items()}
        for metric in map(parse_metric, metrics):
            if metric.of(record) is None:
                put_value(record, metric, self.value(metric))
        return record

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The settings that the run reads (`spec.identity`), without the seed."""
        read = spec.identity(self.experiment)
        del read["seed"], read["version"]
        return read

    @cached_property
    def ranks(self) -> dict[str, IntArray]:
        """Raises UserError where the run has none, or they are damaged."""
        if "ranks" not in self.files:
            raise UserError(f"run {self.run}: has no ranks; only finished runs have them")
        return load_ranks(self.files["ranks"])

    def per_user(self, metric: Metric) -> FloatArray:
        """A ranking metric for every user of the split, nan where there is no target. Raises UserError."""
        if metric.split not in self.ranks:
            raise UserError(f"{self.files['ranks']}: has no ranks of {metric.split}; run the experiment again")
        return per_user(metric, self.ranks[metric.split])

    @cached_property
    def groups(self) -> dict[str, dict[str, BoolArray]]:
        """Groups of users by split (`user_groups`); empty where the files for it are missing. Raises UserError."""
        if "split" not in self.files or "items" not in self.files:
            return {}
        return {split: user_groups(self.files["split"], self.files["items"], split) for split in ("valid", "test")}

    def stopped_early(self) -> bool:
        """Whether its last training CE is not that of its last planned epoch."""
        curve = self.record.get("train_ce") or []
        return not curve or curve[-1]["epoch"] != self.experiment.train.epochs


def put_value(record: dict[str, Any], metric: Metric, value: float | None) -> None:
    """Where `Metric.of` looks for it."""
    if value is None:
        return
    if metric.is_curve:
        curve, point = record.setdefault(metric.measure.name, []), {"epoch": metric.at, "value": value}
        curve.insert(len(curve) if metric.at is None else 0, point)  # the one of the last epoch stays last
    else:
        record.setdefault(metric.split, {})[metric.key] = value


def evidence_of(store: Store, runs: Iterable[Run]) -> list[Evidence]:
    """The finished ones of these runs, the newest of each specification, oldest first."""
    from engine.store import artifacts, experiment_of, record

    newest = {run.spec_hash: run for run in sorted(runs, key=lambda run: run.id) if run.status == RunStatus.FINISHED}
    found = []
    for run in sorted(newest.values(), key=lambda run: run.id):
        root = store.folder(run.id).root
        files = {artifact.kind: root / artifact.path for artifact in artifacts(store, run.id)}
        found.append(Evidence(record(store, run), experiment_of(run), run.facts, run.result or {}, files))
    return found
