"""Diagnoses: what was measured of a pair of data set and vectors, kept by the identity of the question."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine import spec
from engine.records import DiagnosisRecord
from engine.store.core.database import Store
from engine.store.core.tables import Run, StoredDiagnosis

VERSION = 3
"""Part of the identity: raise it when something else is measured."""


def question(experiment: spec.Experiment) -> str:
    """Identity of the geometry of an arm before training, 16 hex digits: data, vectors, table and its width; the seed
    only where it makes the table."""
    e = spec.identity(experiment)
    document = {name: e.get(name) for name in ("version", "data", "embedding", "table")}
    document |= {"diagnosis": VERSION, "width": experiment.width, "graph": _graph(experiment)}
    if not (experiment.reads_vectors and isinstance(experiment.table.inject, spec.Initialise | spec.Frozen)):
        document["seed"] = experiment.seed
    if experiment.reference_sd is not None:
        document["run"] = e  # the ID table is trained as the run trains
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def _graph(experiment: spec.Experiment) -> dict[str, Any]:
    """The co-occurrence graph that arms are measured on, also those that use none."""
    counted = spec.reference_graph(experiment).model_dump(include={"window", "top_k", "weight"})
    return {**counted, "neighbours": spec.reference_neighbours(experiment)}


def question_of_run(run: Run) -> str:
    """Identity of the curvature of a finished run's weights."""
    return f"run {run.id} v{VERSION}"


def find_diagnosis(store: Store, identity: str) -> DiagnosisRecord | None:
    """What was stored under the identity."""
    with store.read() as session:
        row = session.get(StoredDiagnosis, identity)
    return None if row is None else _decoded(row)


def keep_diagnosis(
    store: Store, identity: str, experiment: spec.Experiment, result: Mapping[str, Any]
) -> DiagnosisRecord:
    """Store a result, in place of an older one under the same identity."""
    row = StoredDiagnosis(
        identity=identity,
        dataset=experiment.data.name,
        embedding=experiment.vectors.source if experiment.reads_vectors else "id",
        spec=spec.to_document(experiment),
        result=dict(result),
        created=datetime.now(UTC),
    )
    with store.write() as session:
        session.merge(row)
    return _decoded(row)


def _decoded(row: StoredDiagnosis) -> DiagnosisRecord:
    return DiagnosisRecord.decode(row.identity, row.dataset, row.embedding, row.created, row.result)
