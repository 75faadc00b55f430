"""Migration 0003: what rows of earlier stores say, in the present form."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from engine import spec
from engine.spec.upgrade import upgraded_settings
from engine.store import Store, experiment_of, list_runs, open_store
from engine.store.core.schema import HEAD
from engine.store.diagnoses import question
from tests.golden.stores import HERE


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of schema 0002, closed."""
    shutil.copytree(HERE / "0002", tmp_path, dirs_exist_ok=True)
    return tmp_path / "experiments.db"


def rows(path: Path, query: str, *values: Any) -> list[Any]:
    with sqlite3.connect(path) as connection:
        found = connection.execute(query, values).fetchall()
    connection.close()
    return found


def opened(path: Path) -> Store:
    store = open_store(path)
    assert rows(path, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    return store


def test_runs_have_the_hashes_of_what_their_specification_says_now(old: Path) -> None:
    before = dict(rows(old, "SELECT id, spec_hash FROM run"))
    store = opened(old)
    for run in list_runs(store):
        experiment = experiment_of(run)
        assert run.spec == spec.to_document(experiment)
        assert run.spec_hash == spec.spec_hash(experiment) != before[run.id]
        assert run.config_hash == spec.config_hash(experiment)
        assert run.data_hash == spec.data_hash(experiment.data)
        assert run.overrides.keys() <= spec.flat(experiment).keys()
    kept = {(before[run.id], run.spec_hash) for run in list_runs(store)}
    assert len({one for one, _ in kept}) == len({other for _, other in kept}) == len(kept)
    assert {name for name, *_ in rows(old, "SELECT data_hash FROM split")} == {r.data_hash for r in list_runs(store)}


def test_cells_are_found_by_their_new_hashes_and_axes_by_their_new_names(old: Path) -> None:
    ((text,),) = rows(old, "SELECT spec FROM study")
    study = json.loads(text)
    axes = {"arm": "tf-llmer/full", "embedding.lambda": 0.5, "seed": 0}
    never_run = {"axes": axes, "key": json.dumps({"arm": "tf-llmer/full", "embedding.lambda": "0.5", "seed": "0.0"})}
    never_run |= {"spec_hash": "0" * 16, "config_hash": "1" * 16, "overrides": {"embedding.lambda": 0.5}}
    study["cells"].append(never_run)
    study["axes"]["embedding.lambda"] = [0.5]
    rows(old, "UPDATE study SET spec = ?", json.dumps(study))
    store = opened(old)
    ((text,),) = rows(old, "SELECT spec FROM study")
    *cells, last = json.loads(text)["cells"]
    assert {cell["spec_hash"] for cell in cells} <= {run.spec_hash for run in list_runs(store)}
    assert "data.source.users" in cells[0]["overrides"]
    assert json.loads(text)["axes"]["embedding.reduce.lambda"] == [0.5]
    assert last["axes"]["embedding.reduce.lambda"] == 0.5
    assert json.loads(last["key"]) == {"arm": "tf-llmer/full", "embedding.reduce.lambda": "0.5", "seed": "0.0"}
    assert (last["spec_hash"], last["overrides"]) == ("0" * 16, {"embedding.reduce.lambda": 0.5})


def test_a_diagnosis_is_found_by_the_same_question(old: Path) -> None:
    ((text, result),) = rows(old, "SELECT spec, result FROM diagnosis")
    rows(old, "INSERT INTO diagnosis VALUES ('before histograms', 'demo', 'demo', ?, '{}', '2025-01-01')", text)
    rows(old, "INSERT INTO diagnosis VALUES ('run X v2', 'demo', 'demo', ?, ?, '2025-01-01')", text, result)
    opened(old)
    identities = {identity for (identity,) in rows(old, "SELECT identity FROM diagnosis")}
    assert identities == {question(spec.from_json(text)), "before histograms", "run X v2"}


def test_a_run_that_cannot_be_read_stays_as_it_is(old: Path) -> None:
    ((run_id,),) = rows(old, "SELECT id FROM run ORDER BY id LIMIT 1")
    rows(old, "UPDATE run SET spec = ? WHERE id = ?", '{"train": {"lr": -1}}', run_id)
    opened(old)
    assert rows(old, "SELECT spec FROM run WHERE id = ?", run_id) == [('{"train": {"lr": -1}}',)]


def test_settings_go_to_where_the_specification_has_them() -> None:
    old = {"embedding.seed": 3, "embedding.control": "rotation", "train.patience": 4, "table.id_sd": 1, "seed": 2}
    document = {"embedding": {"seed": 3, "control": "rotation"}, "train": {"patience": 4}, "seed": 2}
    assert upgraded_settings(old, spec.flat(spec.from_document(document))) == {
        "embedding.control.seed": 3,
        "embedding.control": "rotation",
        "train.until": "patience",
        "train.until.patience": 4,
        "seed": 2,
    }
    assert upgraded_settings({"train.patience": None}, None) == {"train.until": "budget"}
    share = {"embedding": {"graph": {"users": 0.5}}}
    assert upgraded_settings({"embedding.graph.users": 0.5}, spec.flat(spec.from_document(share))) == {
        "embedding.reduce.graph.users": "sample",
        "embedding.reduce.graph.users.share": 0.5,
    }
