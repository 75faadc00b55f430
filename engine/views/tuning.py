"""A tuning as both fronts show it: the best trial of each arm, the spread of the others, the budget that was used."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.presets.spaces import decode_domains
from engine.presets.tuned import TunedDocument
from engine.queue.tuning.criteria import Criterion, criterion
from engine.records import TrialRecord, TuningRecord
from engine.store import Store
from engine.store.studies import runs_that_count


@dataclass(frozen=True)
class ArmTuning:
    """How far an arm is. `best` to `worst` are of its finished trials, None where there is none."""

    arm: str
    counts: Mapping[str, int]
    """Trials by state."""
    best: TrialRecord | None
    preset: float | None
    """Of trial 0, the arm as its presets have it."""
    median: float | None
    worst: float | None
    epochs: int
    """Trained by its trials in all."""
    wall_s: float
    own: tuple[str, ...]
    """Settings that it searches and another arm has not."""

    @property
    def ended(self) -> int:
        return sum(n for state, n in self.counts.items() if state != "open")


@dataclass(frozen=True)
class TuningView:
    """A tuning with its arms in order."""

    tuning: TuningRecord
    by: Criterion
    arms: tuple[ArmTuning, ...]
    shared: tuple[str, ...]
    """Settings that every arm searches."""

    def budget_text(self) -> str:
        """How "the same budget" is read, in one paragraph."""
        more = [f"{arm.arm} {', '.join(arm.own)}" for arm in self.arms if arm.own]
        besides = f"; besides: {'; '.join(more)}, within the same number of trials" if more else ""
        return (
            f"Budget: {self.tuning.budget} trials for every arm, the first of which is its preset. All arms search "
            f"{', '.join(self.shared) or 'nothing in common'}{besides}. Chosen by {self.by.text}; no trial reads the "
            "test split."
        )

    def to_json(self) -> dict[str, Any]:
        own = self.tuning.document() | {"name": self.tuning.name, "ended": self.tuning.has_ended}
        return own | {"results": [asdict(arm) for arm in self.arms]}


def tuned_document(store: Store, tuning: TuningRecord) -> TunedDocument:
    """The best settings of each arm as a tuned preset, with the trials that speak for them. Raises UserError where an
    arm has no finished trial, or trials are missing to its budget."""
    if not tuning.has_ended:
        raise UserError(f"{tuning.name}: has not ended; the command that began it goes on with it")
    view = tuning_view(store, tuning)
    arms: dict[str, dict[str, Any]] = {}
    evidence: dict[str, dict[str, Any]] = {}
    dataset, vectors = tuning.dataset, None
    for arm in view.arms:
        if arm.best is None:
            raise UserError(f"{tuning.name}: no trial of {arm.arm} has finished; `tfllmer tune show {tuning.name}`")
        arms[arm.arm] = dict(arm.best.values)
        counts = {state: arm.counts.get(state, 0) for state in ("finished", "pruned", "failed")}
        own = {"trial": arm.best.number, "run": arm.best.run, "value": arm.best.value, "preset": arm.preset}
        evidence[arm.arm] = own | counts
        run = runs_that_count(store, [arm.best.spec_hash]).get(arm.best.spec_hash)
        if run is not None:
            dataset, vectors = run.dataset, vectors or run.embedding
    return TunedDocument(
        meaning=f"{tuning.backbone} on {dataset}, {tuning.budget} trials an arm by {tuning.by}",
        dataset=dataset,
        backbone=tuning.backbone,
        embedding=vectors,
        by=tuning.by,
        trials=tuning.budget,
        seed=tuning.seed,
        space=tuning.space_hash,
        set=[*tuning.sets],
        arms=arms,
        evidence=evidence,
    )


def new_tuned_file(name: str) -> Path:
    """Where a tuned preset of that name is kept: `configs/tuned` of the working folder. Raises UserError where it is
    there already, or the name is none."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise UserError(f"{name}: letters, digits, dots, dashes and underscores, at most 100 of them")
    file = Path("configs") / "tuned" / f"{name}.yaml"
    if file.exists():
        raise UserError(f"{file}: is there already; remove it, or give another name")
    return file


def best_trial(tuning: TuningRecord, arm: str) -> TrialRecord | None:
    """The finished trial of the best value, the first of equals; None where none has finished."""
    finished = {
        trial.number: trial for trial in tuning.trials_of(arm) if trial.state == "finished" and trial.value is not None
    }
    best = criterion(tuning.by).best_of({number: t.value for number, t in finished.items() if t.value is not None})
    return None if best is None else finished[best]


def tuning_view(
    store: Store | None, tuning: TuningRecord, searched: Mapping[str, Collection[str]] | None = None
) -> TuningView:
    """What is known of a tuning, with the cost of its runs as far as the store has them. `searched`: the settings of
    each arm, where they are not to be read from its trials."""
    domains = decode_domains(tuning.domains)
    drawn = {arm: {name for trial in tuning.trials_of(arm) for name in trial.values} for arm in tuning.arms}
    own_names = drawn if searched is None else {arm: set(searched[arm]) for arm in tuning.arms}
    known = [names for names in own_names.values() if names]
    shared = set.intersection(*known) if known else set(domains)
    runs = {} if store is None else runs_that_count(store, [trial.spec_hash for trial in tuning.trials])
    arms = []
    for arm in tuning.arms:
        trials = tuning.trials_of(arm)
        own = {t.spec_hash: (t.stopped_at, runs[t.spec_hash]) for t in trials if t.spec_hash in runs}
        results = [(stopped, run.result or {}) for stopped, run in own.values()]
        by = criterion(tuning.by)
        values = sorted(
            (t.value for t in trials if t.state == "finished" and t.value is not None), reverse=by.higher_is_better
        )
        arms.append(
            ArmTuning(
                arm=arm,
                counts=dict(Counter(trial.state for trial in trials)),
                best=best_trial(tuning, arm),
                preset=next((t.value for t in trials if t.number == 0 and t.state == "finished"), None),
                median=statistics.median(values) if values else None,
                worst=values[-1] if values else None,
                epochs=sum(int(result.get("epochs") or stopped or 0) for stopped, result in results),
                wall_s=sum(float(result.get("wall_s") or 0.0) for _, result in results),
                own=tuple(name for name in domains if name in own_names[arm] - shared),
            )
        )
    return TuningView(tuning, criterion(tuning.by), tuple(arms), tuple(name for name in domains if name in shared))
