"""A store under many hands, and on disks that are full, read-only or broken: nothing that was written is lost."""

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.queue.executors.endings import exited
from engine.spec import Experiment, to_json
from engine.spool import RunFolder
from engine.store import Run, Store, StoreError, get_run, info, ingest, open_store, series
from engine.store.upkeep import backup_beside, check
from tests.forks import start_python

from .helpers import new_run, spool_of, write_points

WRITERS, ROUNDS, EACH = 8, 24, 25

WRITER_PROCESSES = """
import os, sys
from engine.spec import Experiment
from engine.spool import SpoolWriter
from engine.store import create_run, ingest, open_store
path, (writers, rounds, each) = sys.argv[1], map(int, sys.argv[2:])

def write(seed):
    store = open_store(path)
    run = create_run(store, Experiment(seed=seed), overrides={}, command=[])
    os.write(1, f"{seed} {run.id}\\n".encode())
    os.read(0, 1)  # returns to all of them when the pipe is closed
    writer = SpoolWriter(store.folder(run.id))
    writer.start(1, 1, 1.0)
    for step in range(rounds * each):
        writer.points(step, {"loss": seed + step / 1000, "grad_norm": float(step)})
        if step % each == each - 1:
            ingest(store, run.id)
    writer.end("finished", "")
    ingest(store, run.id)

children = []
for seed in range(writers):  # the imports are paid for once
    if not (child := os.fork()):
        write(seed)
        sys.exit()
    children.append(child)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""

READER = """
import sys
from engine.store import info, open_store, list_records, window
store = open_store(sys.argv[1], read_only=True)
print(flush=True)
points = looks = 0
while len(records := list_records(store, status="finished")) < int(sys.argv[2]):
    now = info(store)["points"]
    assert now >= points, (now, points)
    points, looks = now, looks + 1
    for run in list_records(store, status="running", limit=2):
        seen = window(store, run.id, "loss", None, None, 20)
        assert seen.count.sum() in range(0, 100_000)
assert looks > 2
"""


def points_in(path: Path, end: int) -> int:
    """Point records among the first bytes of a spool."""
    return sum(json.loads(line)["r"] == "points" for line in path.read_bytes()[:end].splitlines())


def test_eight_writers_a_reader_and_a_backup_lose_and_double_nothing(store: Store, tmp_path: Path) -> None:
    def started(code: str, *words: object) -> "subprocess.Popen[str]":
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return start_python(code, str(store.path), *map(str, words), **pipes)

    writers, reader = started(WRITER_PROCESSES, WRITERS, ROUNDS, EACH), started(READER, WRITERS)
    assert writers.stdin and writers.stdout and reader.stdout
    ids = dict(writers.stdout.readline().split() for _ in range(WRITERS))
    reader.stdout.readline()
    writers.stdin.close()
    writers.stdin = None
    while info(store)["points"] < WRITERS * ROUNDS * EACH // 2:
        time.sleep(0.01)
    copy = open_store(backup_beside(store, tmp_path / "copy.db"))
    outcomes = [(*child.communicate(timeout=120), child.returncode) for child in (writers, reader)]
    assert [(code, errors) for _, errors, code in outcomes] == [(0, "")] * 2

    steps = np.arange(ROUNDS * EACH)
    partial = 0
    for seed in range(WRITERS):
        run_id = ids[str(seed)]
        for name, values in (("loss", seed + steps / 1000), ("grad_norm", steps.astype(float))):
            whole = series(store, run_id, name)
            np.testing.assert_array_equal(whole.steps, steps)
            np.testing.assert_array_equal(whole.values, values)
            copied = series(copy, run_id, name)
            told = points_in(store.folder(run_id).spool, get_run(copy, run_id).spool_offset)
            np.testing.assert_array_equal(copied.values, values[:told])
            partial += 0 < told < len(steps)
    assert partial, "the backup was made in the middle"
    assert check(store) == []
    assert {finding.kind for finding in check(copy)} == {"no files"}


# ------------------------------------------------------------------------------------ disks


def mount(*words: object) -> bool:
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() or not shutil.which("mount") or not mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", folder):
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def lines(run: Run, store: Store, count: int) -> None:
    """Many points at once, as a run that is faster than its readers leaves them."""
    with open(store.folder(run.id).spool, "a") as file:
        for step in range(count):
            file.write(f'{{"r":"points","step":{step},"wall":1.0,"values":{{"loss":{step / 10}}}}}\n')


def test_a_full_disk_is_told_and_caught_up_with(small_disk: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (small_disk / "experiments.files").symlink_to(files)  # the runs have room, the database has not
    store = open_store(small_disk / "experiments.db")
    run = new_run(store)
    lines(run, store, 40_000)
    with pytest.raises(StoreError, match="the disk is full; make room and try again") as error:
        ingest(store, run.id)
    assert "\n" not in str(error.value)
    kept = series(store, run.id, "loss").values
    np.testing.assert_array_equal(kept, np.arange(len(kept)) / 10)
    assert get_run(store, run.id).status == "queued", "what was there can be read"
    with pytest.raises(StoreError, match="the disk is full"):
        backup_beside(store, small_disk / "copy.db")
    assert not list(small_disk.glob("copy*"))
    assert mount("-o", "remount,size=64m", small_disk)
    ingest(store, run.id)
    np.testing.assert_array_equal(series(store, run.id, "loss").values, np.arange(40_000) / 10)
    assert check(store) == []


@pytest.mark.parametrize("free", [0, 4096, 16_384, 40_960])
def test_a_full_disk_is_called_so_at_once_also_by_a_new_store(small_disk: Path, free: int) -> None:
    room = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(b"x" * (room - free))
    with pytest.raises(StoreError, match="the disk is full; make room and try again"):
        new_run(open_store(small_disk / "experiments.db"))


def test_a_run_that_finds_the_disk_full_ends_with_a_code_that_says_so(small_disk: Path) -> None:
    folder = RunFolder(small_disk / "run")
    folder.root.mkdir()
    folder.spec.write_text(to_json(Experiment()))
    folder.lock.touch()
    (small_disk / "filler").write_bytes(b"x" * shutil.disk_usage(small_disk).free)
    done = subprocess.run(
        [sys.executable, "-m", "engine.job", folder.root], capture_output=True, text=True, check=False
    )
    assert exited(done.returncode, folder.log).reason.startswith("the disk is full"), done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_spool_on_a_full_disk_keeps_every_record_that_was_accepted(small_disk: Path, store: Store) -> None:
    run = new_run(store)
    shutil.move(store.folder(run.id).root, small_disk / run.id)
    store.folder(run.id).root.symlink_to(small_disk / run.id)
    writer = spool_of(store, run)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (900 << 10))
    accepted = {}
    with pytest.raises(OSError, match="No space left") as error:
        for step in range(10_000):
            writer.points(step, {"loss": step / 7})
            accepted[step] = step / 7
    assert error.value.errno == errno.ENOSPC
    assert 100 < len(accepted) < 10_000
    with pytest.raises(OSError, match="No space left"):
        writer.event("x" * 10_000)
    filler.unlink()
    writer.points(10_001, {"loss": 1.0})
    writer.close()
    ingest(store, run.id)
    got = series(store, run.id, "loss")
    assert dict(zip(got.steps.tolist(), got.values.tolist(), strict=True)) == accepted | {10_001: 1.0}


def test_a_disk_that_has_become_read_only(small_disk: Path) -> None:
    store = open_store(small_disk / "experiments.db")
    run = new_run(store)
    writer = spool_of(store, run)
    write_points(writer, {1: 1.0})
    ingest(store, run.id)
    write_points(writer, {2: 2.0})
    writer.close()
    store.engine.dispose()
    assert mount("-o", "remount,ro", small_disk)
    reader = open_store(small_disk / "experiments.db", read_only=True)
    assert series(reader, run.id, "loss").values.tolist() == [1.0]
    with pytest.raises(StoreError, match="read-only disk") as error:
        ingest(open_store(small_disk / "experiments.db"), run.id)
    assert "\n" not in str(error.value)
    reader.engine.dispose()
    assert mount("-o", "remount,rw", small_disk)
    ingest(open_store(small_disk / "experiments.db"), run.id)
    assert series(store, run.id, "loss").values.tolist() == [1.0, 2.0]


# ------------------------------------------------------------------------------------ damage


def test_a_backup_in_place_of_a_damaged_store_catches_up_from_the_spools(store: Store, tmp_path: Path) -> None:
    run = new_run(store)
    writer = spool_of(store, run)
    write_points(writer, {step: step / 3 for step in range(1000)})
    ingest(store, run.id)
    saved = backup_beside(store, tmp_path / "saved.db")
    write_points(writer, {step: step / 3 for step in range(1000, 2000)})
    ingest(store, run.id)
    store.engine.dispose()
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(store.path, "r+b") as file:
        file.seek(4096)
        file.write(os.urandom(store.path.stat().st_size - 4096))
    with pytest.raises(StoreError) as error:
        ingest(open_store(store.path), run.id)
    assert "`tfllmer db restore BACKUP` puts a backup in its place" in str(error.value)
    assert "\n" not in str(error.value)
    write_points(writer, {2000: 1.0})  # the run does not care
    writer.close()
    for leftover in store.path.parent.glob("experiments.db*"):
        leftover.unlink()
    saved.replace(store.path)
    again = open_store(store.path)
    ingest(again, run.id)
    expected = [*(step / 3 for step in range(2000)), 1.0]
    assert series(again, run.id, "loss").values.tolist() == expected
    assert check(again) == []


def cut_points(spool: bytes) -> Iterator[int]:
    ends = [i + 1 for i, byte in enumerate(spool) if byte == ord("\n")]
    for end in ends[:3]:
        yield from (end - 1, end, end + 1, end + 20)
    yield len(spool) - 1


def test_a_spool_cut_anywhere_in_a_line_loses_only_that_line(store: Store) -> None:
    original = new_run(store)
    writer = spool_of(store, original)
    write_points(writer, {step: float(step) for step in range(5)})
    writer.close()
    whole = store.folder(original.id).spool.read_bytes()
    for cut in cut_points(whole):
        run = new_run(store)
        store.folder(run.id).spool.write_bytes(whole[:cut])
        ingest(store, run.id)
        kept = whole[:cut].count(b"\n")
        assert series(store, run.id, "loss").values.tolist() == [float(step) for step in range(kept)]
        kept += whole[cut : cut + 1] == b"\n"  # only the newline was missing, which the next attempt writes
        writer = spool_of(store, run)
        write_points(writer, {100: 1.0})
        writer.close()
        ingest(store, run.id)
        assert series(store, run.id, "loss").values.tolist() == [*map(float, range(kept)), 1.0]
