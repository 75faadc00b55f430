"""Runs: made, found, listed, their status changed, and the one object that describes a run outside."""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Literal

import psutil
from sqlmodel import Session, col, select, update
from ulid import ULID

from engine import spec
from engine.spec import Experiment, UserError
from engine.store.curves import series, series_names
from engine.store.database import Store
from engine.store.tables import ENDED, Artifact, Event, Run, Status


def create_run(
    store: Store,
    experiment: Experiment,
    *,
    overrides: Mapping[str, Any],
    command: Sequence[str],
    status: Literal["queued", "running"] = "queued",
) -> Run:
    """A new run: its folder with `spec.json`, and its row. A run made as `running` belongs to this
    process until `queue.start` hands it to the process that does the work."""
    now, me = datetime.now(UTC), psutil.Process()
    run = Run(
        id=str(ULID.from_datetime(now)),
        method=experiment.method,
        ablation=experiment.ablation,
        arm=experiment.arm,
        dataset=experiment.data.name,
        backbone=experiment.backbone.name,
        embedding=experiment.embedding.source if experiment.uses_embedding else None,
        seed=experiment.seed,
        config_hash=spec.config_hash(experiment),
        spec_hash=spec.spec_hash(experiment),
        data_hash=spec.data_hash(experiment.data),
        spec=json.loads(spec.to_json(experiment)),
        overrides=dict(overrides),
        command=list(command),
        status=status,
        pid=me.pid if status == "running" else None,
        pid_start=me.create_time() if status == "running" else None,
        created=now,
    )
    folder = store.folder(run.id)
    try:
        folder.root.mkdir(parents=True)
        beside = folder.spec.with_suffix(".part")
        beside.write_text(spec.to_json(experiment) + "\n")
        beside.replace(folder.spec)
    except OSError as error:
        raise UserError(f"{folder.root}: cannot be made: {error.strerror}; see the store's folder, or --db") from None
    try:
        with store.write() as session:
            session.add(run)
            session.flush()
            _log(session, run.id, "state", status)
    except BaseException:
        shutil.rmtree(folder.root, ignore_errors=True)
        raise
    return run


def experiment_of(run: Run) -> Experiment:
    """The run's complete specification. Raises UserError where this program cannot read it."""
    return spec.from_json(json.dumps(run.spec))


# ------------------------------------------------------------------------------------ finding


def get_run(store: Store, run_id: str) -> Run:
    """The run with exactly this id. Raises UserError."""
    with store.read() as session:
        run = session.get(Run, run_id)
    if run is None:
        raise unknown_run(store, run_id)
    return run


def find_run(store: Store, prefix: str) -> Run:
    """The only run whose id begins so, in upper or lower case. Raises UserError where there is none, or several."""
    wanted = prefix.strip().upper()
    if not wanted:
        raise UserError("the run's id is empty; give the beginning of an id that `tfllmer runs` lists")
    with store.read() as session:
        begins = select(Run).where(Run.id >= wanted, Run.id < wanted + "~").order_by(Run.id).limit(6)
        found = list(session.exec(begins))
    if not found:
        raise unknown_run(store, prefix)
    if len(found) > 1:
        several = ", ".join(run.id for run in found[:5]) + (", ..." if len(found) > 5 else "")
        raise UserError(f"{prefix}: several runs begin so ({several}); give more of the id")
    return found[0]


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


def list_runs(
    store: Store,
    *,
    dataset: str | None = None,
    backbone: str | None = None,
    arm: str | None = None,
    status: str | None = None,
    limit: int | None = None,
) -> list[Run]:
    """Runs, newest first, with exactly these values where they are given."""
    query = select(Run).order_by(col(Run.created).desc(), col(Run.id).desc()).limit(limit)
    wanted = {"dataset": dataset, "backbone": backbone, "arm": arm, "status": status}
    query = query.filter_by(**{name: value for name, value in wanted.items() if value is not None})
    with store.read() as session:
        return list(session.exec(query))


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


# ------------------------------------------------------------------------------------ changing


def set_status(store: Store, run_id: str, status: Status, reason: str, *, ended: datetime | None = None) -> Run:
    """Store a run's status and why, as an event too. `ended` (default: now) is kept where the status is an end."""
    with store.write() as session:
        changed = update(Run).where(col(Run.id) == run_id).values(status=status, reason=reason)
        changed = changed.values(ended=(ended or datetime.now(UTC)) if status in ENDED else None)
        session.connection().execute(changed)
        _log(session, run_id, "state", f"{status}: {reason}" if reason else status)
    return get_run(store, run_id)


def request_cancel(store: Store, run_id: str) -> None:
    """Ask whoever supervises the run to stop it."""
    with store.write() as session:
        session.connection().execute(update(Run).where(col(Run.id) == run_id).values(cancel_requested=True))


def _log(session: Session, run_id: str, level: str, text: str) -> None:
    session.add(Event(run_id=run_id, at=datetime.now(UTC), level=level, text=text))


# ------------------------------------------------------------------------------------ describing


def record(store: Store, run: Run) -> dict[str, Any]:
    """The run as one JSON object, the same in `run --json`, `show --json` and `runs --json`.

    A run without a result (still running, or cut short) tells what its points say so far: `valid` at
    its best epoch, no `test`. Numbers that are not finite are null.
    """
    told = run.result if run.result is not None else _so_far(store, run)
    return {
        "run": run.id,
        "status": run.status,
        "reason": run.reason,
        "method": run.method,
        "ablation": run.ablation,
        "arm": run.arm,
        "dataset": run.dataset,
        "backbone": run.backbone,
        "embedding": run.embedding,
        "seed": run.seed,
        "config_hash": run.config_hash,
        "spec_hash": run.spec_hash,
        "created": run.created.isoformat(timespec="seconds"),
        "overrides": run.overrides,
        "data_hash": run.data_hash,
        "mask_seen": run.spec["evaluate"]["mask_seen"],
        "epochs": told.get("epochs"),
        "best_epoch": told.get("best_epoch"),
        "train_ce": told.get("train_ce", []),
        "valid": told.get("valid", {}),
        "test": told.get("test", {}),
        "wall_s": told.get("wall_s"),
        "targets_per_s": told.get("targets_per_s"),
    }


def _so_far(store: Store, run: Run) -> dict[str, Any]:
    reported = {name: series(store, run.id, name) for name in series_names(store, run.id) if name != "loss"}
    at = {
        name: dict(zip(points.steps.tolist(), map(_number, points.values.tolist()), strict=True))
        for name, points in reported.items()
    }
    epoch_at = {step: round(epoch) for step, epoch in at.get("epoch", {}).items() if epoch is not None}
    ndcg = {step: value for step, value in at.get("valid.ndcg@10", {}).items() if value is not None}
    best = max(ndcg, key=lambda step: (ndcg[step], -step), default=None)
    valid = {name.removeprefix("valid."): v[best] for name, v in at.items() if name.startswith("valid.") and best in v}
    walls = [points.wall[-1] for points in reported.values()]
    return {
        "epochs": max((epoch_at[step] for step in at.get("train_ce", {}) if step in epoch_at), default=None),
        "best_epoch": epoch_at.get(best),
        "train_ce": [
            {"epoch": epoch_at[step], "value": value}
            for step, value in at.get("train_ce", {}).items()
            if step in epoch_at
        ],
        "valid": valid,
        "wall_s": round(max(walls) - run.started.timestamp(), 3) if walls and run.started else None,
        "targets_per_s": next(reversed(at.get("targets_per_s", {}).values()), None),
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
