"""Tunings in the store: a study whose cells are trials, with all that is known of these."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Boolean
from sqlmodel import col, select, update

from engine.errors import UserError, nearest
from engine.records import StudyCell, StudyRecord, TrialRecord, TuningRecord
from engine.store.core.database import Store
from engine.store.core.tables import Run, StoredStudy
from engine.store.dialects.alchemy import piece
from engine.store.dialects.pieces import json_missing
from engine.store.dialects.sql import sql
from engine.store.studies import stored_study


def save_tuning(store: Store, tuning: TuningRecord) -> StudyRecord:
    """Make or update a tuning, and link the runs of its trials that belong to no study yet, in one transaction.
    Returns it as the study that it is. Raises UserError where a study has its name."""
    study = stored_study(store, tuning.name)
    if study is not None and study.tuning is None:
        raise UserError(f"--name {tuning.name}: a study of this store is called so; give another")
    cells = [_cell(tuning, trial) for trial in tuning.trials]
    document = {
        "meaning": f"tuning of {tuning.backbone} on {tuning.dataset} by {tuning.by}",
        "axes": {"dataset": [tuning.dataset], "backbone": [tuning.backbone], "arm": [*tuning.arms]},
        "cells": [asdict(cell) for cell in cells],
        "tuning": tuning.document(),
    }
    with store.write() as session:
        row = session.exec(select(StoredStudy).where(StoredStudy.name == tuning.name)).first()
        row = row or StoredStudy(name=tuning.name, spec=document, created=tuning.created)
        row.spec = document
        session.add(row)
        session.flush()
        free = update(Run).where(
            col(Run.spec_hash).in_({cell.spec_hash for cell in cells}), col(Run.study_id).is_(None)
        )
        session.connection().execute(free.values(study_id=row.id))
        return StudyRecord.decode(row.id or 0, row.name, row.created, row.spec)


def _cell(tuning: TuningRecord, trial: TrialRecord) -> StudyCell:
    axes: dict[str, Any] = {"dataset": tuning.dataset, "backbone": tuning.backbone, "arm": trial.arm}
    axes |= {"seed": tuning.seed, "trial": trial.number}
    key = f"{trial.arm} {trial.number}"
    return StudyCell(key, axes, trial.spec_hash, trial.config_hash, trial.overrides)


def stored_tuning(store: Store, name: str) -> TuningRecord | None:
    """The tuning of that name; None where there is none."""
    study = stored_study(store, name)
    return None if study is None else study.tuning


def known_tuning(store: Store, name: str) -> TuningRecord:
    """A tuning that was begun here. Raises UserError with the nearest name."""
    tuning = stored_tuning(store, name)
    if tuning is None:
        names = [each.name for each in list_tunings(store)]
        hint = nearest(name, names) if names else "; `tfllmer tune --help` tells how one is begun"
        raise UserError(f"{name}: no such tuning in {store.name}{hint}")
    return tuning


def list_tunings(store: Store) -> list[TuningRecord]:
    """All tunings, the newest first."""
    is_tuning = piece(sql("NOT {}", json_missing("study.spec", "tuning")), Boolean())
    with store.read() as session:
        rows = list(session.exec(select(StoredStudy).where(is_tuning).order_by(col(StoredStudy.id).desc())))
    records = [TuningRecord.decode(row.name, row.created, row.spec.get("tuning")) for row in rows]
    return [tuning for tuning in records if tuning is not None]
