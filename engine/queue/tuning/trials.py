"""Trials as runs: drawn, queued, judged by their curves, pruned. What is decided is stored before it is acted upon.

Trials are drawn in batches: the first at random, each later one from all trials of the batches before it. A curve is
compared with those batches only. So what is drawn and how it is judged depends on the seed and on what the runs
computed, not on how many workers there are, how fast they are, or who was killed in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any, assert_never

from engine.errors import UserError
from engine.files import held
from engine.presets import Cell, resolve
from engine.presets.compose import Resolved
from engine.presets.files import Setting
from engine.presets.spaces import Choices, Domain, decode_domains
from engine.queue.actions import cancel
from engine.queue.fleet import somebody_works
from engine.queue.studies import go_on, make_run
from engine.queue.tuning import sampling
from engine.queue.tuning.criteria import criterion, curve_of
from engine.queue.tuning.sampling import Tried
from engine.records import RunStatus, StudyRecord, TrialRecord, TuningRecord
from engine.spec import flat
from engine.store import Run, Store, set_status
from engine.store.studies import runs_that_count
from engine.store.teachers import with_teacher
from engine.store.tunings import save_tuning, stored_tuning

PRUNED = "pruned by tuning"
"""How the reason of a pruned run begins."""
_BLIND = ("evaluate.test=false", "evaluate.curvature=0")
"""What all trials have: the test split is not read, and nothing is measured that does not choose."""
_WARMUP = 4
"""No curve is judged in the first of so many parts of its epochs."""
_ATTEMPTS = 200
_LEARNS = 50
"""Draws that were there already, or do not fit together, before the sampler draws at random."""
_FIXED = {
    "dataset": "--dataset",
    "backbone": "--backbone",
    "embedding": "--embedding",
    "by": "--by",
    "seed": "--seed",
    "startup": "--startup",
    "batch": "--batch",
    "prunes": "--no-prune",
    "sets": "--set",
    "space_hash": "search space",
}
"""What stays as long as a tuning goes on, and how a person says it."""


def begun(store: Store | None, asked: TuningRecord) -> TuningRecord:
    """The tuning that goes on under the name of the one that is asked for, with its trials, else that one itself.

    More trials and further arms may be asked for than before; then all arms get the larger budget. Raises UserError
    for anything else that differs.
    """
    before = None if store is None else stored_tuning(store, asked.name)
    if before is None:
        return asked
    for name, called in _FIXED.items():
        was, wanted = getattr(before, name), getattr(asked, name)
        if was != wanted:
            change = f" ({_word(was)}, not {_word(wanted)})" if called.startswith("--") else ""
            raise UserError(f"--name {asked.name}: was begun with another {called}{change}; give a new name")
    arms = tuple(dict.fromkeys([*before.arms, *asked.arms]))
    return replace(before, arms=arms, budget=max(before.budget, asked.budget))


def _word(value: Any) -> str:
    return " ".join(value) or "none" if isinstance(value, tuple) else str(value)


def domains_of(tuning: TuningRecord) -> dict[str, dict[str, Domain]]:
    """The part of the search space that each arm has, by arm; what only some arms have comes last, so that what is
    drawn at random for the rest is the same for all. Raises UserError where an arm does not fit, has no setting of the
    space, or --set gives one."""
    domains = decode_domains(tuning.domains)
    given = {text.partition("=")[0].strip() for text in tuning.sets}
    for name in domains:
        if name in given or name.rpartition(".")[2] in given:
            raise UserError(f"--set {name}: the search space has it; leave one of them out")
    read = {arm: _read_by(tuning, arm, domains) for arm in tuning.arms}
    shared = set.intersection(*map(set, read.values()))
    parts = {}
    for arm, names in read.items():
        if not names:
            raise UserError(f"--method {arm}: reads no setting of the search space {tuning.space}")
        order = sorted(names, key=lambda name: (name not in shared, name))  # whatever the order they were stored in
        parts[arm] = {name: domains[name] for name in order}
        if all(isinstance(domain, Choices) for domain in parts[arm].values()):
            room = math.prod(len(domain.values) for domain in parts[arm].values() if isinstance(domain, Choices))
            if room < tuning.budget - 1:
                raise UserError(
                    f"--trials {tuning.budget}: the search space {tuning.space} has {room} different settings of {arm}"
                )
    return parts


def _read_by(tuning: TuningRecord, arm: str, domains: Mapping[str, Domain]) -> list[str]:
    own = flat(resolved_arm(tuning, arm, {}).experiment)
    there = {name: own[name] for name in domains if name in own}
    unread = resolved_arm(tuning, arm, there).unread
    return [name for name in there if name not in unread]


def resolved_arm(tuning: TuningRecord, arm: str, values: Mapping[str, Any]) -> Resolved:
    """A trial's specification. Raises UserError where its settings do not fit together."""
    method, _, ablation = arm.partition("/")
    return resolve(
        method=method,
        ablation=ablation or None,
        dataset=tuning.dataset,
        backbone=tuning.backbone,
        embedding=tuning.embedding,
        seed=tuning.seed,
        settings={name: Setting(value, f"search space {tuning.space}") for name, value in values.items()},
        sets=[*tuning.sets, *_BLIND],
    )


def cell_of(tuning: TuningRecord, trial: TrialRecord) -> Cell:
    """A trial as the cell of a study."""
    found = resolved_arm(tuning, trial.arm, trial.values if trial.number else {})
    axes: dict[str, Any] = {"dataset": tuning.dataset, "backbone": tuning.backbone, "arm": trial.arm}
    axes |= {"seed": tuning.seed, "trial": trial.number}
    axes |= {"embedding": tuning.embedding} if tuning.embedding else {}
    return Cell(axes, found.experiment, found.overrides)


class Tuner:
    """Takes a tuning forward, one `step` at a time; any process may stop between two of them and another go on."""

    def __init__(self, store: Store, tuning: TuningRecord, *, priority: int = 0, retry_failed: bool = False) -> None:
        failed = [
            replace(trial, state="open", reason="")
            for trial in tuning.trials
            if retry_failed and trial.state == "failed"
        ]
        self.tuning = tuning.with_trials(failed)
        self._store, self._priority = store, priority
        self._by = criterion(tuning.by)
        self.searched = domains_of(tuning)
        self._first = True
        self._cells: dict[tuple[str, int], Cell] = {}
        self._curves: dict[str, dict[int, float]] = {}
        """Of judged runs, which do not change any more."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One tuner of a name at a time. Raises UserError where another is at it."""
        lock = self._store.make_files() / f"tuning-{self.tuning.name}.lock"
        with held(lock) as mine:
            if not mine:
                raise UserError(f"{self.tuning.name}: another process goes on with this tuning already")
            yield

    @cached_property
    def _epochs(self) -> int:
        arm = self.tuning.arms[0]
        return resolved_arm(self.tuning, arm, {}).experiment.train.epochs

    def step(self) -> bool:
        """Judge what has ended or goes badly, draw what comes next and queue it; whether all is done and no run of a
        trial is left to end. Raises UserError where no trial of an arm's first batch came to a value."""
        runs = self._runs()
        judged = [self._judged(trial, runs.get(trial.spec_hash)) for trial in self._open()]
        if ended := [trial for trial in judged if trial.state != "open"]:
            self._save(self.tuning.with_trials(ended))
        drawn = [trial for arm in self.tuning.arms for trial in self._drawn(arm)]
        study = self._save(self.tuning.with_trials(drawn)) if drawn or self._first else None
        runs = self._runs() if drawn else runs
        self._queue(study, runs)
        waits = self._end_pruned(runs)
        self._first = False
        return self.tuning.has_ended and not waits

    def cells(self) -> list[Cell]:
        """The trials without an outcome yet."""
        return [self._cell(trial) for trial in self._open()]

    def _cell(self, trial: TrialRecord) -> Cell:
        key = trial.arm, trial.number
        if key not in self._cells:
            self._cells[key] = cell_of(self.tuning, trial)
        return self._cells[key]

    def _runs(self) -> dict[str, Run]:
        return runs_that_count(self._store, [trial.spec_hash for trial in self.tuning.trials])

    def _open(self) -> list[TrialRecord]:
        return [trial for trial in self.tuning.trials if trial.state == "open"]

    def _save(self, tuning: TuningRecord) -> StudyRecord:
        self.tuning = tuning
        return save_tuning(self._store, tuning)

    # -------------------------------------------------------------------------------- judging

    def _judged(self, trial: TrialRecord, run: Run | None) -> TrialRecord:
        """The trial with its outcome; as it is where it has none yet."""
        if run is None:
            return trial
        curve = curve_of(self._store, run.id, self._by)
        trial = replace(trial, run=run.id)
        if (at := self._pruned_at(trial, curve)) is not None:
            epoch, value = self._by.value({e: level for e, level in curve.items() if e <= at}) or (at, None)
            shown = "no number" if value is None else f"{value:.4g}"
            why = f"{PRUNED} {self.tuning.name} at epoch {at}: {self._by.name} {shown}, worse than half of its trials"
            return replace(trial, state="pruned", value=value, epoch=epoch, stopped_at=at, reason=why)
        return self._outcome(trial, run, curve)

    def _outcome(self, trial: TrialRecord, run: Run, curve: Mapping[int, float]) -> TrialRecord:
        """What the end of its run makes of a trial that is not pruned."""
        failed = replace(trial, state="failed", reason=run.reason)
        match run.status:
            case RunStatus.FINISHED:
                if (found := self._by.value(curve)) is None:
                    return replace(failed, reason=f"it has no {self._by.name}")
                return replace(trial, state="finished", epoch=found[0], value=found[1])
            case RunStatus.FAILED:
                return trial if self._first else failed
            case RunStatus.CANCELLED:
                given_up = run.cancel_requested and not self._first and not run.reason.startswith(PRUNED)
                return failed if given_up else trial
            case RunStatus.QUEUED | RunStatus.RUNNING | RunStatus.LOST:
                return trial
            case _:
                assert_never(run.status)

    def _pruned_at(self, trial: TrialRecord, curve: Mapping[int, float]) -> int | None:
        """A curve that has reached its last epoch is not pruned there."""
        if not self.tuning.prunes:
            return None
        before_the_end = {epoch: value for epoch, value in curve.items() if epoch < self._epochs}
        warmup = max(1, -(-self._epochs // _WARMUP))
        return sampling.pruned_at(self._by, before_the_end, self._history(trial.arm, trial.number), warmup=warmup)

    def _history(self, arm: str, number: int) -> list[Tried]:
        """The arm's trials of the batches before that of a number."""
        start = self._start_of_batch(number)
        return [self._tried(trial) for trial in self.tuning.trials_of(arm) if trial.number < start]

    def _start_of_batch(self, number: int) -> int:
        startup, batch = self.tuning.startup, self.tuning.batch
        return 0 if number < startup else startup + (number - startup) // batch * batch

    def _tried(self, trial: TrialRecord) -> Tried:
        if trial.run is not None and trial.run not in self._curves:
            self._curves[trial.run] = curve_of(self._store, trial.run, self._by)
        curve = self._curves.get(trial.run or "", {})
        if trial.state == "pruned":  # how far it went beyond that is a matter of time
            curve = {epoch: value for epoch, value in curve.items() if epoch <= (trial.stopped_at or 0)}
        return Tried(trial.values, trial.value, curve, pruned=trial.state == "pruned")

    # -------------------------------------------------------------------------------- drawing

    def _drawn(self, arm: str) -> list[TrialRecord]:
        """The arm's next batch, once that before it has ended."""
        there = self.tuning.trials_of(arm)
        if any(trial.state == "open" for trial in there):
            return []
        batch: list[TrialRecord] = []
        if there and all(trial.state == "failed" for trial in there):
            raise UserError(f"{arm}: no trial came to a value; the first: {there[0].reason}")
        while len(there) + len(batch) < self._until(len(there)):
            batch.append(self._draw(arm, [*there, *batch]))
        return batch

    def _until(self, number: int) -> int:
        """Where the batch of a number ends, or the budget does."""
        startup, batch = self.tuning.startup, self.tuning.batch
        end = startup if number < startup else self._start_of_batch(number) + batch
        return min(end, self.tuning.budget)

    def _draw(self, arm: str, there: Sequence[TrialRecord]) -> TrialRecord:
        number = len(there)
        if number == 0:
            found = resolved_arm(self.tuning, arm, {})
            return self._trial(arm, 0, found)
        known = {trial.spec_hash for trial in there}
        refused = ""
        for attempt in range(_ATTEMPTS):
            history = self._history(arm, number) if attempt < _LEARNS else []
            seed = sampling.seed_of(self.tuning.seed, number, attempt)
            values = sampling.draw(self.searched[arm], self._by, history, seed=seed, startup=self.tuning.startup)
            try:
                found = resolved_arm(self.tuning, arm, values)
            except UserError as error:  # what does not fit together is drawn again
                refused = f"; the last: {error}"
                continue
            trial = self._trial(arm, number, found)
            if trial.spec_hash not in known:
                return trial
        raise UserError(f"{arm}: the search space {self.tuning.space} gave nothing new in {_ATTEMPTS} draws{refused}")

    def _trial(self, arm: str, number: int, found: Resolved) -> TrialRecord:
        own = flat(found.experiment)
        experiment = with_teacher(self._store, found.experiment)
        cell = Cell({"dataset": self.tuning.dataset, "arm": arm}, experiment, found.overrides)
        return TrialRecord(
            arm=arm,
            number=number,
            values={name: own[name] for name in self.searched[arm]},
            overrides=found.overrides,
            spec_hash=cell.spec_hash,
            config_hash=cell.config_hash,
        )

    # -------------------------------------------------------------------------------- the queue

    def _queue(self, study: StudyRecord | None, runs: Mapping[str, Run]) -> None:
        """A run for every open trial that has none, or whose run was stopped; what exists already counts."""
        nobody = not somebody_works(self._store)
        queued: set[str] = set()
        for trial in self._open():
            run = runs.get(trial.spec_hash)
            stopped = run is not None and (
                run.status in (RunStatus.CANCELLED, RunStatus.FAILED)
                or (run.status == RunStatus.LOST and (self._first or nobody))
            )
            if (run is not None and not stopped) or trial.spec_hash in queued:
                continue
            queued.add(trial.spec_hash)
            if run is None or go_on(self._store, run) is None:
                make_run(self._store, self._cell(trial), study or self._save(self.tuning), self._priority)

    def _end_pruned(self, runs: Mapping[str, Run]) -> bool:
        """Stop the runs of pruned trials, and store why once they have ended; whether one has not ended yet."""
        still = False
        for trial in self.tuning.trials:
            run = runs.get(trial.spec_hash)
            if trial.state != "pruned" or run is None or run.id != trial.run:
                continue
            if not run.status.has_ended:
                still = True
                if not run.cancel_requested:
                    cancel(self._store, [run.id])
            elif run.status == RunStatus.CANCELLED and run.cancel_requested and not run.reason.startswith(PRUNED):
                set_status(self._store, run.id, RunStatus.CANCELLED, trial.reason, ended=run.ended)
        return still
