"""The check finds what is wrong and nothing else; backups and vacuum."""

import os
import shutil
import sqlite3
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.records import RunStatus
from engine.store import Store, StoreError, find_run, get_run, ingest, open_store, set_status, window
from engine.store.annotations import add_tag, purge, trash
from engine.store.core.places import network_disk
from engine.store.upkeep import backup_beside, check, looks_sound, reclaim, repair

from .helpers import new_run, spool_of, write_points


@pytest.fixture
def run_id(store: Store) -> str:
    """A finished run with 500 points."""
    run = new_run(store)
    writer = spool_of(store, run)
    writer.start(1, 1, 1.0)
    write_points(writer, {step: float("nan") if step == 77 else 0.1 * step for step in range(500)})
    writer.end("finished", "")
    writer.close()
    ingest(store, run.id)
    return run.id


def kinds(store: Store) -> list[str]:
    return [finding.kind for finding in check(store)]


def execute(store: Store, sql: str) -> None:
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute(sql)


def test_a_store_in_order_has_no_findings(store: Store, run_id: str) -> None:
    new_run(store, seed=1)
    assert check(store) == []
    assert repair(store) == 0
    assert looks_sound(store)


def test_a_spool_that_was_not_read_to_its_end_is_found_and_read(store: Store, run_id: str) -> None:
    with open(store.folder(run_id).spool, "a") as file:
        file.write('{"r":"points","step":900,"wall":1.0,"values":{"loss":9.0}}\n')
    (finding,) = check(store)
    assert (finding.kind, finding.run) == ("behind", run_id)
    assert repair(store) == 1
    assert check(store) == []
    assert window(store, run_id, "loss", None, None, 1).count.tolist() == [501]


def test_a_torn_last_line_is_not_behind(store: Store, run_id: str) -> None:
    with open(store.folder(run_id).spool, "a") as file:
        file.write('{"r":"points","ste')
    assert check(store) == []


def test_a_spool_that_was_cut_is_told(store: Store, run_id: str) -> None:
    os.truncate(store.folder(run_id).spool, 100)
    assert kinds(store) == ["spool cut"]
    assert window(store, run_id, "loss", None, None, 1).count.tolist() == [500], "what was read is kept"


def test_missing_and_orphan_folders(store: Store, run_id: str) -> None:
    lost = new_run(store, seed=1)
    shutil.rmtree(store.folder(lost.id).root)
    orphan = store.files / "01ARZ3NDEKTSV4RRFFQ69G5FAV"  # of a run that was never made
    orphan.mkdir()
    (store.files / "splits").mkdir()
    findings = check(store)
    assert [finding.kind for finding in findings] == ["no folder", "orphan folder"]
    assert (findings[0].run, str(orphan) in findings[1].problem) == (lost.id, True)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE rollup SET max = max + 1 WHERE size = 64 AND cell = 3",
        "UPDATE rollup SET nan = 0 WHERE size = 4096",
        "DELETE FROM rollup WHERE size = 262144",
        "DELETE FROM point WHERE step = 200",
        "INSERT INTO rollup SELECT series_id, 64, 999, 1, 0, 1, 1, 1 FROM rollup LIMIT 1",
    ],
)
def test_rollups_that_differ_from_their_points_are_found_and_mended(store: Store, run_id: str, sql: str) -> None:
    execute(store, sql)
    (finding,) = check(store)
    assert (finding.kind, finding.run) == ("roll-ups", run_id)
    assert repair(store) == 1
    assert check(store) == []


def test_rows_that_name_what_is_not_there_are_found(store: Store, run_id: str) -> None:
    execute(store, "INSERT INTO tag (run_id, name) VALUES ('no such run', 'x')")
    assert kinds(store) == ["reference"]


def test_damage_is_told_and_nothing_else(store: Store) -> None:
    for seed in range(60):
        new_run(store, seed=seed)
    execute(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    store.engine.dispose()
    pages = store.path.stat().st_size // 4096
    with open(store.path, "r+b") as file:
        for page in range(pages // 2, pages):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    damaged = open_store(store.path, read_only=True)
    try:
        found = check(damaged)
    except StoreError as error:
        assert "damaged" in str(error)
    else:
        assert {finding.kind for finding in found} == {"damaged"}


def test_a_backup_is_a_store_of_its_own(store: Store, run_id: str, tmp_path: Path) -> None:
    copy = open_store(backup_beside(store, tmp_path / "copy.db"))
    assert window(copy, run_id, "loss", None, None, 1).count.tolist() == [500]
    set_status(store, run_id, RunStatus.FAILED, "later")
    assert get_run(copy, run_id).status == "finished"
    named = backup_beside(store)
    assert named.parent == store.path.parent
    assert named.name.startswith("experiments.")
    assert named.name.endswith(".backup.db")


def test_a_backup_overwrites_nothing_and_leaves_nothing_half_written(store: Store, tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        backup_beside(store, there)
    with pytest.raises(UserError, match="does not exist"):
        backup_beside(store, tmp_path / "no" / "x.db")
    with pytest.raises(StoreError, match="cannot be opened"):
        backup_beside(store, Path("/proc/x.db"))
    assert there.read_text() == "mine"
    assert not list(tmp_path.glob(".*.tmp"))


def test_vacuum_gives_back_what_a_purged_run_held(store: Store, run_id: str) -> None:
    with open(store.folder(run_id).spool, "a") as file:
        for step in range(1000, 40_000):
            file.write(f'{{"r":"points","step":{step},"wall":1.0,"values":{{"loss":0.5}}}}\n')
    ingest(store, run_id)
    trash(store, [run_id])
    purge(store, [run_id])
    before, after = reclaim(store)
    assert after < before / 4
    assert check(store) == []


def test_network_disks_are_known_by_the_type_of_their_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = namedtuple("disk", "mountpoint fstype")
    disks = [disk("/", "ext4"), disk(str(tmp_path), "nfs4"), disk(str(tmp_path / "local"), "xfs")]
    monkeypatch.setattr("psutil.disk_partitions", lambda all: disks)
    assert network_disk(Path("/")) is None
    assert network_disk(tmp_path / "a" / "b") == "nfs4"
    assert network_disk(tmp_path / "local" / "c") is None
    for folder in ("a", "local"):
        (tmp_path / folder).mkdir()
    open_store(tmp_path / "local" / "x.db")
    with pytest.raises(UserError, match=r"lies on a network disk \(nfs4\), .* `tfllmer db copy` takes it to"):
        open_store(tmp_path / "a" / "x.db")
    assert not (tmp_path / "a" / "x.db").exists()


def test_a_folder_without_a_row_is_brought_in_and_never_thrown_away(store: Store, run_id: str) -> None:
    add_tag(store, [run_id], "baseline")
    execute(store, "DELETE FROM tag")
    execute(store, "DELETE FROM rollup")
    execute(store, "DELETE FROM point")
    execute(store, "DELETE FROM series")
    execute(store, "DELETE FROM event")
    execute(store, "DELETE FROM run")
    (finding,) = check(store)
    assert (finding.kind, finding.run) == ("orphan folder", run_id)
    assert "remove" not in finding.problem
    assert repair(store) == 1
    assert check(store) == []
    assert get_run(store, run_id).status == "finished"
    assert window(store, run_id, "loss", None, None, 1).count.tolist() == [500]
    assert find_run(store, "baseline").id == run_id


def test_what_a_folder_does_not_keep_is_found_and_kept(store: Store, run_id: str) -> None:
    document = store.folder(run_id).root / "store.json"
    execute(store, "UPDATE run SET reason = 'by a program that keeps nothing'")
    (finding,) = check(store)
    assert (finding.kind, finding.run) == ("not kept", run_id)
    assert repair(store) == 1
    assert check(store) == []
    assert "keeps nothing" in document.read_text()
    document.unlink()
    assert kinds(store) == ["not kept"]
    assert repair(store) == 1
    assert check(store) == []


def test_what_a_database_has_lost_since_a_power_failure_comes_from_the_folder(store: Store, run_id: str) -> None:
    copy = backup_beside(store)
    set_status(store, run_id, RunStatus.FAILED, "looked at it again")
    store.engine.dispose()
    copy.replace(store.path)
    again = open_store(store.path)
    assert kinds(again) == ["not kept"]
    assert repair(again) == 1
    assert (get_run(again, run_id).status, get_run(again, run_id).reason) == ("failed", "looked at it again")
    assert check(again) == []
