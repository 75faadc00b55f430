"""A study meets the store and the queue: what exists already, what is missing, and the queueing of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from engine.errors import UserError
from engine.files import held
from engine.presets import Cell, Study, cell_key, combinations
from engine.queue.actions import enqueue, retry
from engine.records import RunStatus, StudyCell, StudyRecord
from engine.store import Run, Store, StoreError, get_run
from engine.store.runs import Target
from engine.store.studies import runs_that_count, save_study, stored_study
from engine.store.teachers import as_taught, with_teacher

CellStatus: TypeAlias = RunStatus | Literal["missing"]
STATES: tuple[CellStatus, ...] = (
    RunStatus.FINISHED,
    RunStatus.RUNNING,
    RunStatus.QUEUED,
    RunStatus.FAILED,
    RunStatus.CANCELLED,
    RunStatus.LOST,
    "missing",
)
"""What a cell can be: the status of the run that counts for it, or missing."""


@dataclass(frozen=True)
class PlannedCell:
    """A cell and the run that counts for it, if there is any."""

    cell: Cell
    run: Run | None

    @property
    def state(self) -> CellStatus:
        return "missing" if self.run is None else self.run.status


@dataclass(frozen=True)
class Submission:
    """What a submission did. `before` counts the cells by their state before it."""

    before: Mapping[str, int]
    new: tuple[Run, ...]
    """New runs in the queue."""
    again: tuple[Run, ...]
    """Runs that were stopped, lost or failed and are in the queue again."""

    @property
    def waits(self) -> bool:
        """Whether anything of the study is in the queue now."""
        return bool(self.new or self.again or self.before.get(RunStatus.QUEUED))


def plan(store: Store | None, cells: Sequence[Cell]) -> list[PlannedCell]:
    """Every cell with what the store has of it, whoever made it; nothing where there is no store yet."""
    cells = [replace(cell, experiment=as_taught(store, cell.experiment)) for cell in cells]
    runs = {} if store is None else runs_that_count(store, [cell.spec_hash for cell in cells])
    return [PlannedCell(cell, runs.get(cell.spec_hash)) for cell in cells]


def count_states(planned: Sequence[PlannedCell]) -> dict[str, int]:
    """How many cells are in each state, in the order of STATES, without zeros."""
    counts = Counter(each.state for each in planned)
    return {state: counts[state] for state in STATES if counts[state]}


def submit(
    store: Store,
    study: Study,
    cells: Sequence[Cell],
    *,
    seeds: int | None = None,
    retry_failed: bool = False,
    priority: int = 0,
    target: Target | None = None,
) -> Submission:
    """Write down the study with these cells, and queue what is missing of them.

    Finished, running and queued cells are left alone; stopped and lost ones go on from their checkpoint;
    failed ones only with `retry_failed`. Safe to repeat after a crash at any moment, and in two terminals
    at once. New runs are carried out by `target` (left out: by this machine). Raises UserError for a student whose
    teacher is not at hand.
    `seeds` is the number that was asked for in place of the file's, so that they stay in the study.
    """
    cells = [replace(cell, experiment=with_teacher(store, cell.experiment)) for cell in cells]
    with _alone(store):
        stored = save_study(store, study.name, *_document(store, study, cells, seeds))
        planned = plan(store, cells)
        new, again = [], []
        for each in planned:
            goes_on = each.state in (RunStatus.CANCELLED, RunStatus.LOST) or (
                each.state == RunStatus.FAILED and retry_failed
            )
            if goes_on and each.run is not None and (run := go_on(store, each.run)):
                again.append(run)
            elif goes_on or each.state == "missing":
                new.append(make_run(store, each.cell, stored, priority, target))
    return Submission(count_states(planned), tuple(new), tuple(again))


def go_on(store: Store, run: Run) -> Run | None:
    """Queue a run again; None where its files do not allow it any more."""
    try:
        return retry(store, [run.id])[0]
    except StoreError:
        raise
    except UserError:
        run = get_run(store, run.id)
        return (
            run if run.status in (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.FINISHED) else None
        )  # somebody was faster


def make_run(store: Store, cell: Cell, study: StudyRecord, priority: int, target: Target | None = None) -> Run:
    """A queued run of a cell, as one of the study."""
    return enqueue(
        store,
        cell.experiment,
        overrides=cell.overrides,
        command=cell.command,
        study_id=study.id,
        priority=priority,
        target=target,
    )


def _document(
    store: Store, study: Study, cells: Sequence[Cell], seeds: int | None
) -> tuple[dict[str, Any], list[StudyCell], list[str]]:
    """What is kept of a study: about it, its cells, and the keys of all that its file has now."""
    before = stored_study(store, study.name)
    if before is not None and before.tuning is not None:
        raise UserError(f"study {study.name}: a tuning of this store is called so; rename the file")
    most = max(seeds or 0, (before.seeds or 0) if before else 0)
    about = {
        "meaning": study.meaning,
        "question": study.question,
        "baseline": list(study.baseline),
        "margin": study.margin,
        "axes": study.axes,
        "seeds": most or None,
        "file": study.label,
        "source": study.text,
    }
    stored = [StudyCell(cell.key, cell.axes, cell.spec_hash, cell.config_hash, cell.overrides) for cell in cells]
    rows = combinations(study) + (combinations(study, seeds=range(most)) if most else [])
    return about, stored, [cell_key({axis: setting.value for axis, setting in row.items()}) for row in rows]


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """One submission at a time: a lock on the folder of the runs, gone with the process that holds it."""
    with held(store.make_files() / "submit.lock", math.inf):
        yield
