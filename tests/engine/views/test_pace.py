"""How long a run will take still: one estimate in the table of runs, in the queue and in studies."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from engine.store import Store, list_runs
from engine.store.queries.feed import Feed, RunRow
from engine.store.queries.heads import run_head
from engine.store.queries.pace import Pace, end_of, paces, usual_seconds
from engine.views.queue import RunningRun, queue_state
from tests.tui.app.bench import EPOCHS, fill, id_of

RUNNING, NEXT = id_of(6), id_of(7)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A run with five epochs of ten seconds each, the last of them just done; it began long before."""
    store = fill(tmp_path / "experiments.db")
    with store.write() as session:
        session.connection().execute(
            text(
                "UPDATE point SET wall = :now + step - 50 WHERE series_id IN (SELECT id FROM series WHERE run_id = :id)"
            ),
            {"now": time.time(), "id": RUNNING},
        )
    yield store
    store.engine.dispose()


def shown(store: Store, run_id: str) -> tuple[RunRow, RunningRun]:
    feed = Feed(store)
    row = next(row for row in feed.read().rows if row.id == run_id)
    feed.close()
    return row, next(run for run in queue_state(store).running if run.run == run_id)


def test_the_table_and_the_queue_say_the_same_at_the_pace_of_late(store: Store) -> None:
    row, running = shown(store, RUNNING)
    assert row.ends_at is not None and running.left_s is not None
    assert row.ends_at - time.time() == pytest.approx(running.left_s, abs=2)
    assert running.left_s == pytest.approx(10 * (EPOCHS - 5), abs=5)  # not by the hours since it began
    assert end_of(store, run_head(store, RUNNING)) == row.ends_at  # what run and show draw with
    finished = next(run for run in list_runs(store) if run.status == "finished")
    assert end_of(store, run_head(store, finished.id)) is None


def test_a_run_without_a_pace_of_its_own_goes_by_those_before_it_in_both(store: Store) -> None:
    with store.write() as session:
        session.connection().execute(
            text("UPDATE run SET status = 'running', attempt = 1, started = datetime('now') WHERE id = :id"),
            {"id": NEXT},
        )
    (usual,) = usual_seconds(store, [("demo", "sasrec")]).values()
    assert usual == 60 / EPOCHS
    row, running = shown(store, NEXT)
    assert row.epoch is None and row.ends_at is not None and running.left_s is not None
    assert row.ends_at - time.time() == pytest.approx(running.left_s, abs=2)
    assert running.left_s == pytest.approx(60, abs=5)
    assert usual_seconds(store, [("elsewhere", "sasrec")]) == {("elsewhere", "sasrec"): None}


def test_a_new_attempt_has_a_pace_of_its_own(store: Store) -> None:
    with store.write() as session:
        session.connection().execute(
            text(
                "UPDATE point SET attempt = 2 WHERE step >= 40"
                " AND series_id IN (SELECT id FROM series WHERE run_id = :id)"
            ),
            {"id": RUNNING},
        )
    assert paces(store, [RUNNING, NEXT])[NEXT] == Pace()
    pace = paces(store, [RUNNING])[RUNNING]
    assert pace.epoch == 5 and pace.epoch_s == pytest.approx(10)
    assert Pace(5.0, 100.0).ends_at(12, None, 2.0) == 114 and Pace().ends_at(12, 7.0, 2.0) == 31
    assert Pace().ends_at(12, None, 2.0) is None and Pace(5.0, 100.0).ends_at(12, 7.0) is None
