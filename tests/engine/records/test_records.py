"""Records decode what any version has stored, and give None where it is missing or damaged."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.records import (
    ENDED,
    CurvePoint,
    DiagnosisRecord,
    NoteRecord,
    RankCounts,
    RunFacts,
    RunRecord,
    RunResult,
    RunStatus,
    StudyCell,
    StudyRecord,
    TableGeometry,
    best_epoch,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEYS = (
    *(
        "epochs",
        "best_epoch",
        "train_ce",
        "epoch",
        "value",
        "valid",
        "test",
        "valid_ce",
        "wall_s",
        "rank_counts",
        "top",
    ),
    *("users", "counts", "device", "threads", "provenance", "packages", "git", "commit", "dirty", "embedding", "sweep"),
    *("trade_off", "lambda", "geometry", "norms", "histogram", "edges", "scale", "angles", "curvature", "spectrum"),
    *("tv", "edge_auc", "tables", "misalignment", "k", "1-ami", "parameter_space", "hessian", "other_factor", "cells"),
    *("key", "spec_hash", "config_hash", "axes", "overrides", "former", "baseline", "margin", "ndcg@10"),
)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=30,
)


def _floats(value: Any) -> list[float]:
    """Every float in a record, its documents left out."""
    if isinstance(value, float):
        return [value]
    if is_dataclass(value):
        parts = [getattr(value, f.name) for f in fields(value) if f.name not in ("document", "axes", "overrides")]
        return [number for part in parts for number in _floats(part)]
    if isinstance(value, dict):
        return [number for part in value.values() for number in _floats(part)]
    return [number for part in value for number in _floats(part)] if isinstance(value, tuple) else []


@given(documents)
def test_any_document_decodes_and_every_number_is_finite(document: object) -> None:
    records = [
        RunResult.decode(document),
        RunFacts.decode(document),
        StudyRecord.decode(1, "barrier", NOW, document),
        DiagnosisRecord.decode("0" * 16, "demo", "demo", NOW, document),
    ]
    assert all(map(math.isfinite, _floats(tuple(records))))


curves = st.lists(st.tuples(st.integers(0, 10**6), st.none() | st.floats(allow_nan=False, allow_infinity=False)))
measures = st.dictionaries(st.sampled_from(["ndcg@10", "hr@5", "mrr"]), st.floats(0, 1))


@given(st.integers(0, 500), st.integers(0, 500), curves, measures, measures, st.floats(0, 1e9))
def test_a_result_comes_back_as_it_was_stored(
    epochs: int,
    best: int,
    curve: list[tuple[int, float | None]],
    valid: dict[str, float],
    test: dict[str, float],
    wall: float,
) -> None:
    stored = {
        "epochs": epochs,
        "best_epoch": best,
        "train_ce": [{"epoch": epoch, "value": value} for epoch, value in curve],
        "valid": valid,
        "test": test,
        "wall_s": wall,
        "targets_per_s": 3.5,
    }
    reached = RunResult.decode(json.loads(json.dumps(stored)))
    assert reached.train_ce == tuple(CurvePoint(*point) for point in curve)
    record = RunRecord("R", RunStatus.FINISHED, "id", None, "demo", "sasrec", None, 0, "c", "s", result=reached)
    assert {name: record.to_json()[name] for name in stored} == stored


def test_what_a_result_does_not_hold_is_none() -> None:
    assert RunResult.decode(None) == RunResult.decode({}) == RunResult()
    damaged = {
        "epochs": "20",
        "best_epoch": True,
        "train_ce": [{"epoch": 0, "value": "nan"}, {"epoch": 1}, {"value": 2.0}, 7, {"epoch": 2.0, "value": 5}],
        "valid": {"ndcg@10": None, "hr@10": 1, "mrr": "0.3"},
        "test": [0.1],
        "wall_s": float("inf"),
        "rank_counts": {"test": {"users": 3, "counts": [1, 2]}, "valid": {"users": 3, "counts": [1, "2"]}},
        "top": {"coverage": [0.5, None, "x"]},
    }
    reached = RunResult.decode(damaged)
    assert (reached.epochs, reached.best_epoch, reached.wall_s) == (None, None, None)
    assert reached.train_ce == ((0, None), (1, None), (2, 5.0))
    assert (reached.valid, reached.test) == ({"hr@10": 1.0}, {})
    assert reached.rank_counts == {"test": RankCounts(3, (1, 2))}
    assert reached.top == {"coverage": (0.5, None, None)}
    assert (reached.last_train_ce, reached.train_ce_at(2), reached.train_ce_at(9)) == (5.0, 5.0, None)


def test_outcomes_are_what_the_same_specification_must_give_again() -> None:
    stored = {"epochs": 2, "best_epoch": 1, "wall_s": 9.0, "valid": {"mrr": 0.5}, "test": {"mrr": 0.25}}
    curve = [{"epoch": 0, "value": 7.0}, {"epoch": 2, "value": 6.0}]
    assert RunResult.decode(stored | {"train_ce": curve, "valid_ce": 6.5, "test_ce": 6.75}).outcomes() == {
        "epochs": 2,
        "best_epoch": 1,
        "valid.mrr": 0.5,
        "test.mrr": 0.25,
        "valid_ce": 6.5,
        "test_ce": 6.75,
        "train_ce@0": 7.0,
        "train_ce@2": 6.0,
    }


@given(st.dictionaries(st.integers(0, 50), st.none() | st.sampled_from([0.1, 0.2, 0.3])))
def test_the_best_epoch_is_the_first_of_the_highest(quality: dict[int, float | None]) -> None:
    expected, highest = None, -math.inf
    for epoch in sorted(quality):
        value = quality[epoch]
        if value is not None and value > highest:
            expected, highest = epoch, value
    assert best_epoch(quality) == expected


def test_a_status_is_its_word_wherever_it_goes() -> None:
    assert json.dumps({"status": RunStatus.LOST}) == '{"status": "lost"}'
    assert f"{RunStatus.RUNNING}" == str(RunStatus.RUNNING) == "running"
    assert ENDED == ("finished", "failed", "cancelled", "lost")
    with pytest.raises(ValueError, match="stopping"):
        RunStatus("stopping")
    assert [RunStatus.decode(status.value) for status in RunStatus] == list(RunStatus)
    assert {RunStatus.decode(word) for word in ("", "done", None, 3)} == {RunStatus.LOST}


def test_a_run_as_json_keeps_its_keys() -> None:
    note = NoteRecord(NOW, "flat from epoch 20 on")
    record = RunRecord(
        *("01K", RunStatus.RUNNING, "tf-llmer", "full", "demo", "sasrec", "minilm-l6", 3, "c", "s"),
        created=NOW,
        tags=("baseline",),
        notes=(note,),
        overrides={"train.lr": 0.1},
    )
    assert record.to_json() == {
        "run": "01K",
        "status": "running",
        "reason": "",
        "method": "tf-llmer",
        "ablation": "full",
        "arm": "tf-llmer/full",
        "dataset": "demo",
        "backbone": "sasrec",
        "embedding": "minilm-l6",
        "seed": 3,
        "config_hash": "c",
        "spec_hash": "s",
        "created": "2026-01-02T03:04:05+00:00",
        "trashed": None,
        "tags": ["baseline"],
        "notes": [{"at": "2026-01-02T03:04:05+00:00", "text": "flat from epoch 20 on"}],
        "overrides": {"train.lr": 0.1},
        "data_hash": "",
        "mask_seen": True,
        "epochs": None,
        "best_epoch": None,
        "train_ce": [],
        "valid": {},
        "test": {},
        "wall_s": None,
        "targets_per_s": None,
    }


def test_facts_are_typed_and_keep_the_whole_document() -> None:
    stored = {
        "device": "cpu",
        "threads": 2,
        "n_items": 400,
        "popularity_train_ce": 5.5,
        "provenance": {
            "python": "3.11.9",
            "packages": {"torch": "2.6", "numpy": None},
            "git": {"commit": "abc", "dirty": True, "diff": "code.diff"},
        },
        "embedding": {
            "retained": 0.9,
            "positive_eigenvalues": 64,
            "trade_off": {
                "variance": 1.0,
                "pca_variance": 4.0,
                "variation": 3.0,
                "pca_variation": 0.0,
                "sweep": [{"lambda": 0.5, "variance_share": 0.75, "tv_ratio": None}, {"lambda": None}],
            },
        },
        "geometry": {
            "unit_rows": True,
            "norms": {"cv": 0.1, "histogram": {"scale": "log", "edges": [1, 2, 4], "counts": [3, 5]}},
            "curvature": {"kappa": None, "kept": 3, "spectrum": [1.0, 0.5]},
            "tv_ratio": 0.25,
            "edge_auc": 0.75,
        },
    }
    facts = RunFacts.decode(stored)
    assert (facts.device, facts.threads, facts.n_items, facts.n_users, facts.popularity_train_ce) == (
        *("cpu", 2, 400, None),
        5.5,
    )
    assert facts.document == stored
    assert facts.provenance is not None and facts.provenance.code is not None
    assert facts.provenance.code.dirty and facts.provenance.packages == {"torch": "2.6", "numpy": None}
    assert facts.embedding is not None and (trade := facts.embedding.trade_off) is not None
    assert (trade.variance_share, trade.variation_share) == (0.25, None)
    assert [(point.weight, dict(point.numbers)) for point in trade.sweep] == [(0.5, {"variance_share": 0.75})]
    geometry = facts.geometry
    assert geometry is not None and geometry.histogram is not None
    assert geometry.histogram.counts == (3, 5) and geometry.histogram.log
    assert geometry.curvature == {"kept": 3.0} and geometry.spectrum == (1.0, 0.5)
    assert (geometry.tv_ratio, geometry.edge_auc, geometry.misalignment, geometry.unit_rows) == (0.25, 0.75, None, True)


def test_a_histogram_whose_parts_do_not_belong_together_is_none() -> None:
    torn = {"norms": {"histogram": {"edges": [1, 2], "counts": [3, 5]}}}
    geometry = TableGeometry.decode(torn)
    assert geometry is not None and geometry.histogram is None


def test_a_study_leaves_out_cells_that_name_no_run() -> None:
    whole = {"key": "k", "axes": {"seed": 0}, "spec_hash": "s", "config_hash": "c", "overrides": {}}
    study = StudyRecord.decode(
        1, "barrier", NOW, {"meaning": "m", "cells": [whole, {"key": "k"}, None], "baseline": ["id"]}
    )
    assert study.cells == (StudyCell("k", {"seed": 0}, "s", "c", {}),)
    assert (study.meaning, study.question, study.baseline, study.margin, study.seeds) == ("m", "", ("id",), None, None)


def test_records_import_nothing_heavy() -> None:
    code = "import sys; import engine.records; print(sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert not {"sqlmodel", "sqlalchemy", "pydantic", "numpy", "torch"} & set(eval(loaded))
