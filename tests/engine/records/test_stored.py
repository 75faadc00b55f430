"""Records of the runs, studies and diagnoses in stores that earlier versions made: nothing is lost, nothing is None
that was stored."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.records import DiagnosisRecord, RunFacts, RunResult, RunStatus, StudyRecord
from tests.golden.stores import HERE, QUESTIONS

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def documents(schema: str, query: str) -> list[tuple[Any, ...]]:
    """Rows of a store as its file holds them; columns that are JSON objects are decoded."""
    path = (HERE / schema / "experiments.db").as_uri()
    with closing(sqlite3.connect(f"{path}?mode=ro&immutable=1", uri=True)) as connection:
        rows = connection.execute(query).fetchall()
    assert rows
    return [tuple(json.loads(v) if isinstance(v, str) and v.startswith("{") else v for v in row) for row in rows]


@pytest.mark.parametrize("schema", QUESTIONS)
def test_every_number_of_a_result_is_in_its_record(schema: str) -> None:
    for status, stored in documents(schema, "SELECT status, result FROM run"):
        assert RunStatus.decode(status).value == status
        if stored is None:
            continue
        reached = RunResult.decode(stored)
        curve = {f"train_ce@{point['epoch']}": point["value"] for point in stored["train_ce"]}
        ranked = {f"{part}.{name}": value for part in ("valid", "test") for name, value in stored[part].items()}
        single = {name: stored[name] for name in ("epochs", "best_epoch", "valid_ce", "test_ce")}
        assert reached.outcomes() == single | ranked | curve
        assert (reached.wall_s, reached.targets_per_s) == (stored["wall_s"], stored["targets_per_s"])


@pytest.mark.parametrize("schema", QUESTIONS)
def test_every_part_of_the_facts_that_is_read_is_in_their_record(schema: str) -> None:
    for arm, stored in documents(schema, "SELECT arm, facts FROM run WHERE status = 'finished'"):
        facts = RunFacts.decode(stored)
        single = ("device", "threads", "n_users", "n_items", "n_targets", "parameters", "popularity_train_ce")
        assert [getattr(facts, name) for name in single] == [stored[name] for name in single]
        assert facts.provenance is not None and facts.provenance.code is not None
        assert facts.provenance.packages == stored["provenance"]["packages"]
        assert facts.provenance.code.commit == stored["provenance"]["git"]["commit"]
        assert (facts.embedding is None) == arm.startswith("id")
        if facts.embedding is not None:
            names = ("retained", "tv_ratio", "positive_eigenvalues")
            assert [getattr(facts.embedding, name) for name in names] == [stored["embedding"][name] for name in names]
        geometry = facts.geometry
        if "geometry" not in stored:
            assert geometry is None and schema == "0001"
            continue
        assert geometry is not None and geometry.histogram is not None
        start = stored["geometry"]
        assert list(geometry.histogram.counts) == start["norms"]["histogram"]["counts"]
        assert list(geometry.spectrum) == start["curvature"]["spectrum"]
        assert geometry.norms["cv"] == start["norms"]["cv"] and geometry.angles["c1"] == start["angles"]["c1"]
        assert (geometry.tv_ratio, geometry.misalignment) == (start["tv_ratio"], start["misalignment"])


@pytest.mark.parametrize("schema", ["0002"])
def test_studies_and_diagnoses_keep_all_their_parts(schema: str) -> None:
    for name, stored in documents(schema, "SELECT name, spec FROM study"):
        study = StudyRecord.decode(1, name, NOW, stored)
        assert [cell.spec_hash for cell in study.cells] == [cell["spec_hash"] for cell in stored["cells"]]
        assert (list(study.baseline), study.margin, study.meaning) == tuple(
            stored[key] for key in ("baseline", "margin", "meaning")
        )
    for identity, dataset, embedding, stored in documents(
        schema, "SELECT identity, dataset, embedding, result FROM diagnosis"
    ):
        diagnosis = DiagnosisRecord.decode(identity, dataset, embedding, NOW, stored)
        if "tables" not in stored:
            assert diagnosis.model is not None
            assert diagnosis.model.hessian == stored["parameter_space"]["hessian"]["lambda_1"]
            continue
        assert list(diagnosis.tables) == list(stored["tables"])
        after = stored["tables"][stored["after"]]
        assert diagnosis.after == stored["after"] and diagnosis.before == stored["before"]
        assert diagnosis.tables[stored["after"]].tv_z == after["tv"]["z"]
        assert diagnosis.tables[stored["after"]].edge_auc == after["edge_auc"]["auc"]
