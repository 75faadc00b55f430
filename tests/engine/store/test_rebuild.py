"""A database that is lost or damaged is made anew: every row of it as it was."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.records import RunStatus, StudyCell
from engine.spec import Experiment
from engine.spool import RunFolder
from engine.store import Run, Store, StoreLostError, get_run, ingest, list_runs, open_store, series, set_status
from engine.store.annotations import add_note, add_tag, purge, remove_tag, trash
from engine.store.diagnoses import keep_diagnosis
from engine.store.queue import Wishes, add_worker, claim, queue_again, queued, set_priority
from engine.store.rebuild import rebuild, restore
from engine.store.studies import save_study, stored_study, study_runs
from engine.store.upkeep import backup_beside, check

from .helpers import new_run, spool_of, write_points

TABLES = {
    "run": "SELECT * FROM run ORDER BY id",
    "points": "SELECT run_id, name, step, value, wall, attempt FROM series JOIN point ON series_id = series.id"
    " ORDER BY run_id, name, step",
    "roll-ups": "SELECT run_id, name, size, cell, count, nan, total, min, max FROM series JOIN rollup"
    " ON series_id = series.id ORDER BY run_id, name, size, cell",
    "events": "SELECT run_id, at, level, text FROM event ORDER BY run_id, at, id",
    "artifacts": "SELECT * FROM artifact ORDER BY run_id, kind, path",
    "splits": "SELECT * FROM split ORDER BY data_hash",
    "tags": "SELECT * FROM tag ORDER BY run_id, name",
    "notes": "SELECT run_id, at, text FROM note ORDER BY run_id, id",
    "studies": "SELECT name, spec, created FROM study ORDER BY name",
    "diagnoses": "SELECT * FROM diagnosis ORDER BY identity",
    "workers": "SELECT id, host, pid, pid_start FROM worker ORDER BY id",
}


def contents(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Every row, but for numbers that only link rows; events of one moment in any order."""
    with store.read() as session:
        query = session.connection().exec_driver_sql
        tables = {name: [{**row} for row in query(sql).mappings()] for name, sql in TABLES.items()}
        studies = {row[0]: row[1] for row in query("SELECT id, name FROM study")}
    for row in tables["run"]:
        row["study_id"] = studies.get(row["study_id"])
        row |= {name: json.loads(row[name] or "null") for name in ("spec", "overrides", "command", "facts", "result")}
    tables["events"].sort(key=lambda row: [str(value) for value in row.values()])
    return tables


def finished(store: Store, seed: int = 0, attempts: int = 1, **settings: object) -> Run:
    run = new_run(store, seed=seed, **settings)
    writer = spool_of(store, run)
    for attempt in range(1, attempts + 1):
        writer.start(attempt, 4_000_000, 1.0)
        if attempt > 1:
            writer.resume(attempt, 10 * attempt - 12)
        write_points(writer, {step: float("nan") if step == 7 else step / 3 for step in range(10 * attempt)})
    writer.facts({"n_items": 40, "spectrum": [1.0, float("inf")]})
    writer.event("looks well", "warning")
    writer.artifact("ranks", store.folder(run.id).ranks)
    writer.artifact("split", store.files / "splits" / "x.npz")
    writer.result({"epochs": 3, "test": {"ndcg@10": 0.25}})
    writer.end("finished", "")
    writer.close()
    ingest(store, run.id)
    return run


@pytest.fixture
def full(store: Store) -> Store:
    """One of everything."""
    best = finished(store)
    finished(store, seed=1, attempts=3)
    waits, first, taken, lost, set_aside, removed = (new_run(store, seed=seed) for seed in range(2, 8))
    set_priority(store, [first.id, taken.id], 3)
    worker = add_worker(store, "w", ["cpu"])
    assert claim(store, worker, "cpu", Wishes("local", ("auto",)))
    assert claim(store, worker, "cpu", Wishes("local", ("auto",)))
    again = finished(store, seed=8)
    assert queue_again(store, get_run(store, again.id), "by the user, from the beginning")
    set_status(store, lost.id, RunStatus.LOST, "its process (pid 4) is gone without a last word")
    set_status(store, set_aside.id, RunStatus.FAILED, "set aside: lost 3 times")
    set_status(store, removed.id, RunStatus.CANCELLED, "cancelled by the user")
    trash(store, [removed.id])
    for name in ("baseline", "paper"):
        add_tag(store, [best.id, waits.id], name)
    remove_tag(store, [waits.id], "paper")
    add_note(store, best.id, "flat from epoch 20 on\n\x1b[31m| *lr* too high")
    add_note(store, best.id, "flat from epoch 20 on")
    cells = [StudyCell(str(run.seed), {"seed": run.seed}, run.spec_hash, run.config_hash, {}) for run in (best, waits)]
    save_study(store, "demo", {"meaning": "all", "axes": {"seed": [0, 2]}}, cells, ["0", "2"])
    keep_diagnosis(store, "0123456789abcdef", Experiment(), {"before": {"norm": float("inf")}})
    return store


def lose(store: Store) -> None:
    store.engine.dispose()
    store.path.unlink()


def test_every_row_is_as_it_was(full: Store) -> None:
    before = contents(full)
    order = [run.id for run in queued(full)]
    assert {row["status"] for row in before["run"]} == set(RunStatus)
    lose(full)
    report = rebuild(full.path)
    assert (report.runs, report.former, report.problems, report.without_folder) == (len(before["run"]), None, [], [])
    again = open_store(full.path)
    for name, rows in contents(again).items():
        assert rows == before[name], name
    assert [run.id for run in queued(again)] == order
    assert check(again) == []
    assert [run.status for _, run in study_runs(again, "demo") if run] == ["finished", "queued"]
    assert not [path for path in full.path.parent.iterdir() if path.name.startswith(".")]


def test_a_second_time_too(full: Store) -> None:
    before = contents(full)
    rebuild(full.path)
    report = rebuild(full.path)
    assert report.former is not None
    assert contents(open_store(full.path)) == before
    assert contents(open_store(report.former, read_only=True)) == before
    assert len(list(full.path.parent.glob("experiments.*.replaced.db"))) >= 1


def test_a_damaged_database_is_kept_beside_the_new_one(full: Store) -> None:
    before = contents(full)
    full.engine.dispose()
    damaged = bytearray(full.path.read_bytes())
    for page in range(4096, len(damaged), 4096):
        damaged[page : page + 200] = os.urandom(200)
    full.path.write_bytes(damaged)
    full.path.with_name("experiments.db-wal").write_bytes(b"\x37\x7f\x06\x82" + os.urandom(9000))
    report = rebuild(full.path)
    assert report.former is not None
    assert report.former.read_bytes() == damaged
    assert report.former.with_name(report.former.name + "-wal").exists()
    assert contents(open_store(full.path)) == before


def test_whoever_has_the_former_one_open_notices(full: Store) -> None:
    run = new_run(full, seed=99)
    rebuild(full.path)
    with pytest.raises(StoreLostError, match="was replaced"):
        get_run(full, run.id)


def test_what_a_spool_says_after_the_last_word_of_others_holds(store: Store) -> None:
    run = new_run(store)
    set_status(store, run.id, RunStatus.LOST, "its process is gone without a last word")
    writer = spool_of(store, run)  # it was only slow to begin
    writer.start(1, 4_000_000, 1.0)
    writer.end("finished", "")
    lose(store)
    rebuild(store.path)
    assert get_run(open_store(store.path), run.id).status == "finished"


def test_a_spool_that_has_lost_its_end_makes_no_finished_run(store: Store) -> None:
    run = finished(store)
    lose(store)
    spool = store.folder(run.id).spool
    os.truncate(spool, spool.stat().st_size - 100)
    rebuild(store.path)
    assert get_run(open_store(store.path), run.id).status == "running", "settle finds that nobody trains it"


def test_folders_without_documents_give_what_they_have(store: Store) -> None:
    done, waits = finished(store), new_run(store, seed=1)
    for run in (done, waits):
        (store.folder(run.id).root / "store.json").unlink()
    lose(store)
    assert rebuild(store.path).problems == []
    again = open_store(store.path)
    assert get_run(again, done.id).status == "finished"
    waiting = get_run(again, waits.id)
    assert (waiting.status, waiting.reason[:21]) == ("cancelled", "made from its folder,")
    assert abs((waiting.created - waits.created).total_seconds()) < 0.01
    assert check(again) == []


def test_what_the_former_database_alone_knows_is_taken_from_it(full: Store) -> None:
    before = contents(full)
    for document in full.files.rglob("*.json"):
        if document.name != "spec.json":
            document.unlink()
    full.engine.dispose()
    rebuild(full.path)
    assert contents(open_store(full.path)) == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spec.json", ""),
        ("spec.json", "[" * 100_000),
        ("spec.json", '{"seed": 10000000000000000000000000000000}'),
        ("store.json", ""),
        ("store.json", "[1, 2"),
        ("store.json", '{"created": "0001-01-01T00:00:00+23:59", "pid": -1, "pid_start": 1e400, "tags": 3}'),
        ("store.json", '{"status": "finished", "spool_offset": 1e30, "position": "x", "notes": [{}], "states": [1]}'),
        ("store.json", '{"status": "winning", "spool_offset": -4, "worker": {"id": 4}, "study": {}, "command": [0]}'),
    ],
)
def test_one_bad_folder_hurts_its_run_alone(store: Store, name: str, text: str) -> None:
    good, bad = finished(store), finished(store, seed=1)
    (store.folder(bad.id).root / name).write_text(text)
    lose(store)
    report = rebuild(store.path)
    again = open_store(store.path)
    assert get_run(again, good.id).status == "finished"
    if name == "spec.json":
        assert [problem.split(":")[0] for problem in report.problems] == [bad.id]
        assert "\n" not in report.problems[0]
    else:
        assert get_run(again, bad.id).status == "finished"
        assert len(series(again, bad.id, "loss").steps) == 10


def test_a_run_that_was_deleted_for_good_stays_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, gone = finished(store), finished(store, seed=1)
    trash(store, [gone.id])
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # killed right before
        purge(store, [gone.id])
    lose(store)
    report = rebuild(store.path)
    assert [run.id for run in list_runs(open_store(store.path))] == [kept.id]
    assert "was deleted for good" in report.problems[0]


def test_where_nothing_is_there_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        rebuild(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_a_rebuild_that_fails_leaves_everything_as_it_is(full: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(full)

    def full_disk(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("engine.store.bringing_in.ingest", full_disk)
        with pytest.raises(OSError, match="No space left"):
            rebuild(full.path)
    assert contents(full) == before
    assert not [path for path in full.path.parent.iterdir() if path.name.startswith(".")]


# ------------------------------------------------------------------------------------ from a backup


def test_a_backup_and_what_came_later(full: Store, tmp_path: Path) -> None:
    saved = backup_beside(full, tmp_path / "saved.db")
    later = finished(full, seed=20)
    waits = queued(full)[0]
    add_tag(full, [later.id, waits.id], "later")
    remove_tag(full, [list_runs(full, status=RunStatus.FINISHED)[-1].id], "paper")
    set_status(full, waits.id, RunStatus.CANCELLED, "cancelled by the user")
    save_study(full, "second", {"meaning": "two"}, [], [])
    before = contents(full)
    full.path.with_name("x").write_bytes(full.path.read_bytes())
    report = restore(saved, full.path)
    assert report.former is not None
    assert contents(open_store(full.path)) == before
    assert stored_study(open_store(full.path), "second") is not None
    assert contents(open_store(report.former, read_only=True)) == before
    assert saved.exists()


def test_runs_of_a_backup_whose_folders_are_gone_are_not_queued(store: Store, tmp_path: Path) -> None:
    done, waits = finished(store), new_run(store, seed=1)
    saved = backup_beside(store, tmp_path / "saved.db")
    for run in (done, waits):
        shutil.rmtree(store.folder(run.id).root)
    report = restore(saved, store.path)
    again = open_store(store.path)
    assert report.without_folder == [done.id, waits.id]
    assert (get_run(again, done.id).status, get_run(again, waits.id).status) == ("finished", "failed")
    assert "its folder is gone" in get_run(again, waits.id).reason


def test_a_backup_alone_on_another_machine(full: Store, tmp_path: Path) -> None:
    saved = backup_beside(full, tmp_path / "saved.db")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    report = restore(saved, elsewhere / "experiments.db")
    assert report.runs == len(contents(full)["run"])
    assert len(list_runs(open_store(elsewhere / "experiments.db"), status=RunStatus.FINISHED)) == 2


def test_what_is_no_backup_is_refused(full: Store, tmp_path: Path) -> None:
    before = contents(full)
    saved = backup_beside(full, tmp_path / "saved.db")
    damaged = bytearray(saved.read_bytes())
    damaged[8192:] = os.urandom(len(damaged) - 8192)
    (tmp_path / "damaged.db").write_bytes(damaged)
    (tmp_path / "text.db").write_text("these are notes, not a database, and long enough to tell\n" * 20)
    cases = {
        full.path: "is the store itself",
        tmp_path / "none.db": "no such store",
        tmp_path / "text.db": "is not a SQLite file",
        tmp_path / "damaged.db": "damaged",
    }
    for source, words in cases.items():
        with pytest.raises(UserError, match=words) as error:
            restore(source, full.path)
        assert "\n" not in str(error.value)
    assert contents(full) == before


def test_folder_names_are_paths_of_runs_only(store: Store) -> None:
    run = finished(store)
    (store.files / "cache").mkdir(exist_ok=True)
    (store.files / "01ARZ3NDEKTSV4RRFFQ69G5FAV").mkdir()  # a run that was never made
    lose(store)
    report = rebuild(store.path)
    assert [each.id for each in list_runs(open_store(store.path))] == [run.id]
    assert len(report.problems) == 1
    assert RunFolder(store.files / run.id).spec.exists()
