"""A spool that the machine has lost the end of is noticed and read again: nothing doubled, nothing of the tail left."""

import os
import random
from collections.abc import Iterator

import numpy as np
import pytest

from engine.records import RunStatus
from engine.spool import RunFolder, SpoolMark, SpoolWriter, read_records, secured
from engine.store import Run, Store, events, get_run, info, ingest, series, set_status
from engine.store.queue import queue_again
from engine.store.upkeep import check, repair

from ..helpers import new_run, spool_of


def begin(store: Store, run: Run, attempt: int, first: int, last: int) -> SpoolWriter:
    """An attempt that has reported the steps from first to last."""
    writer = spool_of(store, run)
    writer.start(attempt, 1000 + attempt, 1.0)
    if attempt > 1:
        writer.resume(attempt, first - 1)
    for step in range(first, last):
        writer.points(step, {"loss": step + attempt / 10, "epoch": step / 10})
    writer.event(f"attempt {attempt} is at {last}")
    return writer


def finish(writer: SpoolWriter) -> None:
    writer.facts({"n_users": 3})
    writer.result({"test": {"ndcg@10": 0.5}})
    writer.end("finished", "")
    writer.close()


def expected(folder: RunFolder) -> dict[int, float]:
    points: dict[int, float] = {}
    for record in read_records(folder.spool)[0]:
        if record["r"] == "resume":
            points = {step: value for step, value in points.items() if step <= record["step"]}
        if record["r"] == "points":
            points[record["step"]] = record["values"]["loss"]
    return points


def assert_like_the_spool(store: Store, run: Run) -> None:
    loss, wanted = series(store, run.id, "loss"), expected(store.folder(run.id))
    assert dict(zip(loss.steps.tolist(), loss.values.tolist(), strict=True)) == wanted
    assert info(store)["points"] == 2 * len(wanted)
    assert check(store) == []
    told = [(event.at, event.level, event.text) for event in events(store, run.id)]
    assert len(told) == len(set(told)), "no event is doubled"


def cuts(count: int) -> Iterator[int]:
    generator = random.Random(0)
    yield from (0, 1)
    yield from (generator.randrange(2, 20_000) for _ in range(count - 2))


@pytest.mark.parametrize("kept", list(cuts(12)))
def test_a_run_that_trains_on_behind_a_cut_has_its_result(store: Store, kept: int) -> None:
    """It trains again below the offset that was read: not a record of it is passed over."""
    run = new_run(store)
    begin(store, run, 1, 0, 200).close()
    ingest(store, run.id)
    spool = store.folder(run.id).spool
    os.truncate(spool, min(kept, spool.stat().st_size - 1))
    attempt = 1 + spool.read_text().count('"r":"start"')
    finish(begin(store, run, attempt, 0, 40 if kept % 2 else 400))  # ends below the old offset, or beyond it
    ingest(store, run.id)
    stored = get_run(store, run.id)
    assert (stored.status, stored.attempt, stored.result) == ("finished", attempt, {"test": {"ndcg@10": 0.5}})
    assert stored.facts == {"n_users": 3}
    assert_like_the_spool(store, run)
    assert ingest(store, run.id) == 0


def test_the_points_of_the_lost_tail_go(store: Store) -> None:
    run = new_run(store)
    begin(store, run, 1, 0, 300).close()
    ingest(store, run.id)
    spool = store.folder(run.id).spool
    os.truncate(spool, spool.stat().st_size // 2)
    ingest(store, run.id)
    assert get_run(store, run.id).status == "running"
    assert 100 < len(series(store, run.id, "loss").steps) < 200
    assert [event.text for event in events(store, run.id)] == ["queued", "running (attempt 1)", "attempt 1 is at 300"]
    assert_like_the_spool(store, run)


def test_another_spool_of_the_same_length_is_noticed(store: Store) -> None:
    run = new_run(store)
    begin(store, run, 1, 0, 300).close()
    ingest(store, run.id)
    spool = store.folder(run.id).spool
    text = spool.read_text()
    spool.write_text(text.replace(".1,", ".7,"))
    assert spool.stat().st_size == len(text)
    ingest(store, run.id)
    assert series(store, run.id, "loss").values[0] == 0.7
    assert_like_the_spool(store, run)


def test_a_long_spool_is_read_again_in_one_piece(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.curves.intake.BLOCK", 1000)
    run = new_run(store)
    begin(store, run, 1, 0, 300).close()
    ingest(store, run.id)
    begin(store, run, 2, 100, 250).close()
    ingest(store, run.id)
    os.truncate(store.folder(run.id).spool, store.folder(run.id).spool.stat().st_size - 10)
    ingest(store, run.id)
    assert_like_the_spool(store, run)


def test_what_was_read_of_a_run_that_has_ended_is_kept(store: Store) -> None:
    run = new_run(store)
    finish(begin(store, run, 1, 0, 300))
    ingest(store, run.id)
    os.truncate(store.folder(run.id).spool, 500)
    assert ingest(store, run.id) == 0
    stored = get_run(store, run.id)
    assert (stored.status, stored.result) == ("finished", {"test": {"ndcg@10": 0.5}})
    assert len(series(store, run.id, "loss").steps) == 300
    assert [finding.kind for finding in check(store)] == ["spool cut"]


def test_one_that_is_queued_again_waits_as_it_was(store: Store) -> None:
    run = new_run(store)
    begin(store, run, 1, 0, 300).close()
    ingest(store, run.id)
    failed = set_status(store, run.id, RunStatus.FAILED, "for the test")
    os.truncate(store.folder(run.id).spool, 500)
    assert queue_again(store, failed, "by the user")
    ingest(store, run.id)
    assert get_run(store, run.id).status == "queued"


def test_a_mark_holds_in_its_spool_alone(store: Store) -> None:
    folder = store.folder(new_run(store).id)
    assert SpoolMark().holds_in(folder.spool), "nothing of no file"
    writer = SpoolWriter(folder)
    for step in range(500):
        writer.points(step, {"loss": step / 7})
    mark = secured(folder.spool)
    assert mark.offset == folder.spool.stat().st_size and mark.holds_in(folder.spool)
    writer.points(500, {"loss": 1.0})
    assert mark.holds_in(folder.spool)
    assert SpoolMark(mark.offset).holds_in(folder.spool), "of an earlier version: a line ends there"
    assert not SpoolMark(mark.offset - 1).holds_in(folder.spool)
    os.truncate(folder.spool, mark.offset - 2)
    assert not mark.holds_in(folder.spool)
    SpoolWriter(folder).points(499, {"loss": 499 / 7 + 1})
    assert not mark.holds_in(folder.spool)


# ------------------------------------------------------------------------------------ db check


def test_a_finished_run_without_its_result_is_found_and_mended(store: Store) -> None:
    run = new_run(store)
    finish(begin(store, run, 1, 0, 50))
    ingest(store, run.id)
    with store.write() as session:  # as earlier versions left it
        session.connection().exec_driver_sql("UPDATE run SET result = NULL, spool_mark = ''")
    assert [(finding.kind, finding.run) for finding in check(store)] == [("no result", run.id)]
    assert repair(store) == 1
    assert check(store) == []
    assert get_run(store, run.id).result == {"test": {"ndcg@10": 0.5}}


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO point SELECT id, 77777, 1.0, 1.0, 1 FROM series WHERE name = 'loss'",
        "DELETE FROM point WHERE step = 20",
        "DELETE FROM series WHERE name = 'epoch'",
    ],
)
def test_points_that_differ_from_the_spool_are_found_and_mended(store: Store, sql: str) -> None:
    run = new_run(store)
    finish(begin(store, run, 1, 0, 50))
    ingest(store, run.id)
    with store.write() as session:
        session.connection().exec_driver_sql(sql)
    assert [finding.run for finding in check(store)] == [run.id]
    assert repair(store) == 1
    assert check(store) == []
    np.testing.assert_array_equal(series(store, run.id, "loss").steps, np.arange(50))


def test_a_spool_with_something_else_where_it_was_read_to_is_found(store: Store) -> None:
    run = new_run(store)
    finish(begin(store, run, 1, 0, 50))
    ingest(store, run.id)
    spool = store.folder(run.id).spool
    spool.write_text(spool.read_text().replace('"finished"', '"fInished"'))
    assert [finding.kind for finding in check(store)] == ["spool differs"]
