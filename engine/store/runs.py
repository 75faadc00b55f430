"""Runs: made, found, their status changed."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil
from sqlmodel import Session, col, select, update
from ulid import ULID

from engine import spec
from engine.errors import UserError
from engine.files import make_folder, without_password, write_text
from engine.records import Place, RunFacts, RunResult, RunStatus
from engine.records.decoding import mapping, whole
from engine.spec import Experiment
from engine.store.core.database import Store
from engine.store.core.tables import Artifact, Event, Run
from engine.store.finding import find_id, unknown_run
from engine.store.teachers import with_teacher


@dataclass(frozen=True)
class Target:
    """Where a queued run is to be carried out: an executor, and the preset of `configs/cluster` for its jobs."""

    executor: str
    cluster: str = ""


def place_of(run: Run) -> Place | None:
    """None for a run of a worker's machine, or one that is not handed over yet."""
    return Place(run.executor, run.handle, run.handle_state) if run.handle else None


def create_run(
    store: Store,
    experiment: Experiment,
    *,
    overrides: Mapping[str, Any],
    command: Sequence[str],
    status: Literal[RunStatus.QUEUED, RunStatus.RUNNING] = RunStatus.QUEUED,
    study_id: int | None = None,
    priority: int = 0,
    target: Target | None = None,
) -> Run:
    """A new run: its folder with `spec.json`, and its row. A run made as `running` belongs to this
    process until `queue.start` hands it to the process that does the work; a queued one stands behind
    the others of its priority. Raises UserError for one that another program has to make, and for a student whose
    teacher is not at hand."""
    experiment.require_made_here()
    experiment = with_teacher(store, experiment)
    now, me = store.now(), psutil.Process()  # places in the queue are given by it
    run = row_of(
        str(ULID.from_datetime(now)), experiment, created=now, overrides=overrides, command=command, status=status
    )
    run.study_id, run.priority = study_id, priority
    if target is not None:
        run.executor, run.cluster = target.executor, target.cluster
    if status is RunStatus.RUNNING:
        run.pid, run.pid_start, run.host = me.pid, me.create_time(), platform.node()
    store.make_files()
    folder = store.folder(run.id)
    make_folder(folder.root)
    write_text(folder.spec, spec.to_json(experiment) + "\n")
    try:
        with store.write() as session:
            session.add(run)
            session.flush()
            _log(session, run.id, "state", status)
    except BaseException:
        shutil.rmtree(folder.root, ignore_errors=True)
        raise
    return run


def row_of(
    run_id: str,
    experiment: Experiment,
    *,
    created: datetime,
    overrides: Mapping[str, Any],
    command: Sequence[str],
    status: RunStatus,
) -> Run:
    """The row of a run, with what follows from its specification."""
    return Run(
        id=run_id,
        method=experiment.method,
        ablation=experiment.ablation,
        arm=experiment.arm,
        dataset=experiment.data.name,
        backbone=experiment.backbone.name,
        embedding=experiment.vectors.source if experiment.reads_vectors else None,
        seed=experiment.seed,
        config_hash=spec.config_hash(experiment),
        spec_hash=spec.spec_hash(experiment),
        data_hash=spec.data_hash(experiment.data),
        spec=spec.to_document(experiment),
        overrides=dict(overrides),
        command=[without_password(word) for word in command],
        status=status,
        created=created,
        position=created.timestamp(),
    )


def relocate(store: Store, run_id: str, experiment: Experiment) -> None:
    """Keep another place of the run's data or vectors, in its row and in its folder. Raises ValueError where the
    identity would change with it."""
    document = spec.to_document(experiment)
    with store.write() as session:
        update_run = update(Run).where(col(Run.id) == run_id, col(Run.spec_hash) == spec.spec_hash(experiment))
        if session.connection().execute(update_run.values(spec=document)).rowcount != 1:
            raise ValueError(f"{run_id}: another identity")
        write_text(store.folder(run_id).spec, spec.to_json(experiment) + "\n")


def experiment_of(run: Run) -> Experiment:
    """The run's complete specification. Raises UserError where this program cannot read it."""
    if not isinstance(run.spec.get("train"), dict):
        raise UserError(f"{run.id}: its specification in the database is damaged; that of its folder may be whole")
    return spec.from_document(run.spec)


def planned_epochs(run: Run) -> int:
    """How many epochs the run is asked for; 0 where its specification is damaged."""
    return whole(mapping(mapping(run.spec).get("train")).get("epochs")) or 0


def facts_of(run: Run) -> RunFacts:
    """What the run has told of itself."""
    return RunFacts.decode(run.facts)


def result_of(run: Run) -> RunResult | None:
    """What the run reached; None where it has not ended well."""
    return None if run.result is None else RunResult.decode(run.result)


# ------------------------------------------------------------------------------------ finding


def get_run(store: Store, run_id: str) -> Run:
    """The run with exactly this id. Raises UserError."""
    with store.read() as session:
        run = session.get(Run, run_id)
    if run is None:
        raise unknown_run(store, run_id)
    return run


def find_run(store: Store, prefix: str) -> Run:
    """The run that is meant (`find_id`). Raises UserError where there is none, or several."""
    return get_run(store, find_id(store, prefix))


def list_runs(
    store: Store,
    *,
    dataset: str | None = None,
    backbone: str | None = None,
    arm: str | None = None,
    status: str | None = None,
    limit: int | None = None,
) -> list[Run]:
    """Runs that are not in the trash, newest first, with exactly these values where they are given."""
    values = {"dataset": dataset, "backbone": backbone, "arm": arm, "status": status}
    same = [getattr(Run, name) == value for name, value in values.items() if value is not None]
    query = select(Run).where(col(Run.trashed).is_(None), *same).limit(limit)
    with store.read() as session:
        return list(session.exec(query.order_by(col(Run.created).desc(), col(Run.id).desc())))


def events(store: Store, run_id: str) -> list[Event]:
    """Log lines and changes of status, in the order in which they came in."""
    with store.read() as session:
        return list(session.exec(select(Event).where(Event.run_id == run_id).order_by(col(Event.id))))


def artifacts(store: Store, run_id: str) -> list[Artifact]:
    """Files that the run made, by kind and path."""
    with store.read() as session:
        return list(
            session.exec(select(Artifact).where(Artifact.run_id == run_id).order_by(Artifact.kind, Artifact.path))
        )


def artifact_files(store: Store, run_id: str) -> dict[str, Path]:
    """Those files by kind, the last by name of each. A record that leads out of the run's folder and the store's
    splits, by its words or by a link, is no file of the run: a spool from elsewhere must not have others read."""
    root, splits = store.folder(run_id).root, store.files / "splits"
    files = {artifact.kind: root / artifact.path for artifact in artifacts(store, run_id)}
    roots = (root.resolve(), splits.resolve())
    return {kind: file for kind, file in files.items() if any(map(file.resolve().is_relative_to, roots))}


# ------------------------------------------------------------------------------------ changing


def set_status(store: Store, run_id: str, status: RunStatus, reason: str, *, ended: datetime | None = None) -> Run:
    """Store a run's status and why, as an event too. `ended` (default: now) is kept where the status is an end."""
    with store.write() as session:
        changed = update(Run).where(col(Run.id) == run_id).values(status=status, reason=reason)
        changed = changed.values(ended=(ended or datetime.now(UTC)) if status.has_ended else None)
        session.connection().execute(changed)
        _log(session, run_id, "state", f"{status}: {reason}" if reason else status)
    return get_run(store, run_id)


def mark_damaged(store: Store, run_id: str, reason: str) -> None:
    """Store why the run cannot be trusted; the first reason stays."""
    line = " ".join(reason.encode(errors="backslashreplace").decode().split())[:_REASON]
    with store.write() as session:
        sound = update(Run).where(col(Run.id) == run_id, col(Run.damage) == "")
        if session.connection().execute(sound.values(damage=line)).rowcount:
            _log(session, run_id, "error", line)


_REASON = 500


def request_cancel(store: Store, run_id: str) -> None:
    """Ask whoever supervises the run to stop it."""
    with store.write() as session:
        session.connection().execute(update(Run).where(col(Run.id) == run_id).values(cancel_requested=True))


def _log(session: Session, run_id: str, level: str, text: str) -> None:
    session.add(Event(run_id=run_id, at=datetime.now(UTC), level=level, text=text))
