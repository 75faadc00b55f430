"""A store goes from a file to a server and back and is the same; nothing is half copied."""

import importlib
import math
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.store import Store, copying, count_runs, info, ingest, open_store, series
from engine.store import queue as rows
from engine.store.annotations import add_note, add_tag, trash
from engine.store.copying import copy_store
from engine.store.core.server import PostgresServer
from engine.store.queries.feed import Feed
from engine.store.upkeep import check
from tests.engine.store.backends.test_contract import finished_run
from tests.engine.store.helpers import new_run, spool_of, write_points
from tests.servers import new_schema


def filled(path: Path) -> Store:
    store = open_store(path)
    runs = [finished_run(store, seed) for seed in range(3)]
    spool = spool_of(store, runs[0])
    values = [0.1, -0.0, 5e-324, math.nan, math.inf, -math.inf]
    write_points(spool, dict(enumerate(values)) | {(1 << 40) - 1: 2.5}, "odd")
    ingest(store, runs[0].id)
    add_tag(store, [run.id for run in runs], "best")
    add_note(store, runs[1].id, "100% \N{SNOWMAN}?\t'\"\\N")
    trash(store, [runs[2].id])
    rows.add_worker(store, "w", ["cpu"])
    return store


def dump(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        return sorted(line for line in connection.iterdump() if line.startswith("INSERT"))


def test_to_a_server_and_back_is_identical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    source = filled(tmp_path / "a.db")
    server = new_schema(postgres_server, "copied")
    monkeypatch.setenv("TFLLMER_FILES", str(tmp_path / "server.files"))
    told: list[tuple[int, int]] = []
    there = copy_store(source.path, server, lambda done, of: told.append((done, of)))
    back = copy_store(server, tmp_path / "b.db")
    assert told[-1][0] == told[-1][1] == 2 * sum(table.rows for table in there.tables.values())
    assert there.tables == back.tables
    assert there.tables["run"].rows == 3
    assert dump(tmp_path / "a.db") == dump(tmp_path / "b.db")
    middle, after = open_store(server), open_store(tmp_path / "b.db")
    assert check(after) == check(middle) == []
    one = next(iter(source.files.glob("0*"))).name
    assert (after.files / one / "spool.jsonl").read_bytes() == (source.files / one / "spool.jsonl").read_bytes()
    assert info(middle)["points"] == info(source)["points"]
    new = finished_run(middle, seed=9)  # it counts on from numbers that came with their rows
    assert len(series(middle, new.id, "train_ce").steps) == 5
    with pytest.raises(UserError, match="holds something already"):
        copy_store(source.path, server)
    with pytest.raises(UserError, match="to itself"):
        copy_store(source.path, source.path)


@pytest.mark.slow
def test_five_thousand_runs_and_two_million_points_come_back_identical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[4] / "benchmarks"))
    importlib.import_module("make_store").make(open_store(tmp_path / "a.db"), 5000, 2_000_000)
    server = new_schema(postgres_server, "large")
    monkeypatch.setenv("TFLLMER_FILES", str(tmp_path / "server.files"))
    began = time.monotonic()
    there = copy_store(tmp_path / "a.db", server)
    halfway = time.monotonic()
    back = copy_store(server, tmp_path / "b.db")
    print(f"there in {halfway - began:.0f} s, back in {time.monotonic() - halfway:.0f} s")
    assert (there.tables["run"].rows, there.tables["point"].rows >= 2_000_000) == (5000, True)
    assert there.tables == back.tables
    assert dump(tmp_path / "a.db") == dump(tmp_path / "b.db")


def test_what_a_server_cannot_hold_stops_the_copy_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    source = filled(tmp_path / "a.db")
    with sqlite3.connect(source.path) as connection:
        connection.execute("UPDATE run SET spec = 'no JSON' WHERE seed = 1")
    server = new_schema(postgres_server, "refused")
    monkeypatch.setenv("TFLLMER_FILES", str(tmp_path / "server.files"))
    with pytest.raises(UserError, match=r"run cannot be held there"):
        copy_store(source.path, server)
    assert count_runs(open_store(server), trashed=None) == 0
    assert not list((tmp_path / "server.files").glob("0*"))


def test_what_is_read_while_folders_are_copied_is_not_ahead_of_them(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = new_run(store)
    spool = spool_of(store, one)
    write_points(spool, {0: -0.0})  # which a server tells from 0.0, and a file does not
    ingest(store, one.id)
    copy_files = copying._copy_files

    def and_another_point(source: Path, target: Path) -> list[Path]:
        made = copy_files(source, target)
        write_points(spool, {1: 2.0})
        ingest(store, one.id)
        return made

    monkeypatch.setattr(copying, "_copy_files", and_another_point)
    source = store.backend.address if isinstance(store.backend, PostgresServer) else store.path
    copied = copying.copy_store(source, tmp_path / "copy.db")
    spool.close()
    assert copied.tables["point"].rows == 1
    assert check(open_store(tmp_path / "copy.db")) == []


def test_a_store_is_copied_while_others_write_and_look_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    server = new_schema(postgres_server, "busy")
    monkeypatch.setenv("TFLLMER_FILES", str(tmp_path / "server.files"))
    store = open_store(server)
    runs = [new_run(store, seed=seed) for seed in range(8)]
    problems: list[BaseException] = []

    def writes(run_id: str) -> None:
        try:
            spool = spool_of(own := open_store(server), next(run for run in runs if run.id == run_id))
            for start in range(0, 1000, 50):
                write_points(spool, {step: float(step) for step in range(start, start + 50)})
                ingest(own, run_id)
            spool.close()
            own.engine.dispose()
        except BaseException as error:
            problems.append(error)

    writers = [threading.Thread(target=writes, args=(run.id,)) for run in runs]
    feed, seen = Feed(store), set[str]()
    for writer in writers:
        writer.start()
    monkeypatch.setenv("TFLLMER_FILES", str(tmp_path / "server.files"))
    copied = copy_store(server, tmp_path / "copy.db")
    while any(writer.is_alive() for writer in writers):
        seen |= {row.id for row in feed.read().rows}
        writers[0].join(0.02)
    for writer in writers:
        writer.join()
    seen |= {row.id for row in feed.read().rows}
    feed.close()
    assert not problems
    assert seen == {run.id for run in runs}
    assert [len(series(store, run.id, "loss").steps) for run in runs] == [1000] * 8
    assert info(store)["points"] == 8000
    assert check(store) == []
    copy = open_store(tmp_path / "copy.db")
    assert copied.tables["point"].rows == info(copy)["points"]
    for run in runs:  # what was not in it yet is read from the spools that came with it
        ingest(copy, run.id)
    shutil.rmtree(store.files)
    found = check(copy)
    assert all(finding.kind == "behind" for finding in found), found


WRITER = """
import sys
from engine.spool import SpoolWriter
from engine.store import ingest, open_store
store = open_store(sys.argv[1])
spool = SpoolWriter(store.folder(sys.argv[2]))
for start in range(0, 3000, 50):
    for step in range(start, start + 50):
        spool.points(step, {"loss": float(step), "other": -float(step)})
    ingest(store, sys.argv[2])
spool.close()
"""


@pytest.mark.slow
def test_eight_processes_write_while_a_screen_looks_on_and_copies_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    server = new_schema(postgres_server, "processes")
    monkeypatch.setenv("TFLLMER_FILES", str(tmp_path / "server.files"))
    store = open_store(server)
    runs = [new_run(store, seed=seed) for seed in range(8)]
    words = [[sys.executable, "-c", WRITER, store.name, run.id] for run in runs]
    writers = [subprocess.Popen(each, env=store.environment) for each in words]
    feed, copies, seen = Feed(store), list[Path](), dict[str, int]()
    while any(writer.poll() is None for writer in writers):
        if feed.changed():
            seen |= {row.id: len(row.curve) for row in feed.read().rows}
        if len(copies) < 3:
            copies.append(tmp_path / f"copy{len(copies)}.db")
            copied = copy_store(server, copies[-1])
            assert copied.tables["run"].rows == 8
    assert [writer.returncode for writer in writers] == [0] * 8
    seen |= {row.id: len(row.curve) for row in feed.read().rows}
    feed.close()
    assert seen.keys() == {run.id for run in runs}
    expected = list(range(3000))
    for name, sign in (("loss", 1), ("other", -1)):
        for run in runs:
            there = series(store, run.id, name)
            assert there.steps.tolist() == expected
            assert there.values.tolist() == [sign * float(step) for step in expected]
    assert info(store)["points"] == 2 * 8 * 3000
    assert check(store) == []
    for path in copies:
        copy = open_store(path)
        for run in runs:  # what was not in it yet is in the spools that came with it
            ingest(copy, run.id)
            steps = series(copy, run.id, "loss").steps.tolist()
            assert steps == expected[: len(steps)]
        assert check(copy) == []
