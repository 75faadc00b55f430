"""The queue: who works, what runs and waits in which order, and the time of it all."""

import json
from pathlib import Path

import pytest

from engine.store import Store
from engine.store.queries.feed import Feed
from engine.store.queue import add_worker, beat, place_first
from engine.views.queue import in_order, living_workers, queue_state
from tests.tui.app.bench import EPOCHS, fill, id_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return fill(tmp_path / "experiments.db")


def test_what_runs_and_what_waits_stand_in_the_order_of_the_queue(store: Store) -> None:
    now = queue_state(store)
    assert [(run.run, run.epoch, run.epochs, run.status) for run in now.running] == [(id_of(6), 5.0, EPOCHS, "running")]
    assert [(run.place, run.run) for run in now.queued] == [(1, id_of(7)), (2, id_of(8))]
    assert now.expected_s is None and now.workers == ()  # nobody works
    place_first(store, [id_of(8)])
    feed = Feed(store)
    rows = feed.read().rows
    feed.close()
    assert [row.id for row in in_order(rows)] == [run.run for run in queue_state(store).queued] == [id_of(8), id_of(7)]


def test_a_worker_tells_its_devices_and_one_that_has_told_nothing_its_slots(store: Store) -> None:
    add_worker(store, "w1", ["cuda:0", "cuda:0", "cpu"])
    (worker,) = living_workers(store)
    assert [(device.device, device.name, device.slots, device.load) for device in worker.devices] == [
        ("cuda:0", "cuda:0", 2, None),
        ("cpu", "cpu", 1, None),
    ]
    beat(store, "w1", [{"device": "cuda:0", "slots": 2, "running": 1, "name": "A100", "load": 0.5}], draining=True)
    (worker,) = living_workers(store)
    (device,) = worker.devices
    assert (device.name, device.running, device.load, device.memory_total) == ("A100", 1, 0.5, None)


def test_the_time_of_all_is_shared_by_the_slots_and_json_holds_it(store: Store) -> None:
    add_worker(store, "w1", ["cpu", "cpu"])
    now = queue_state(store)
    spans = [*(run.left_s for run in now.running), *(run.expected_s for run in now.queued)]
    known = [span for span in spans if span is not None]
    assert len(known) == len(spans) == 3  # finished runs of that backbone tell their pace
    assert now.expected_s == max(*known, sum(known) / 2)
    document = json.loads(json.dumps(now.to_json()))
    assert list(document) == ["workers", "running", "queued", "expected_s"]
    assert document["queued"][0]["place"] == 1 and document["workers"][0]["slots"] == ["cpu", "cpu"]
