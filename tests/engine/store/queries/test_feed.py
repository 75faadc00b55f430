"""What a screen that polls is told, and series as charts show them."""

from collections.abc import Callable

import numpy as np
import pytest

from engine.records import RunStatus
from engine.store import Store, ingest, series, set_status
from engine.store.annotations import add_note, add_tag, edit_note, remove_tag, restore, trash
from engine.store.curves.traces import trace
from engine.store.queries.feed import AT_ONCE, Feed
from tests.engine.store.helpers import new_run, spool_of, write_points


def test_a_feed_tells_what_is_new_and_nothing_twice(store: Store) -> None:
    feed = Feed(store)
    assert feed.read().rows == ()
    run = new_run(store, train={"epochs": 7})
    assert feed.changed()
    (row,) = feed.read().rows
    assert (row.id, row.status, row.epochs, row.epoch) == (run.id, "queued", 7, None)
    assert not feed.changed() and feed.read().rows == ()
    set_status(store, run.id, RunStatus.FAILED, "why")
    (row,) = feed.read().rows
    assert (row.status, row.reason) == ("failed", "why")
    feed.close()


def test_a_running_run_tells_how_far_it_is(store: Store) -> None:
    run = new_run(store, train={"epochs": 10})
    writer = spool_of(store, run)
    writer.start(1, 1, 1.0)
    for epoch, ndcg in enumerate([0.1, 0.3, float("nan"), 0.3]):
        writer.points(epoch * 5, {"epoch": epoch, "train_ce": 6.0 - epoch})
        writer.points(epoch * 5, {"valid.ndcg@10": ndcg, "valid.hr@10": 0.5 + epoch / 10})
    ingest(store, run.id)
    (row,) = Feed(store).read().rows
    assert (row.epoch, row.train_ce, row.curve) == (3.0, 3.0, (6.0, 5.0, 4.0, 3.0))
    assert row.valid == {"ndcg@10": 0.3, "hr@10": 0.6}, "of the epoch that would be kept"


def test_many_runs_come_in_parts_newest_first(store: Store) -> None:
    made = [new_run(store, seed=seed).id for seed in range(3)]
    with store.write() as session:
        execute = session.connection().exec_driver_sql
        others = ", ".join(row[1] for row in execute("PRAGMA table_info(run)") if row[1] != "id")
        for number in range(AT_ONCE):
            execute(
                f"INSERT INTO run (id, {others}) SELECT ?, {others} FROM run WHERE id = ?", (f"00{number:024}", made[0])
            )
    feed = Feed(store)
    first = feed.read()
    assert len(first.rows) == AT_ONCE and first.more and set(made) <= {row.id for row in first.rows}
    second = feed.read()
    assert len(second.rows) == 3 and not second.more


def test_tags_notes_and_the_trash_are_told(store: Store) -> None:
    runs = [new_run(store, seed=seed, note=note).id for seed, note in enumerate(["", "from the start"])]
    for run in runs:
        set_status(store, run, RunStatus.FAILED, "why")
    feed = Feed(store)
    assert [(row.tags, row.notes, row.removed) for row in sorted(feed.read().rows, key=lambda row: row.id)] == [
        ((), (), False),
        ((), ("from the start",), False),
    ]
    changes: tuple[Callable[[], object], ...] = (
        lambda: add_tag(store, runs, "b"),
        lambda: add_tag(store, runs[:1], "a"),
        lambda: edit_note(store, runs[0], "two\nlines"),
        lambda: edit_note(store, runs[0], "two\nlines more"),
        lambda: edit_note(store, runs[1], "edited"),
        lambda: remove_tag(store, runs, "b"),
    )
    for change, told in zip(changes, (2, 1, 1, 1, 1, 2), strict=True):
        change()
        feed.look_at_all()
        assert feed.changed() and len(feed.read().rows) == told
    add_note(store, runs[1], "more")
    trash(store, runs[:1])
    feed.look_at_all()
    delta = feed.read()
    assert delta.gone == (runs[0],) and [row.notes for row in delta.rows] == [("edited", "more")]
    (removed,) = feed.removed()
    assert (removed.id, removed.tags, removed.notes, removed.removed) == (runs[0], ("a",), ("two\nlines more",), True)
    restore(store, runs)
    feed.look_at_all()
    assert [row.id for row in feed.read().rows] == [runs[0]] and feed.removed() == []


def test_a_trace_of_few_points_is_exact(store: Store) -> None:
    run = new_run(store)
    writer = spool_of(store, run)
    values = {0: 3.0, 7: float("nan"), 9: 1.0}
    for step, value in values.items():
        writer.points(step, {"loss": value, "epoch": step / 10})
    ingest(store, run.id)
    found = trace(store, run.id, "loss")
    assert found.steps.tolist() == [0, 7, 9] and found.gaps.tolist() == [1] and found.points == 3
    np.testing.assert_array_equal(found.mean, [3.0, np.nan, 1.0])
    np.testing.assert_allclose(found.epochs, [0, 0.7, 0.9])
    assert found.minutes[0] == 0 and (np.diff(found.minutes) >= 0).all()


def test_a_long_trace_keeps_every_extreme(store: Store) -> None:
    run = new_run(store)
    rng = np.random.default_rng(0)
    values = rng.normal(size=6000)
    write_points(spool_of(store, run), dict(enumerate(values.tolist())))
    ingest(store, run.id)
    found = trace(store, run.id, "loss")
    assert found.points == 6000 and len(found.steps) <= 1024
    assert np.nanmin(found.low) == values.min() and np.nanmax(found.high) == values.max()
    part = trace(store, run.id, "loss", 100, 200)
    np.testing.assert_array_equal(part.mean, values[100:200])


@pytest.mark.parametrize("restart", [1, 4, 9])
def test_restarts_are_found(store: Store, restart: int) -> None:
    run = new_run(store)
    writer = spool_of(store, run)
    writer.start(1, 1, 1.0)
    write_points(writer, dict.fromkeys(range(0, 10, 1), 1.0))
    writer.start(2, 2, 2.0)
    writer.resume(2, restart - 1)
    write_points(writer, dict.fromkeys(range(restart, 12), 2.0))
    ingest(store, run.id)
    found = trace(store, run.id, "loss")
    assert found.restarts.tolist() == [restart]
    assert series(store, run.id, "loss").values.tolist() == found.mean.tolist()
