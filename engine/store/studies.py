"""Studies in the store: their cells, the runs that count for them, how long runs like them took.

A run belongs to a study by its `spec_hash`, whoever made it, so it can belong to several. `Run.study_id`, by
which lists are filtered, names the first of them.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select as columns
from sqlmodel import col, select, update

from engine.errors import UserError, nearest
from engine.records import RunStatus, StudyCell, StudyRecord
from engine.records.decoding import number, whole
from engine.store.core.damage import damage
from engine.store.core.database import Store
from engine.store.core.tables import Run, StoredStudy
from engine.store.dialects.alchemy import untyped
from engine.store.dialects.pieces import json_number

_AT_ONCE = 500  # values in one IN (...)
_NEWEST = 5  # past runs of one shape that an estimate looks at


def stored_study(store: Store, name: str) -> StudyRecord | None:
    """The study of that name; None where it was never run here."""
    with store.read() as session:
        row = session.exec(select(StoredStudy).where(StoredStudy.name == name)).first()
    return None if row is None else _decoded(row)


def _decoded(row: StoredStudy) -> StudyRecord:
    return StudyRecord.decode(row.id or 0, row.name, row.created, row.spec)


def save_study(
    store: Store, name: str, about: Mapping[str, Any], cells: Iterable[StudyCell], keys: Sequence[str]
) -> StudyRecord:
    """Make or update a study, and link runs that belong to none yet, in one transaction.

    `spec` becomes `about` (meaning, question, baseline, margin, axes, source text) with `cells`: those given, and
    those kept from before whose key is in `keys` (all that the file has, in its order). Cells that left by
    this are kept as `former`.
    """
    order = {key: place for place, key in enumerate(keys)}
    with store.write() as session:
        row = session.exec(select(StoredStudy).where(StoredStudy.name == name)).first()
        before = None if row is None else _decoded(row)
        known = {} if before is None else {cell.key: cell for cell in before.cells}
        now = {cell.key: cell for cell in cells}
        cell_hashes = {cell.spec_hash for cell in now.values()}
        others = {
            key: cell
            for key, cell in known.items()
            if key in order and key not in now and cell.spec_hash not in cell_hashes
        }
        current = sorted((now | others).values(), key=lambda cell: order.get(cell.key, len(order)))
        hashes = {cell.spec_hash for cell in current}
        former = {cell.spec_hash: cell for cell in [*(before.former if before else ()), *known.values()]}
        left = [cell for spec_hash, cell in former.items() if spec_hash not in hashes]
        document = {
            **about,
            "cells": [asdict(cell) for cell in current],
            "former": [asdict(cell) for cell in left],
        }
        if row is None:
            row = StoredStudy(name=name, spec=document, created=datetime.now(UTC))
        row.spec = document
        session.add(row)
        session.flush()
        for piece in _pieces(hashes):
            free = update(Run).where(col(Run.spec_hash).in_(piece), col(Run.study_id).is_(None))
            session.connection().execute(free.values(study_id=row.id))
    return _decoded(row)


def study_runs(store: Store, name: str) -> list[tuple[StudyCell, Run | None]]:
    """Every cell of a study with the run that counts for it: the newest finished one, else the one that is
    running or queued, else the newest; None where there is none. Raises UserError for an unknown study."""
    cells = known_study(store, name).cells
    runs = runs_that_count(store, [cell.spec_hash for cell in cells])
    return [(cell, runs.get(cell.spec_hash)) for cell in cells]


def known_study(store: Store, name: str) -> StudyRecord:
    """A study that was run here. Raises UserError with the nearest name."""
    study = stored_study(store, name)
    if study is None:
        with store.read() as session:
            names = list(session.exec(select(StoredStudy.name).order_by(StoredStudy.name)))
        hint = nearest(name, names) if names else f"; tfllmer study run {name} begins it"
        raise UserError(f"study {name}: was never run in {store.name}{hint}")
    return study


def runs_that_count(store: Store, hashes: Iterable[str]) -> dict[str, Run]:
    """The run that counts for each `spec_hash` that has any, as in `study_runs`. Runs in the trash do not."""
    runs: list[Run] = []
    with store.read() as session:
        for piece in _pieces(hashes):
            of_them = select(Run).where(col(Run.spec_hash).in_(piece), col(Run.trashed).is_(None))
            runs += session.exec(of_them.order_by(Run.id))
    counting: dict[str, Run] = {}
    for run in runs:  # the newest last
        other = counting.get(run.spec_hash)
        if other is None or run.status.rank <= other.status.rank:
            counting[run.spec_hash] = run
    return counting


def _pieces(hashes: Iterable[str]) -> list[list[str]]:
    ordered = sorted(set(hashes))
    return [ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE)]


# ------------------------------------------------------------------------------------ time


def estimate_seconds(store: Store, shapes: Sequence[tuple[str, Mapping[str, Any]]]) -> list[float | None]:
    """How long runs will take, in seconds, as finished runs like them took: the median of the newest few.

    Each run is given by its `data_hash` and its specification. It is like one of the same data, backbone with
    its settings, batch size and epochs; else of the same data and backbone, scaled by epochs; else of the
    same backbone on other data, scaled by epochs and training targets. None where no run tells, also where the
    number of targets of the data is not known yet.
    """
    same: dict[Any, list[float]] = defaultdict(list)
    per_epoch: dict[Any, list[float]] = defaultdict(list)
    per_target: dict[Any, list[float]] = defaultdict(list)
    targets: dict[str, int] = {}
    for data, document, epochs, wall, count in _past(store):
        same[data, _settings(document), epochs].append(wall)
        per_epoch[data, document["backbone"]["name"]].append(wall / epochs)
        if count:
            targets.setdefault(data, count)
            per_target[document["backbone"]["name"]].append(wall / epochs / count)

    def one(data: str, document: Mapping[str, Any]) -> float | None:
        name, epochs = document["backbone"]["name"], int(document["train"]["epochs"])
        if exact := same.get((data, _settings(document), epochs)):
            return _middle(exact)
        if (data, name) in per_epoch:
            return _middle(per_epoch[data, name]) * epochs
        if name in per_target and data in targets:
            return _middle(per_target[name]) * targets[data] * epochs
        return None

    return [one(*shape) for shape in shapes]


def _past(store: Store) -> list[tuple[str, dict[str, Any], int, float, int | None]]:
    """(data_hash, specification, epochs, seconds, targets) of finished runs that trained, the newest first."""
    query = columns(
        col(Run.data_hash),
        col(Run.spec),
        untyped(json_number("run.result", "epochs")),
        untyped(json_number("run.result", "wall_s")),
        untyped(json_number("run.facts", "n_targets")),
    )
    with store.read() as session:
        newest = (
            query.where(col(Run.status) == RunStatus.FINISHED, damage().is_(None))
            .order_by(col(Run.id).desc())
            .limit(2000)
        )
        rows = session.connection().execute(newest).all()
    read = [(data, document, whole(epochs), number(wall), whole(n)) for data, document, epochs, wall, n in rows]
    return [(data, document, epochs, wall, n) for data, document, epochs, wall, n in read if epochs and wall]


def _settings(document: Mapping[str, Any]) -> str:
    return json.dumps([document["backbone"], document["train"]["batch_size"]], sort_keys=True)


def _middle(seconds: Sequence[float]) -> float:
    return statistics.median(seconds[:_NEWEST])
