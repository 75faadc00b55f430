"""What the store promises (docs/store.md), asked of every kind of database that can hold one."""

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from engine.errors import UserError
from engine.records import RunStatus
from engine.spec import Experiment
from engine.store import (
    Run,
    Store,
    StoreError,
    artifacts,
    count_runs,
    create_run,
    events,
    find_run,
    get_run,
    info,
    ingest,
    list_runs,
    open_store,
    record,
    request_cancel,
    series,
    series_names,
    set_status,
    window,
)
from engine.store import queue as rows
from engine.store.annotations import add_tag
from engine.store.core.folders import read_document
from engine.store.core.tables import Event, StoredWorker
from engine.store.core.tables import Run as RunRow
from engine.store.curves.intake import read_again
from engine.store.curves.traces import trace
from engine.store.runs import mark_damaged
from engine.store.upkeep import check, repair
from tests.engine.store.helpers import new_run, spool_of, write_points

PID = 4194304
WISHES = rows.Wishes("local", ("auto", "cpu"))


def claim(store: Store, worker: StoredWorker) -> Run | None:
    return rows.claim(store, worker, "cpu", WISHES)


def again(store: Store) -> Store:
    """The same store, opened by another."""
    return open_store(store.name if store.backend.environment == {} else _with_password(store))


def _with_password(store: Store) -> str:
    from tests.servers import PASSWORD

    return store.name.replace("tfllmer@", f"tfllmer:{PASSWORD}@")


def until(condition: Callable[[], bool]) -> None:
    give_up = datetime.now(UTC) + timedelta(seconds=60)
    while not condition():
        assert datetime.now(UTC) < give_up


def finished_run(store: Store, seed: int = 0, **values: object) -> Run:
    """A run whose spool says that it was trained."""
    run = new_run(store, seed=seed)
    with_spool = spool_of(store, run)
    with_spool.start(1, PID, 1.0)
    write_points(with_spool, {step: step / 10 for step in range(5)}, "epoch")
    write_points(with_spool, {step: 5.0 - step for step in range(5)}, "train_ce")
    with_spool.facts({"n_targets": 100})
    with_spool.result(
        {
            "epochs": 3,
            "wall_s": 6.0,
            "train_ce": [{"epoch": 1, "value": 5.0}, {"epoch": 2, "value": 3.0}, {"epoch": 3, "value": 1.0}],
            "test": {"ndcg@10": 0.25 + seed / 100},
            **values,
        }
    )
    with_spool.end("finished", "")
    with_spool.close()
    ingest(store, run.id)
    return run


# ------------------------------------------------------------------------------------ transactions


def test_a_write_happens_wholly_or_not_at_all(store: Store) -> None:
    run = new_run(store)
    with pytest.raises(ZeroDivisionError), store.write() as session:
        session.add(Event(run_id=run.id, at=datetime.now(UTC), level="info", text="half"))
        session.flush()
        raise ZeroDivisionError
    assert [event.text for event in events(store, run.id)] == ["queued"]
    with pytest.raises(StoreError, match="reading only"), open_for_reading(store).write():
        pass


def open_for_reading(store: Store) -> Store:
    return open_store(_with_password(store) if store.backend.environment else store.name, read_only=True)


def test_a_reader_sees_one_state_while_others_write(store: Store) -> None:
    new_run(store)
    with store.rows() as connection:
        before = connection.execute("SELECT count(*) FROM run").fetchone()
        with ThreadPoolExecutor(1) as others:
            others.submit(new_run, again(store), seed=1).result()
        assert connection.execute("SELECT count(*) FROM run").fetchone() == before == (1,)
    assert count_runs(store) == 2


def test_writers_wait_for_one_another_and_lose_nothing(store: Store) -> None:
    run = new_run(store)

    def count_up(_: int) -> None:
        with store.write() as session:  # reads before it writes
            row = session.get_one(RunRow, run.id)
            row.crashes += 1

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(count_up, range(40)))
    assert get_run(store, run.id).crashes == 40


def test_a_lock_that_stays_ends_the_wait_with_one_line(store: Store) -> None:
    with store.write() as session:
        session.connection()
        with pytest.raises(StoreError, match="another program has kept it locked"):
            add_tag(again(store).waiting(0.2), [new_id()], "x")


def new_id() -> str:
    return "01ARZ3NDEKTSV4RRFFQ69G5FAV"


# ------------------------------------------------------------------------------------ runs


def test_a_run_is_its_row_and_its_folder(store: Store) -> None:
    experiment = Experiment.model_validate({"seed": 3, "note": "a \N{SNOWMAN}"})
    run = create_run(store, experiment, overrides={"seed": 3}, command=["tfllmer", "run"])
    assert store.folder(run.id).spec.is_file()
    there = get_run(again(store), run.id)
    assert (there.seed, there.command, there.overrides) == (3, ["tfllmer", "run"], {"seed": 3})
    assert there.created == run.created and there.created.tzinfo is not None
    assert there.spec == run.spec
    kept = read_document(store.folder(run.id).root / "store.json")
    assert kept is not None and kept["status"] == "queued"
    assert find_run(store, run.id[:12].lower()).id == run.id
    with pytest.raises(UserError, match="no such run"):
        get_run(store, new_id())


def test_a_run_that_cannot_be_written_leaves_no_folder(store: Store) -> None:
    store.make_files()
    with pytest.raises(StoreError):
        create_run(open_for_reading(store), Experiment(), overrides={}, command=[])
    assert not list(store.files.glob("0*"))


def test_lists_are_in_order_and_status_changes_are_told(store: Store) -> None:
    runs = [new_run(store, seed=seed) for seed in range(3)]
    set_status(store, runs[1].id, RunStatus.FAILED, "because")
    request_cancel(store, runs[2].id)
    mark_damaged(store, runs[0].id, "first")
    mark_damaged(store, runs[0].id, "second")
    assert [run.id for run in list_runs(store)] == [run.id for run in reversed(runs)]
    assert [run.id for run in list_runs(store, status="failed")] == [runs[1].id]
    assert [event.text for event in events(store, runs[1].id)] == ["queued", "failed: because"]
    assert get_run(store, runs[1].id).ended is not None
    assert get_run(store, runs[2].id).cancel_requested
    assert record(store, runs[0]).damage == "first"
    assert info(store)["runs"] == {"failed": 1, "queued": 2}


# ------------------------------------------------------------------------------------ spools


def test_a_spool_is_read_exactly_once_by_however_many(store: Store) -> None:
    run = new_run(store)
    spool = spool_of(store, run)
    spool.start(1, PID, 1.0)
    write_points(spool, {step: float(step) for step in range(300)})
    others = [again(store) for _ in range(4)]
    with ThreadPoolExecutor(4) as readers:
        applied = list(readers.map(lambda each: ingest(each, run.id), others))
    assert sum(applied) == 301
    assert ingest(store, run.id) == 0
    assert series(store, run.id, "loss").steps.tolist() == list(range(300))
    assert len(events(store, run.id)) == 2
    assert info(store)["points"] == 300
    with pytest.raises(UserError, match="no such run"):
        ingest(store, new_id())


def test_numbers_come_back_as_they_were(store: Store) -> None:
    run = new_run(store)
    spool = spool_of(store, run)
    values = [0.1, -0.0, 5e-324, 1.7976931348623157e308, math.nan, math.inf, -math.inf, 3.0]
    write_points(spool, dict(enumerate(values)) | {(1 << 40) - 1: 2.5})
    ingest(store, run.id)
    there = series(store, run.id, "loss")
    np.testing.assert_array_equal(there.values, [*values, 2.5])
    assert there.steps[-1] == (1 << 40) - 1
    seen = window(store, run.id, "loss", 0, 8, 2)
    assert (seen.count.tolist(), seen.nan.tolist()) == ([4, 4], [0, 3])
    assert series_names(store, run.id) == ["loss"]
    assert check(store) == []


def test_windows_are_exact_and_resumed_attempts_void_later_points(store: Store) -> None:
    run = new_run(store)
    spool = spool_of(store, run)
    spool.start(1, PID, 1.0)
    generator = np.random.default_rng(0)
    values = generator.normal(size=9000)
    write_points(spool, dict(enumerate(values)))
    ingest(store, run.id)
    spool.start(2, PID, 2.0)
    spool.resume(2, 4999)
    write_points(spool, dict.fromkeys(range(5000, 6000), 1.0))
    ingest(store, run.id)
    expected = np.concatenate([values[:5000], np.ones(1000)])
    seen = window(store, run.id, "loss", None, None, 40)
    for i, (lo, hi) in enumerate(zip(seen.edges[:-1], seen.edges[1:], strict=True)):
        part = expected[lo:hi]
        assert seen.count[i] == len(part)
        assert (seen.min[i], seen.max[i]) == (part.min(), part.max())
        np.testing.assert_allclose(seen.mean[i], part.mean(), rtol=0, atol=1e-12)
    assert check(store) == []
    drawn = trace(store, run.id, "loss")
    assert (drawn.points, drawn.last) == (6000, 1.0)
    assert len(drawn.restarts) == 1
    before = series(store, run.id, "loss")
    assert read_again(store, run.id) > 0
    np.testing.assert_array_equal(series(store, run.id, "loss").values, before.values)


def test_what_makes_no_sense_is_a_warning_and_text_of_any_kind_is_kept(store: Store) -> None:
    run = new_run(store)
    folder = store.folder(run.id)
    spool = spool_of(store, run)
    spool.event("zero \0, half a character \udc80, \N{SNOWMAN} 100% ?")
    spool.artifact("split", folder.root / "x.parquet")
    spool.artifact("split", folder.root / "x.parquet")
    spool.close()
    with open(folder.spool, "a") as file:
        file.write('{"r": "points", "step": -5, "wall": 1, "values": {}}\n')
    ingest(store, run.id)
    log = [event.text for event in events(store, run.id)]
    assert "\N{SNOWMAN} 100% ?" in log[1]
    assert "makes no sense" in log[2]
    assert [(file.kind, file.path) for file in artifacts(store, run.id)] == [("split", "x.parquet")]
    assert record(store, run).damage


def test_a_spool_that_is_behind_is_found_and_read(store: Store) -> None:
    run = finished_run(store)
    write_points(spool_of(store, run), {7: 1.0})
    assert [finding.kind for finding in check(store)] == ["behind"]
    assert repair(store) == 1
    assert check(store) == []


# ------------------------------------------------------------------------------------ the queue


def test_a_claim_gives_each_run_to_one_worker_in_order(store: Store) -> None:
    runs = [new_run(store, seed=seed) for seed in range(24)]
    rows.set_priority(store, [runs[20].id], 5)
    rows.place_first(store, [runs[3].id])
    rows.place_last(store, [runs[0].id])
    assert rows.place_before(store, [runs[23].id], runs[1].id)
    order = [run.id for run in rows.queued(store)]
    assert order[:4] == [runs[3].id, runs[20].id, runs[23].id, runs[1].id]
    assert order[-1] == runs[0].id
    first = rows.add_worker(store, "w0", ["cpu"])
    assert [getattr(claim(store, first), "id", None) for _ in range(4)] == order[:4]
    workers = [(again(store), rows.add_worker(store, f"w{n}", ["cpu"])) for n in range(1, 5)]
    barrier = threading.Barrier(4)

    def take(each: tuple[Store, StoredWorker]) -> list[str]:
        barrier.wait()
        taken = []
        while (run := claim(*each)) is not None:
            taken.append(run.id)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(take, workers))
    assert sorted(run_id for each in taken for run_id in each) == sorted(order[4:])
    assert all(get_run(store, run_id).worker_id == f"w{n}" for n, each in enumerate(taken, 1) for run_id in each)
    assert claim(store, first) is None


def test_a_row_that_has_changed_is_not_put_back(store: Store) -> None:
    new_run(store)
    worker = rows.add_worker(store, "w", ["cpu"])
    run = claim(store, worker)
    assert run is not None and run.status is RunStatus.RUNNING
    assert rows.held_runs(store, "w", [run.id, new_id()]) == {run.id: False}
    rows.cancel_rows(store, [run.id])
    assert rows.held_runs(store, "w", [run.id]) == {run.id: True}
    assert not rows.put_back(store, run, "gone", crashes=1)
    request = get_run(store, run.id)
    assert rows.queue_again(store, request, "by a person")
    assert not rows.queue_again(store, request, "again")
    rows.cancel_rows(store, [run.id])
    assert get_run(store, run.id).status is RunStatus.CANCELLED
    assert rows.take_back(store, request, RunStatus.CANCELLED)
    assert rows.withdraw(store, [run.id]) == []


def test_workers_come_beat_and_leave(store: Store) -> None:
    worker = rows.add_worker(store, "w", ["cpu", "cpu"])
    rows.beat(store, "w", [{"load": 0.5}], draining=False)
    (seen,) = rows.list_workers(store)
    assert (seen.row.slots, seen.row.devices) == (["cpu", "cpu"], [{"load": 0.5}])
    assert seen.row.heartbeat >= worker.heartbeat
    assert 0 <= seen.silent_s < 60
    assert not rows.asked_to_drain(store, "w")
    rows.drain_workers(store, ["w"])
    assert rows.asked_to_drain(store, "w")
    run = new_run(store)
    assert not rows.leave(store, "w", WISHES)
    assert rows.withdraw(store, [run.id]) == [run.id]
    assert rows.leave(store, "w", WISHES)
    new_run(store)
    assert claim(store, worker) is None, "it was taken for gone"
    assert not rows.beat(store, "w", [], draining=False)
    rows.add_worker(store, "w", ["cpu"])
    assert not rows.asked_to_drain(store, "w")
    assert claim(store, worker) is not None
