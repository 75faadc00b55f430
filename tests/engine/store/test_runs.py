"""Runs: made, found, listed, described."""

import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from engine import spec
from engine.errors import UserError
from engine.records import RunResult, RunStatus
from engine.spec import Experiment
from engine.store import (
    Store,
    artifacts,
    create_run,
    events,
    experiment_of,
    find_run,
    get_run,
    info,
    ingest,
    list_runs,
    record,
    request_cancel,
    set_status,
)
from engine.store.core.schema import HEAD
from engine.store.queries.documents import documents

from .helpers import new_run, spool_of


def test_a_new_run_has_its_folder_and_its_row(store: Store) -> None:
    experiment = Experiment.model_validate(
        {"ablation": "no-norm", "seed": 3, "table": {"normalize": "none", "row_length": 0.5}}
    )
    run = create_run(store, experiment, overrides={"table.row_length": 0.5}, command=["tfllmer", "run"])
    stored = get_run(store, run.id)
    assert (stored.arm, stored.dataset, stored.backbone, stored.embedding) == (
        "tf-llmer/no-norm",
        "demo",
        "sasrec",
        "demo",
    )
    assert (stored.status, stored.attempt, stored.pid) == ("queued", 0, None)
    assert stored.spec_hash == spec.spec_hash(experiment)
    assert stored.config_hash == spec.config_hash(experiment)
    assert experiment_of(stored) == experiment
    assert spec.from_json(store.folder(run.id).spec.read_text()) == experiment
    assert stored.overrides == {"table.row_length": 0.5}
    assert timedelta(0) <= datetime.now(UTC) - stored.created < timedelta(minutes=1)
    assert [event.text for event in events(store, run.id)] == ["queued"]


def test_an_arm_without_vectors_has_no_embedding(store: Store) -> None:
    run = new_run(store, method="id", table={"init": {"kind": "id"}, "normalize": "none"})
    assert (run.arm, run.ablation, run.embedding) == ("id", None, None)


def test_a_folder_that_cannot_be_made(store: Store) -> None:
    store.files.touch()
    with pytest.raises(UserError, match="cannot be made"):
        new_run(store)
    assert list_runs(store) == []


def test_runs_are_listed_newest_first_and_filtered(store: Store) -> None:
    runs = [
        new_run(store, seed=seed, backbone={"name": name}) for seed, name in enumerate(["sasrec", "gru4rec", "sasrec"])
    ]
    set_status(store, runs[0].id, RunStatus.FAILED, "because")
    assert [run.seed for run in list_runs(store)] == [2, 1, 0]
    assert [run.seed for run in list_runs(store, backbone="sasrec")] == [2, 0]
    assert [run.seed for run in list_runs(store, backbone="sasrec", status="queued")] == [2]
    assert [run.seed for run in list_runs(store, limit=1)] == [2]
    assert list_runs(store, dataset="ml-100k") == []


def with_ids(store: Store, *ids: str) -> None:
    for run_id in ids:
        run = new_run(store)
        with store.write() as session:
            session.connection().exec_driver_sql("DELETE FROM event")
            session.connection().exec_driver_sql("UPDATE run SET id = ? WHERE id = ?", (run_id, run.id))


def test_a_unique_prefix_finds_a_run(store: Store) -> None:
    with_ids(store, "01ABC000", "01ABC111", "01XYZ222")
    assert find_run(store, "01x").id == "01XYZ222"
    assert find_run(store, "01ABC111").id == "01ABC111"
    with pytest.raises(UserError, match=r"01abc: several runs begin so \(01ABC000, 01ABC111\); give more"):
        find_run(store, "01abc")
    with pytest.raises(UserError, match=r"01XYY: no such run \(did you mean 01XYZ222\?\)"):
        find_run(store, "01XYY")
    with pytest.raises(UserError, match=r"%: no such run \(the newest is 01XYZ222; `tfllmer runs` lists them\)"):
        find_run(store, "%")
    with pytest.raises(UserError, match="empty"):
        find_run(store, " ")


def test_there_may_be_no_run_at_all(store: Store) -> None:
    with pytest.raises(UserError, match="holds none yet"):
        find_run(store, "01")


def test_a_status_is_stored_with_its_reason_and_as_an_event(store: Store) -> None:
    run = set_status(store, new_run(store).id, RunStatus.LOST, "killed by signal 9")
    assert (run.status, run.reason) == ("lost", "killed by signal 9")
    assert run.ended is not None
    assert [event.text for event in events(store, run.id)] == ["queued", "lost: killed by signal 9"]
    assert set_status(store, run.id, RunStatus.RUNNING, "").ended is None
    request_cancel(store, run.id)
    assert get_run(store, run.id).cancel_requested


KEYS = {
    *("run", "status", "reason", "method", "ablation", "dataset", "backbone", "embedding", "seed"),
    *("config_hash", "spec_hash", "epochs", "best_epoch", "train_ce", "valid", "test", "wall_s", "targets_per_s"),
}


def test_the_record_of_a_finished_run_is_its_result(store: Store) -> None:
    run = new_run(store, ablation="full")
    writer = spool_of(store, run)
    result = {
        "epochs": 2,
        "best_epoch": 1,
        "train_ce": [{"epoch": 0, "value": 6.0}, {"epoch": 1, "value": 5.0}, {"epoch": 2, "value": 5.5}],
        "valid": {"ndcg@10": 0.2},
        "test": {"ndcg@10": 0.1},
        "wall_s": 12.5,
        "targets_per_s": 1e5,
    }
    writer.start(1, 1, 1.0)
    writer.points(1, {"epoch": 9.0, "train_ce": 1.0})
    writer.result(result)
    writer.end("finished", "")
    ingest(store, run.id)
    told = record(store, get_run(store, run.id)).to_json()
    assert set(told) >= KEYS
    assert {key: told[key] for key in result} == result
    assert (told["run"], told["status"], told["ablation"]) == (run.id, "finished", "full")
    json.dumps(told, allow_nan=False)


def test_the_record_of_an_unfinished_run_is_what_its_points_say(store: Store) -> None:
    run = new_run(store)
    assert record(store, run).result == RunResult()
    writer = spool_of(store, run)
    writer.start(1, 1, 1.0)
    measured = [(6.0, 0.1, 0.01), (math.nan, 0.3, 0.03), (5.0, 0.2, 0.09), (4.0, math.nan, math.nan)]
    for epoch, (ce, ndcg, hit) in enumerate(measured):
        writer.points(100 * epoch, {"epoch": epoch, "train_ce": ce, "valid.ndcg@10": ndcg, "valid.hr@10": hit})
        writer.points(100 * epoch + 20, {"epoch": epoch + 0.2, "loss": 1.0, "targets_per_s": 50.0 + epoch})
    ingest(store, run.id)
    told = record(store, get_run(store, run.id)).to_json()
    assert told["train_ce"] == [
        {"epoch": 0, "value": 6.0},
        {"epoch": 1, "value": None},
        {"epoch": 2, "value": 5.0},
        {"epoch": 3, "value": 4.0},
    ]
    assert (told["epochs"], told["best_epoch"], told["valid"]) == (3, 1, {"ndcg@10": 0.3, "hr@10": 0.03})
    assert (told["test"], told["targets_per_s"], told["status"]) == ({}, 53.0, "running")
    assert told["wall_s"] >= 0
    json.dumps(told, allow_nan=False)


def test_info_counts_what_there_is(store: Store) -> None:
    assert info(store)["points"] == 0
    run = new_run(store)
    new_run(store)
    writer = spool_of(store, run)
    writer.start(1, 1, 1.0)
    for step in range(1000):
        writer.points(step, {"loss": 1.0, "epoch": 0.0})
    writer.end("finished", "")
    ingest(store, run.id)
    told = info(store)
    assert (told["points"], told["runs"], told["revision"]) == (2000, {"finished": 1, "queued": 1}, HEAD)
    assert told["events"] == 4
    assert told["size"] > 10_000
    assert artifacts(store, run.id) == []


def test_documents_tell_what_the_rows_hold(store: Store) -> None:
    run = new_run(store, train={"epochs": 3})
    writer = spool_of(store, run)
    writer.start(1, 1, 1.0)
    writer.facts({"device": "cpu"})
    writer.event("careful", "warning")
    writer.artifact("ranks", store.folder(run.id).ranks)
    writer.end("failed", "why", "a traceback")
    writer.close()
    ingest(store, run.id)
    told, row = documents(store, run.id), get_run(store, run.id)
    assert (told.spec, told.overrides, told.command) == (row.spec, row.overrides, row.command)
    assert (told.facts, told.attempt, told.detail) == (row.facts, row.attempt, row.detail)
    assert list(told.events) == [(event.id, event.at, event.level, event.text) for event in events(store, run.id)]
    assert list(told.artifacts) == [(artifact.kind, artifact.path) for artifact in artifacts(store, run.id)]
    with pytest.raises(UserError, match="no such run"):
        documents(store, "01NONE")
