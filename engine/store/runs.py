"""Runs: made, found, their status changed."""

from __future__ import annotations

import difflib
import platform
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil
from sqlmodel import Session, col, select, update
from ulid import ULID

from engine import spec
from engine.errors import UserError
from engine.files import make_folder, write_text
from engine.records import RunFacts, RunResult, RunStatus
from engine.records.decoding import mapping, whole
from engine.spec import Experiment
from engine.store.core.database import Store
from engine.store.core.tables import Artifact, Event, Run, Tag


def create_run(
    store: Store,
    experiment: Experiment,
    *,
    overrides: Mapping[str, Any],
    command: Sequence[str],
    status: Literal[RunStatus.QUEUED, RunStatus.RUNNING] = RunStatus.QUEUED,
    study_id: int | None = None,
    priority: int = 0,
) -> Run:
    """A new run: its folder with `spec.json`, and its row. A run made as `running` belongs to this
    process until `queue.start` hands it to the process that does the work; a queued one stands behind
    the others of its priority."""
    now, me = datetime.now(UTC), psutil.Process()
    run = row_of(
        str(ULID.from_datetime(now)), experiment, created=now, overrides=overrides, command=command, status=status
    )
    run.study_id, run.priority = study_id, priority
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
        command=list(command),
        status=status,
        created=created,
        position=created.timestamp(),
    )


def missing_files(store: Store) -> str | None:
    """What is wrong where a store has runs but not the folder beside it, as when it was copied as a single file."""
    if store.files.is_dir():
        return None
    with store.read() as session:
        if session.exec(select(Run.id).limit(1)).first() is None:
            return None
    return (
        f"{store.files}: is not here, so logs, ranks and checkpoints are missing and no run can go on; it belongs"
        f" beside {store.path.name}: copy it too"
    )


def relocate(store: Store, run_id: str, experiment: Experiment) -> None:
    """Keep another place of the run's data or vectors, in its row and in its folder. Raises ValueError where the
    identity would change with it."""
    document = spec.to_document(experiment)
    with store.write() as session:
        here = update(Run).where(col(Run.id) == run_id, col(Run.spec_hash) == spec.spec_hash(experiment))
        if session.connection().execute(here.values(spec=document)).rowcount != 1:
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
    """The only run whose id begins so, in upper or lower case; else the only one that has this tag, its name. Raises
    UserError where there is none, or several."""
    start = prefix.strip().upper()
    if not start:
        raise UserError("the run's id is empty; give the beginning of an id that `tfllmer runs` lists")
    with store.read() as session:
        begins = select(Run).where(Run.id >= start, Run.id < start + "~").order_by(Run.id).limit(6)
        runs = list(session.exec(begins))
        why = "begin so"
        if not runs:
            tagged = select(Run).join(Tag).where(col(Tag.name) == prefix.strip()).order_by(Run.id).limit(6)
            runs, why = list(session.exec(tagged)), "have this tag"
    if not runs:
        raise unknown_run(store, prefix)
    if len(runs) > 1:
        several = ", ".join(run.id for run in runs[:5]) + (", ..." if len(runs) > 5 else "")
        raise UserError(f"{prefix}: several runs {why} ({several}); give more of the id")
    return runs[0]


def unknown_run(store: Store, given: str) -> UserError:
    """The error for an id that names no run, with the nearest that does among the newest."""
    with store.read() as session:
        newest = list(session.exec(select(Run.id).order_by(col(Run.created).desc(), col(Run.id).desc()).limit(200)))
    if not newest:
        return UserError(f"{given}: no such run; {store.path} holds none yet")
    close = difflib.get_close_matches(given.upper(), [run_id[: len(given)] for run_id in newest], n=1)
    if close:
        advice = f"did you mean {next(run_id for run_id in newest if run_id.startswith(close[0]))}?"
    else:
        advice = f"the newest is {newest[0]}; `tfllmer runs` lists them"
    return UserError(f"{given}: no such run ({advice})")


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
    inside = (root.resolve(), splits.resolve())
    return {kind: file for kind, file in files.items() if any(map(file.resolve().is_relative_to, inside))}


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
