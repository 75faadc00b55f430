"""Finished runs as statistics need them: record, specification, facts, and the files with the ranks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import spec
from engine.errors import UserError
from engine.metrics import Metric, load_ranks, parse_metric, per_user, value_in, with_values
from engine.records import RunFacts, RunRecord, RunResult, RunStatus
from engine.reports.boards.budgets import budget_of, shared_of
from engine.reports.stats.groups import BoolArray, user_groups
from engine.reports.stats.statistics import FloatArray
from engine.spec import Experiment

if TYPE_CHECKING:
    from engine.metrics.kinds import IntArray
    from engine.store import Run, Store


@dataclass(frozen=True)
class Evidence:
    """One run. `files` holds ranks, split and items by kind, as far as the run has them."""

    record: RunRecord
    experiment: Experiment
    facts: RunFacts
    files: Mapping[str, Path]

    @property
    def run(self) -> str:
        return self.record.id

    @property
    def result(self) -> RunResult:
        return self.record.result

    @property
    def seed(self) -> int:
        return self.experiment.seed

    @property
    def config_hash(self) -> str:
        return self.record.config_hash

    @property
    def row_length(self) -> float | None:
        """Root mean square length of its raw initial rows (`spec.initial_row_length`); None where it is not known."""
        return _row_length(self.experiment, self.facts)

    def value(self, metric: Metric) -> float | None:
        """Any metric of it, from the record, else from its counts of ranks or its files; None where it has none."""
        return value_in(metric, self.result, self.files.get("ranks"), self.files.get("top"))

    def measured(self, metrics: Sequence[str]) -> RunRecord:
        """Its record with these metrics, as `leaderboards` takes it. Raises UserError where one is unknown."""
        values = {metric: self.value(metric) for metric in map(parse_metric, metrics)}
        return replace(self.record, result=with_values(self.result, values))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The settings that the run reads (`spec.identity`), without the seed."""
        settings = spec.identity(self.experiment)
        settings.pop("seed", None)  # a closed form has none
        del settings["version"]
        return settings

    @property
    def has_ranks(self) -> bool:
        """Whether the ranks of its users are here; an archive may have come without."""
        return "ranks" in self.files and self.files["ranks"].is_file()

    @cached_property
    def ranks(self) -> dict[str, IntArray]:
        """Raises UserError where the run has none, or they are damaged."""
        if not self.has_ranks:
            raise UserError(f"run {self.run}: {NO_RANKS}")
        return load_ranks(self.files["ranks"])

    def per_user(self, metric: Metric) -> FloatArray:
        """A ranking metric for every user of the split, nan where there is no target. Raises UserError."""
        if metric.split not in self.ranks:
            raise UserError(f"{self.files['ranks']}: has no ranks of {metric.split}; run the experiment again")
        return per_user(metric, self.ranks[metric.split])

    @cached_property
    def groups(self) -> dict[str, dict[str, BoolArray]]:
        """Groups of users by split (`user_groups`); empty where the files for it are not here: an archive may have come
        without. Raises UserError."""
        if not all(name in self.files and self.files[name].is_file() for name in ("split", "items")):
            return {}
        return {split: user_groups(self.files["split"], self.files["items"], split) for split in ("valid", "test")}

    def stopped_early(self) -> bool:
        """Whether its last training CE is not that of its last planned epoch, or of the one in which it converged."""
        if not self.experiment.backbone.is_trained:
            return False
        curve = self.result.train_ce
        converged = isinstance(self.experiment.train.until, spec.Converged)
        return not curve or (curve[-1].epoch != self.experiment.train.epochs and not converged)


NO_SPLIT = "the split is not here: archives that were made with --slim leave it out"
NO_RANKS = "has no ranks here: only finished runs have them, and no archive that was made with --no-ranks"


def evidence_of(store: Store, runs: Iterable[Run]) -> list[Evidence]:
    """The finished ones of these runs, the newest of each specification, oldest first."""
    from engine.store import artifact_files, experiment_of, facts_of, record

    newest = {run.spec_hash: run for run in sorted(runs, key=lambda run: run.id) if run.status == RunStatus.FINISHED}
    evidence = []
    for run in sorted(newest.values(), key=lambda run: run.id):
        experiment = experiment_of(run)
        facts = facts_of(run)
        own = replace(
            record(store, run),
            budget=budget_of(experiment),
            shared=shared_of(experiment),
            row_length=_row_length(experiment, facts),
        )
        evidence.append(Evidence(own, experiment, facts, artifact_files(store, run.id)))
    return evidence


def _row_length(experiment: Experiment, facts: RunFacts) -> float | None:
    norms = {} if facts.geometry is None else facts.geometry.norms
    return spec.initial_row_length(
        inject=experiment.table.inject.kind,
        measured=facts.row_length,
        given=experiment.row_length,
        mean=norms.get("mean"),
        cv=norms.get("cv"),
    )
