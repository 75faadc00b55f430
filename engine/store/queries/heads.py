"""What is drawn of a run beside its curves, read through a plain connection: a picture is drawn again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.records import RunFacts, RunStatus
from engine.records.decoding import mapping, whole
from engine.store.core.database import Store
from engine.store.core.documents import document
from engine.store.core.times import stored_time
from engine.store.dialects.pieces import json_number
from engine.store.dialects.sql import sql
from engine.store.finding import unknown_run


@dataclass(frozen=True)
class RunHead:
    """A run without its series and its result."""

    id: str
    status: RunStatus
    method: str
    ablation: str | None
    dataset: str
    backbone: str
    embedding: str | None
    seed: int
    config_hash: str
    spec_hash: str
    cancel_requested: bool
    started: datetime | None
    overrides: Mapping[str, Any]
    facts: RunFacts
    epochs: int
    """Epochs asked for; 0 where its specification is damaged."""
    word: str
    """The newest line of its log; empty where it has none."""


_COLUMNS = "id, status, method, ablation, dataset, backbone, embedding, seed, config_hash, spec_hash, cancel_requested"
_WORD = "SELECT text FROM event WHERE run_id = run.id AND level <> 'state' ORDER BY id DESC LIMIT 1"


def run_head(store: Store, run_id: str) -> RunHead:
    """Of the run with exactly this id. Raises UserError where it is not there."""
    epochs = json_number("run.spec", "train", "epochs")
    query = sql(
        f"SELECT {_COLUMNS}, started, overrides, facts, {{}}, ({_WORD}) FROM run WHERE id = {{}}", epochs, run_id
    )
    with store.rows() as connection:
        row = connection.execute(query).fetchone()
    if row is None:
        raise unknown_run(store, run_id)
    started, overrides, facts, planned, word = row[11:]
    return RunHead(
        id=row[0],
        status=RunStatus.decode(row[1]),
        method=row[2],
        ablation=row[3],
        dataset=row[4],
        backbone=row[5],
        embedding=row[6],
        seed=row[7],
        config_hash=row[8],
        spec_hash=row[9],
        cancel_requested=bool(row[10]),
        started=None if started is None else stored_time(started),
        overrides=mapping(document(overrides)),
        facts=RunFacts.decode(document(facts)),
        epochs=whole(planned) or 0,
        word=word or "",
    )


def job_of(store: Store, run_id: str) -> tuple[str, str, str] | None:
    """The executor, its job and how that stands, of a run that is carried out elsewhere (`runs.place_of`)."""
    query = sql("SELECT executor, handle, handle_state FROM run WHERE id = {} AND handle <> ''", run_id)
    with store.rows() as connection:
        row = connection.execute(query).fetchone()
    return None if row is None else (row[0], row[1], row[2])
