"""What the store promises to people, lists and screens (docs/store.md), asked of every kind of database."""

from datetime import datetime
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.records import RunStatus, StudyCell
from engine.spec import Experiment
from engine.store import (
    Run,
    Store,
    find_run,
    list_records,
    list_values,
    record,
    series_names,
    set_status,
)
from engine.store import queue as rows
from engine.store.annotations import add_note, add_tag, edit_note, purge, remove_tag, restore, trash, undo_note
from engine.store.core.folders import read_document
from engine.store.diagnoses import find_diagnosis, keep_diagnosis
from engine.store.queries.documents import documents
from engine.store.queries.feed import Feed
from engine.store.queries.filter_fields import all_fields
from engine.store.queries.filters import complete, order_by, parse
from engine.store.queries.heads import run_head
from engine.store.queries.pace import paces, usual_seconds
from engine.store.studies import estimate_seconds, runs_that_count, save_study, stored_study, study_runs
from engine.store.upkeep import check
from tests.engine.store.backends.test_contract import again, finished_run, until
from tests.engine.store.helpers import new_run

PID = 4194304
WISHES = rows.Wishes("local", ("auto", "cpu"))


# ------------------------------------------------------------------------------------ what people add


def test_tags_notes_and_the_trash(store: Store) -> None:
    run, other = finished_run(store), new_run(store, seed=1)
    assert add_tag(store, [run.id, other.id], "best") == [run.id, other.id]
    assert add_tag(store, [run.id], "best") == []
    assert remove_tag(store, [other.id], "best") == [other.id]
    assert find_run(store, "best").id == run.id
    add_note(store, run.id, "first")
    edit = edit_note(store, run.id, "second")
    assert edit is not None
    assert [note.text for note in record(store, run).notes] == ["second"]
    assert undo_note(store, edit)
    assert not undo_note(store, edit)
    with pytest.raises(UserError, match="is queued"):
        trash(store, [run.id, other.id])
    assert trash(store, [run.id]) == [run.id]
    assert trash(store, [run.id]) == []
    assert [each.id for each in list_records(store)] == [other.id]
    assert restore(store, [run.id]) == [run.id]
    assert purge(store, [run.id]) == 0
    trash(store, [run.id])
    assert purge(store, [run.id]) == 1
    assert not store.folder(run.id).root.exists()
    assert series_names(store, run.id) == []


def test_studies_and_diagnoses_are_kept_by_name(store: Store) -> None:
    runs = [finished_run(store, seed=seed) for seed in range(2)]
    cells = [StudyCell(str(run.seed), {"seed": run.seed}, run.spec_hash, run.config_hash, {}) for run in runs]
    save_study(store, "grid", {"meaning": "x"}, cells, ["0", "1"])
    save_study(store, "grid", {"meaning": "y"}, cells[:1], ["0"])
    study = stored_study(store, "grid")
    assert study is not None and [cell.key for cell in study.cells] == ["0"]
    assert [cell.key for cell in study.former] == ["1"]
    assert [run is not None and run.id for _, run in study_runs(store, "grid")] == [runs[0].id]
    assert set(runs_that_count(store, [run.spec_hash for run in runs])) == {run.spec_hash for run in runs}
    experiment = Experiment()
    keep_diagnosis(store, "q", experiment, {"histogram": [1]})
    keep_diagnosis(store, "q", experiment, {"histogram": [2]})
    assert find_diagnosis(store, "q") is not None
    assert find_diagnosis(store, "none") is None
    assert estimate_seconds(store, [(runs[0].data_hash, runs[0].spec)])[0] is not None
    assert read_document(store.files / "studies" / "grid.json") is not None


# ------------------------------------------------------------------------------------ what lists and screens ask


def test_every_field_can_be_listed_sorted_and_filtered(store: Store) -> None:
    run, plain = finished_run(store), new_run(store, seed=1)
    add_tag(store, [run.id], "best")
    for name, field in all_fields().items():
        values = list_values(store, [field], order=order_by(f"-{name}"))
        assert {run_id for run_id, _ in values} == {run.id, plain.id}, name
    asked = {
        "ndcg@10>0.2": [run],
        "train_ce@2=3": [run],
        "status=finished tag:best": [run],
        "-tag:best": [plain],
        "seed=0,1": [plain, run],
        "best": [run],
        "age<1d created>2d": [plain, run],
        "epochs=none": [plain],
        "wall_s<=6 or seed=9": [run],
        "evaluate.mask_seen=true": [plain, run],
        f"run={run.id[:20]}": [run],
        "hr@3>0": [],
        "trashed=true": [],
        "dataset~DEMO": [plain, run],
    }
    for text, expected in asked.items():
        found = list_records(store, parse(text).clause(), order=order_by("-seed"), trashed=parse(text).trashed)
        assert [each.id for each in found] == [each.id for each in expected], text
    assert list_values(store, [all_fields()["train.batch_size"]], limit=1)[0][1] == run.spec["train"]["batch_size"]
    assert complete("tag:", 4, store) == ["best"]


def test_a_metric_that_no_result_holds_is_computed(store: Store) -> None:
    run = finished_run(store, rank_counts={"test": {"n": 4, "counts": [1, 1, 1, 1]}})
    new_run(store, seed=1)
    (with_it, without) = list_values(store, [all_fields()["ndcg@10"]], order=order_by("-hr@2,seed"))
    assert (with_it[0], without[1]) == (run.id, None)


def test_heads_documents_and_pace(store: Store) -> None:
    run = finished_run(store)
    head = run_head(store, run.id)
    assert (head.status, head.epochs) == (RunStatus.FINISHED, run.spec["train"]["epochs"])
    about = documents(store, run.id)
    assert about.spec == run.spec
    assert [text for _, _, _, text in about.events] == ["queued", "running (attempt 1)", "finished"]
    assert paces(store, [run.id])[run.id].epoch == pytest.approx(0.4)
    assert usual_seconds(store, [(run.dataset, run.backbone)])[run.dataset, run.backbone] == 2.0


def test_who_looks_on_hears_of_every_change_once(store: Store) -> None:
    run = new_run(store)
    feed = Feed(store)
    try:
        assert [row.id for row in feed.read().rows] == [run.id]
        add_tag(again(store), [run.id], "seen")
        until(feed.changed)
        until(lambda: any(row.tags == ("seen",) for row in feed.read().rows))
        trash(again(store), [finished_run(again(store), seed=2).id])
        feed.look_at_all()
        until(lambda: not feed.read().more)
        assert [row.seed for row in feed.removed()] == [2]
    finally:
        feed.close()


def test_the_folder_keeps_what_the_row_has(store: Store, tmp_path: Path) -> None:
    run = finished_run(store)
    add_tag(store, [run.id], "kept")
    set_status(store, run.id, RunStatus.FAILED, "by hand")
    kept = read_document(store.folder(run.id).root / "store.json")
    assert kept is not None
    assert (kept["tags"], kept["status"], kept["reason"]) == (["kept"], "failed", "by hand")
    assert datetime.fromisoformat(kept["created"]) == run.created
    assert check(store) == []


def test_halves_of_characters_in_a_document_hide_nothing(store: Store) -> None:
    odd, plain = new_run(store, note="zero \0, whole \N{GRINNING FACE}, \\u0000"), new_run(store, seed=1)
    facts = {"measured": {"half": "\ud83d, \ude00", "n_users": 3}}
    with store.write() as session:
        row = session.get_one(Run, odd.id)
        row.facts, row.result, row.status = facts, {"epochs": 7, "text": "\0 \udfff"}, RunStatus.FINISHED
    fields = [all_fields()[name] for name in ("train.lr", "seed", "epochs", "row_length")]
    by_id = {run_id: values for run_id, *values in list_values(store, fields)}
    assert by_id[odd.id][:3] == [odd.spec["train"]["lr"], 0, 7]
    assert by_id[plain.id][:3] == [plain.spec["train"]["lr"], 1, None]
    assert by_id[odd.id][3] == by_id[plain.id][3]
    assert len(list_values(store, fields, order=order_by("-ndcg@10"))) == 2
