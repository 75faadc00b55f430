"""Every record of a spool arrives exactly once, whoever reads it and whenever."""

import math
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from engine import spool
from engine.errors import UserError
from engine.store import (
    Store,
    StoreError,
    artifacts,
    events,
    get_run,
    info,
    ingest,
    open_store,
    series,
    series_names,
    window,
)
from engine.store.core.tables import StoredSplit
from tests.forks import start_python

from ..helpers import new_run, spool_of, write_points


def test_every_kind_of_record(store: Store) -> None:
    run = new_run(store)
    writer, folder = spool_of(store, run), store.folder(run.id)
    writer.start(1, 4321, 17.5)
    writer.facts({"n_users": 5, "device": "cpu"})
    writer.facts({"n_items": 7, "device": "cuda"})
    writer.points(0, {"loss": 2.0, "epoch": 0})
    writer.event("a warning", "warning")
    writer.artifact("ranks", folder.ranks)
    writer.artifact("split", store.files / "splits" / "abc.parquet")
    assert ingest(store, run.id) == 7
    stored = get_run(store, run.id)
    assert (stored.status, stored.attempt, stored.pid, stored.pid_start) == ("running", 1, 4321, 17.5)
    assert stored.facts == {"n_users": 5, "n_items": 7, "device": "cuda"}
    assert stored.started is not None
    assert stored.ended is None
    assert series_names(store, run.id) == ["epoch", "loss"]
    assert [(a.kind, a.path) for a in artifacts(store, run.id)] == [
        ("ranks", "ranks.safetensors"),
        ("split", "../splits/abc.parquet"),
    ]
    with store.read() as session:
        split = session.get_one(StoredSplit, run.data_hash)
    assert (split.path, split.dataset) == ("splits/abc.parquet", "demo")

    writer.artifact("ranks", folder.ranks)
    writer.result({"epochs": 1})
    writer.end("failed", "exception: ValueError: no", "Traceback ...")
    assert ingest(store, run.id) == 3
    assert ingest(store, run.id) == 0
    stored = get_run(store, run.id)
    assert (stored.status, stored.reason, stored.detail) == ("failed", "exception: ValueError: no", "Traceback ...")
    assert stored.ended is not None
    assert stored.result == {"epochs": 1}
    assert len(artifacts(store, run.id)) == 2
    assert [(e.level, e.text) for e in events(store, run.id)] == [
        ("state", "queued"),
        ("state", "running (attempt 1)"),
        ("warning", "a warning"),
        ("state", "failed: exception: ValueError: no"),
    ]


def test_numbers_come_back_as_they_were(store: Store) -> None:
    run = new_run(store)
    values = [math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 0.1, 3.0, -1e-7]
    write_points(spool_of(store, run), dict(enumerate(values)))
    ingest(store, run.id)
    read = series(store, run.id, "loss")
    np.testing.assert_array_equal(read.values, values)
    np.testing.assert_array_equal(read.steps, np.arange(len(values)))
    assert abs(read.wall - time.time()).max() < 60
    with store.read() as session:
        nulls = session.connection().exec_driver_sql("SELECT count(*) FROM point WHERE value IS NULL").scalar_one()
    assert nulls == 0


def test_a_torn_line_waits_for_its_end_or_is_passed_over(store: Store) -> None:
    run = new_run(store)
    writer, path = spool_of(store, run), store.folder(run.id).spool
    write_points(writer, {0: 1.0})
    with open(path, "ab") as file:
        file.write(b'{"r":"points","step":1,"wall":1,"val')
    assert ingest(store, run.id) == 1
    assert ingest(store, run.id) == 0
    with open(path, "ab") as file:
        file.write(b'ues":{"loss":2.0}}\n{"r":"points","st')
    assert ingest(store, run.id) == 1
    write_points(spool_of(store, run), {2: 3.0})  # a new process closes the torn line
    assert ingest(store, run.id) == 1
    assert series(store, run.id, "loss").values.tolist() == [1.0, 2.0, 3.0]
    assert get_run(store, run.id).spool_offset == path.stat().st_size


def test_records_that_make_no_sense_are_told_and_do_not_stop_the_others(store: Store) -> None:
    run = new_run(store)
    with open(store.folder(run.id).spool, "w") as file:
        file.write('{"r":"points","step":0,"wall":1,"values":{"loss":1.0}}\n')
        file.write('{"r":"points","step":Infinity,"wall":1,"values":{"loss":9.0}}\n')
        file.write('{"r":"points","step":1,"wall":1,"values":{"loss":"much"}}\n')
        file.write('{"r":"points","step":1,"wall":1,"values":[1]}\n{"r":"start"}\n{"r":[]}\n{"r":"facts","values":3}\n')
        file.write('{"r":"event","at":"soon","level":"info","text":"x"}\n{"r":"of the future"}\n[]\n"x"\n')
        file.write('{"r":"event","at":"2026-01-01T00:00:00+00:00","level":"info","text":"caf\\udce9"}\n')
        file.write('{"r":"end","at":"2026-01-01T00:00:00+00:00","status":"exploded","reason":""}\n')
        file.write('{"r":"points","step":2,"wall":1,"values":{"loss":3.0}}\n')
    ingest(store, run.id)
    assert get_run(store, run.id).status == "queued"
    assert series(store, run.id, "loss").values.tolist() == [1.0, 3.0]
    texts = [event.text for event in events(store, run.id)]
    assert sum("makes no sense" in text for text in texts) == 8
    assert "caf\\udce9" in texts


def test_an_unknown_run(store: Store) -> None:
    with pytest.raises(UserError, match="no such run"):
        ingest(store, "01NOPE")


def test_a_resume_voids_what_older_attempts_reported_behind_it(store: Store) -> None:
    run = new_run(store)
    writer = spool_of(store, run)
    writer.start(1, 1, 1.0)
    for step in range(10_000):
        writer.points(step, {"loss": 100.0 + step})
    writer.points(9000, {"valid.mrr": 0.5})
    writer.points(50, {"valid.mrr": 0.1})
    ingest(store, run.id)
    writer.start(2, 2, 2.0)
    writer.resume(2, 4999)
    assert ingest(store, run.id) == 2
    assert series(store, run.id, "loss").steps[-1] == 4999
    assert series(store, run.id, "valid.mrr").steps.tolist() == [50]
    for step in range(5000, 6000):
        writer.points(step, {"loss": float(step)})
    ingest(store, run.id)
    loss = series(store, run.id, "loss")
    np.testing.assert_array_equal(loss.steps, np.arange(6000))
    np.testing.assert_array_equal(loss.values, [*range(100, 5100), *range(5000, 6000)])
    whole = window(store, run.id, "loss", None, None, 1)
    assert (whole.count[0], whole.max[0], whole.mean[0]) == (6000, 5999, loss.values.mean())
    assert info(store)["points"] == 6001
    writer.start(3, 3, 3.0)
    writer.resume(3, -1)  # no checkpoint: from the beginning
    ingest(store, run.id)
    assert info(store)["points"] == 0
    assert get_run(store, run.id).attempt == 3


def test_the_whole_story_in_one_batch_equals_the_story_record_by_record(store: Store) -> None:
    def tell(each: bool) -> tuple[list[float], list[int]]:
        run = new_run(store)
        writer = spool_of(store, run)
        for attempt, (first, last) in enumerate([(0, 300), (200, 500), (490, 600)], start=1):
            writer.start(attempt, 1, 1.0)
            if attempt > 1:
                writer.resume(attempt, first - 1)
            for step in range(first, last):
                writer.points(step, {"loss": step + attempt / 10})
                if each and step % 7 == 0:
                    ingest(store, run.id)
        ingest(store, run.id)
        return series(store, run.id, "loss").values.tolist(), window(store, run.id, "loss", 0, 600, 4).count.tolist()

    assert tell(each=True) == tell(each=False)


def test_an_error_in_the_middle_leaves_neither_rows_nor_offset(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(store)
    write_points(spool_of(store, run), dict.fromkeys(range(100), 1.0))

    def full(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("engine.store.curves.intake.refresh", full)
        with pytest.raises(KeyboardInterrupt):
            ingest(store, run.id)
    assert get_run(store, run.id).spool_offset == 0
    assert len(series(store, run.id, "loss").steps) == 0
    assert ingest(store, run.id) == 100
    assert len(series(store, run.id, "loss").steps) == 100


def test_a_locked_store_is_told_and_caught_up_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(store)
    write_points(spool_of(store, run), {0: 1.0})
    monkeypatch.setattr("engine.store.core.database.BUSY_S", 0.1)
    impatient = open_store(store.path)
    with store.write(), pytest.raises(StoreError, match="locked"):
        ingest(impatient, run.id)
    assert ingest(impatient, run.id) == 1


INGESTER = """
import sys, time
from engine.store import ingest, open_store
store, total = open_store(sys.argv[1]), 0
while True:
    for run_id in sys.argv[2:]:
        total += ingest(store, run_id)
    print(total, flush=True)
"""

WRITER = """
import sys
from pathlib import Path
from engine.spool import RunFolder, SpoolWriter
writer = SpoolWriter(RunFolder(Path(sys.argv[1])))
for step in range(int(sys.argv[2])):
    writer.points(step, {"loss": step / 7, "epoch": float(step)})
writer.end("finished", "")
"""


def test_many_ingesters_some_of_them_killed_lose_and_double_nothing(store: Store) -> None:
    runs, points = [new_run(store, seed=seed) for seed in range(3)], 4000
    for run in runs:
        store.folder(run.id).spool.touch()

    def ingester() -> "subprocess.Popen[str]":
        return start_python(INGESTER, str(store.path), *(run.id for run in runs), stdout=subprocess.PIPE)

    ingesters = [ingester() for _ in range(4)]
    for process in ingesters:  # all of them have begun
        assert process.stdout
        assert process.stdout.readline()
    folders = [str(store.folder(run.id).root) for run in runs]
    writers = [start_python(WRITER, folder, str(points)) for folder in folders]
    for process in ingesters[:2]:
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
    assert [writer.wait() for writer in writers] == [0] * 3
    for run in runs:
        ingest(store, run.id)
    for process in ingesters:
        process.kill()
        process.communicate()

    for run in runs:
        assert get_run(store, run.id).status == "finished"
        loss = series(store, run.id, "loss")
        np.testing.assert_array_equal(loss.steps, np.arange(points))
        np.testing.assert_array_equal(loss.values, np.arange(points) / 7)
        assert [event.text for event in events(store, run.id)] == ["queued", "finished"]
    assert info(store)["points"] == 2 * 3 * points


def test_events_are_not_doubled_by_ingesters_that_started_from_the_same_offset(store: Store) -> None:
    run = new_run(store)
    writer = spool_of(store, run)
    for number in range(2000):
        writer.event(f"line {number}")
    children = [start_python(INGESTER, str(store.path), run.id, stdout=subprocess.PIPE) for _ in range(3)]
    totals = []
    for child in children:
        assert child.stdout
        totals.append(int(child.stdout.readline()))
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    assert sum(totals) == 2000
    assert [event.text for event in events(store, run.id)][1:] == [f"line {number}" for number in range(2000)]


def test_a_spool_that_is_gone_is_no_error(store: Store, tmp_path: Path) -> None:
    run = new_run(store)
    write_points(spool_of(store, run), {0: 1.0})
    ingest(store, run.id)
    store.folder(run.id).spool.rename(tmp_path / "elsewhere")
    assert ingest(store, run.id) == 0
    assert len(series(store, run.id, "loss").steps) == 1


def test_a_spool_that_grows_as_fast_as_it_is_read_holds_nobody_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(store)
    writer = spool_of(store, run)
    writer.start(1, 4321, 17.5)
    read_on, reads = spool.read_on, 0

    def and_another_point(path: Path, mark: spool.SpoolMark, limit: int) -> spool.Portion | None:
        nonlocal reads
        portion, reads = read_on(path, mark, limit), reads + 1
        write_points(writer, {reads: 1.0})
        return portion

    monkeypatch.setattr(spool, "read_on", and_another_point)
    assert ingest(store, run.id) == 1
    assert ingest(store, run.id) <= 3
    monkeypatch.undo()
    ingest(store, run.id)
    assert series(store, run.id, "loss").steps.tolist() == list(range(1, reads + 1))
