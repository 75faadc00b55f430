"""What is changed of a run, by whatever statement, is in its folder once it is committed."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.records import RunStatus, StudyCell
from engine.spec import Experiment
from engine.store import Store, get_run, ingest, open_store, request_cancel, set_status
from engine.store.annotations import add_note, add_tag, purge, remove_tag, restore, trash
from engine.store.diagnoses import keep_diagnosis
from engine.store.queue import Wishes, add_worker, claim, place_first, put_back, set_priority
from engine.store.studies import save_study

from ..helpers import new_run, spool_of, write_points


def kept(store: Store, run_id: str) -> dict[str, Any]:
    document = json.loads((store.folder(run_id).root / "store.json").read_text())
    assert isinstance(document, dict)
    return document


def test_a_run_from_its_place_in_the_queue_to_its_end(store: Store) -> None:
    run, other = new_run(store), new_run(store, seed=1)
    assert kept(store, run.id)["status"] == "queued"
    set_priority(store, [run.id, other.id], 7)
    assert kept(store, run.id)["priority"] == 7
    place_first(store, [other.id])
    assert kept(store, other.id)["position"] < kept(store, run.id)["position"] == run.position
    worker = add_worker(store, "w", ["cpu"])
    taken = claim(store, worker, "cpu", Wishes("local", ("auto",)))
    assert taken is not None
    assert taken.id == other.id
    document = kept(store, other.id)
    assert (document["status"], document["device"], document["worker"]["id"]) == ("running", "cpu", "w")
    assert put_back(store, taken, "its worker went home", crashes=2)
    document = kept(store, other.id)
    assert (document["status"], document["reason"]) == ("queued", "queued again: its worker went home")
    assert (document["crashes"], document["worker"]) == (2, None)
    request_cancel(store, run.id)
    assert kept(store, run.id)["cancel_requested"] is True
    set_status(store, run.id, RunStatus.LOST, "gone")
    document = kept(store, run.id)
    assert (document["status"], document["reason"], document["ended"][-6:]) == ("lost", "gone", "+00:00")
    assert [state["text"] for state in document["states"]] == ["queued", "lost: gone"]


def test_what_a_spool_says_is_kept_with_how_far_it_was_read(store: Store) -> None:
    run = new_run(store)
    writer = spool_of(store, run)
    writer.start(1, 1, 1.0)
    write_points(writer, {1: 1.0})
    ingest(store, run.id)
    began = (store.folder(run.id).root / "store.json").stat()
    write_points(writer, {2: 2.0})
    ingest(store, run.id)
    assert (store.folder(run.id).root / "store.json").stat() == began, "points alone write nothing"
    writer.end("failed", "exception: ValueError: no")
    ingest(store, run.id)
    document = kept(store, run.id)
    assert (document["status"], document["reason"]) == ("failed", "exception: ValueError: no")
    assert document["spool_offset"] == get_run(store, run.id).spool_offset


def test_annotations_and_the_trash(store: Store) -> None:
    run = new_run(store)
    set_status(store, run.id, RunStatus.CANCELLED, "")
    add_tag(store, [run.id], "a")
    add_tag(store, [run.id], "b")
    add_note(store, run.id, "flat <b>from</b> epoch 20\non")
    assert kept(store, run.id)["tags"] == ["a", "b"]
    assert [note["text"] for note in kept(store, run.id)["notes"]] == ["flat <b>from</b> epoch 20\non"]
    remove_tag(store, [run.id], "a")
    assert kept(store, run.id)["tags"] == ["b"]
    trash(store, [run.id])
    assert kept(store, run.id)["trashed"] is not None
    restore(store, [run.id])
    assert kept(store, run.id)["trashed"] is None


def test_studies_and_diagnoses_are_kept_beside_the_runs(store: Store) -> None:
    run = new_run(store)
    cell = StudyCell("k", {"seed": 0}, run.spec_hash, run.config_hash, {})
    save_study(store, "demo", {"meaning": "all of it"}, [cell], ["k"])
    assert kept(store, run.id)["study"] == "demo"
    study = json.loads((store.files / "studies" / "demo.json").read_text())
    assert (study["name"], study["spec"]["meaning"]) == ("demo", "all of it")
    save_study(store, "demo", {"meaning": "more of it"}, [cell], ["k"])
    assert json.loads((store.files / "studies" / "demo.json").read_text())["spec"]["meaning"] == "more of it"
    save_study(store, "../../../x/ä" * 40, {}, [cell], ["k"])
    assert len(list((store.files / "studies").iterdir())) == 2, "a name is no path"
    keep_diagnosis(store, f"run {run.id} v2", Experiment(), {"before": 1})
    (file,) = (store.files / "diagnoses").iterdir()
    assert json.loads(file.read_text())["result"] == {"before": 1}


def test_what_is_not_committed_is_not_kept(store: Store) -> None:
    run = new_run(store)
    with pytest.raises(ZeroDivisionError), store.write() as session:
        session.connection().exec_driver_sql("UPDATE run SET reason = 'never'")
        raise ZeroDivisionError
    add_tag(store, [run.id], "later")
    assert kept(store, run.id)["reason"] == ""


def test_a_run_that_was_deleted_says_so_before_its_folder_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(store)
    set_status(store, run.id, RunStatus.CANCELLED, "")
    trash(store, [run.id])
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # killed right before
    purge(store, [run.id])
    assert kept(store, run.id) == {"run": run.id, "deleted": True}


def test_where_nothing_can_be_kept_the_row_is_changed_all_the_same(store: Store, tmp_path: Path) -> None:
    run = new_run(store)
    (store.folder(run.id).root / "store.json").unlink()
    (store.folder(run.id).root / "store.json").mkdir()
    set_status(store, run.id, RunStatus.LOST, "gone")
    assert get_run(open_store(store.path), run.id).status == "lost"
