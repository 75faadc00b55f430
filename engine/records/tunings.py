"""A tuning: the trials of every arm, each of which is a run, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, get_args

from engine.records.decoding import flag, mapping, number, sequence, text, texts, whole

TUNED_BY = "tuned"
"""The name of a tuned preset among what a run has otherwise than its presets."""

TrialState: TypeAlias = Literal["open", "finished", "pruned", "failed"]
"""`pruned`: its curve was worse than the median of the trials before; `failed`: it has no value at all."""


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial of an arm: the settings that were drawn for it, and what came of its run. Number 0 is the arm as its
    presets have it."""

    arm: str
    number: int
    values: Mapping[str, Any]
    """The settings of the search space that the arm has, by whole name."""
    overrides: Mapping[str, Any]
    """All settings by which its run differs from its presets."""
    spec_hash: str
    config_hash: str
    state: TrialState = "open"
    value: float | None = None
    """The criterion; of a pruned trial what it had when it was pruned."""
    epoch: int | None = None
    """The epoch of that value."""
    stopped_at: int | None = None
    """The epoch at which it was pruned."""
    reason: str = ""
    run: str | None = None
    """The run that was judged."""

    @classmethod
    def decode(cls, document: object) -> TrialRecord | None:
        """None where it does not say which run it means."""
        stored = mapping(document)
        arm, at = text(stored.get("arm")), whole(stored.get("number"))
        spec_hash, config_hash = text(stored.get("spec_hash")), text(stored.get("config_hash"))
        if arm is None or at is None or spec_hash is None or config_hash is None:
            return None
        states: tuple[TrialState, ...] = get_args(TrialState)
        return cls(
            arm=arm,
            number=at,
            values=mapping(stored.get("values")),
            overrides=mapping(stored.get("overrides")),
            spec_hash=spec_hash,
            config_hash=config_hash,
            state=next((state for state in states if state == stored.get("state")), "open"),
            value=number(stored.get("value")),
            epoch=whole(stored.get("epoch")),
            stopped_at=whole(stored.get("stopped_at")),
            reason=text(stored.get("reason")) or "",
            run=text(stored.get("run")),
        )


@dataclass(frozen=True, slots=True)
class TuningRecord:
    """What a tuning is and how far it is. All arms share everything but the settings that only some of them have."""

    name: str
    dataset: str
    backbone: str
    embedding: str | None
    """As it was asked for; None where it was not."""
    arms: tuple[str, ...]
    by: str
    """The criterion: `valid_ce`, `valid.ndcg@10`, ..."""
    budget: int
    """Trials of every arm."""
    seed: int
    """Of the sampler and of the trials' runs."""
    startup: int
    """Trials drawn at random before the sampler learns; the preset's own is the first of them."""
    batch: int
    """Trials that are drawn together behind those, from all before them."""
    prunes: bool
    sets: tuple[str, ...]
    """Settings of all trials, `field=value`."""
    space: str
    """Name of the search space."""
    space_hash: str
    domains: Mapping[str, Any]
    """The space itself, as JSON."""
    trials: tuple[TrialRecord, ...] = ()
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def decode(cls, name: str, created: datetime, document: object) -> TuningRecord | None:
        """The tuning that was stored; None where there is none, or what makes it one is missing."""
        stored = mapping(document)
        dataset, backbone, by = (text(stored.get(key)) for key in ("dataset", "backbone", "by"))
        budget, seed, startup, batch = (whole(stored.get(key)) for key in ("budget", "seed", "startup", "batch"))
        if dataset is None or backbone is None or by is None:
            return None
        if budget is None or seed is None or startup is None or batch is None:
            return None
        trials = [TrialRecord.decode(each) for each in sequence(stored.get("trials"))]
        return cls(
            name=name,
            dataset=dataset,
            backbone=backbone,
            embedding=text(stored.get("embedding")),
            arms=texts(stored.get("arms")),
            by=by,
            budget=budget,
            seed=seed,
            startup=startup,
            batch=batch,
            prunes=flag(stored.get("prunes")) is not False,
            sets=texts(stored.get("sets")),
            space=text(stored.get("space")) or "",
            space_hash=text(stored.get("space_hash")) or "",
            domains=mapping(stored.get("domains")),
            trials=tuple(trial for trial in trials if trial is not None),
            created=created,
        )

    def document(self) -> dict[str, Any]:
        """As JSON; `decode` is the inverse."""
        own = asdict(self)
        del own["name"], own["created"]
        return own

    def trials_of(self, arm: str) -> tuple[TrialRecord, ...]:
        """Those of an arm, in the order in which they were drawn."""
        return tuple(sorted((t for t in self.trials if t.arm == arm), key=lambda trial: trial.number))

    @property
    def has_ended(self) -> bool:
        """Whether every arm has its budget of trials, each with its outcome."""
        ended = [trial.arm for trial in self.trials if trial.state != "open"]
        return all(ended.count(arm) >= self.budget for arm in self.arms)

    def with_trials(self, trials: Sequence[TrialRecord]) -> TuningRecord:
        """The same with these in place of those of their arm and number, and new ones behind."""
        changed = {(trial.arm, trial.number): trial for trial in trials}
        updated = [changed.pop((t.arm, t.number), t) for t in self.trials]
        return replace(self, trials=(*updated, *changed.values()))
