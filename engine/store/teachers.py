"""Which run a student learns from: found when the student's own run is made."""

from __future__ import annotations

from sqlmodel import col, select

from engine.errors import UserError
from engine.records import RunStatus
from engine.spec import Distillation, Experiment
from engine.store.core.database import Store
from engine.store.core.tables import Run
from engine.store.finding import find_id


def with_teacher(store: Store, experiment: Experiment) -> Experiment:
    """The experiment with its teacher's whole id and spec hash. Where a hash is given already, as in a specification
    that was stored elsewhere, any finished run that computes it will do. Raises UserError where no run is named, or
    the run has not finished or cannot teach."""
    distil = experiment.train.distil
    if not isinstance(distil, Distillation):
        return experiment
    if not (distil.teacher or distil.teacher_hash):
        raise UserError(
            f"train.distil={distil.kind}: names no teacher; give a finished run by --set train.distil.teacher=RUN"
        )
    run = _of_hash(store, distil) if distil.teacher_hash else _of_id(store, distil.teacher)
    settled = distil.model_copy(update={"teacher": run.id, "teacher_hash": run.spec_hash})
    return experiment.model_copy(update={"train": experiment.train.model_copy(update={"distil": settled})})


def as_taught(store: Store | None, experiment: Experiment) -> Experiment:
    """`with_teacher` as far as the store knows one: what a plan compares with the runs there are."""
    if store is None or not isinstance(experiment.train.distil, Distillation):
        return experiment
    try:
        return with_teacher(store, experiment)
    except UserError:
        return experiment


def teacher_of(store: Store, experiment: Experiment) -> Run | None:
    """The run here that teaches a student whose teacher is settled; None where there is none, and of others."""
    settled = as_taught(store, experiment).train.distil
    if not isinstance(settled, Distillation) or not settled.teacher_hash:
        return None
    with store.read() as session:
        run = session.get(Run, settled.teacher)
    return run if run is not None and run.spec_hash == settled.teacher_hash else None


def _of_id(store: Store, given: str) -> Run:
    with store.read() as session:
        run = session.get_one(Run, find_id(store, given))
    if run.status != RunStatus.FINISHED:
        raise UserError(f"train.distil.teacher={given}: is {run.status}; a teacher has finished")
    return run


def _of_hash(store: Store, distil: Distillation) -> Run:
    with store.read() as session:
        query = select(Run).where(col(Run.spec_hash) == distil.teacher_hash, col(Run.status) == RunStatus.FINISHED)
        runs = session.exec(query.order_by(col(Run.created))).all()
    named = [run for run in runs if run.id == distil.teacher]
    if not runs:
        raise UserError(
            f"train.distil.teacher={distil.teacher}: no finished run here computes spec hash {distil.teacher_hash}; "
            "import its archive, or train it"
        )
    return (named or runs)[0]
