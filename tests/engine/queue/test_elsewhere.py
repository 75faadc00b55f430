"""Runs and workers of other machines, as this one sees them: clocks that differ, silence, folders without answer."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine import job
from engine.files import held
from engine.queue import drain, liveness, recovery, settle, workers
from engine.queue.executors.local.devices import Devices
from engine.queue.executors.local.executor import LocalExecutor
from engine.queue.liveness import RETURN_S, SILENCE_S, is_alive, own
from engine.queue.worker import Worker
from engine.records import RunStatus
from engine.spool import ATTEMPT, SupersededError
from engine.store import Run, Store, events, get_run, ingest, list_runs, series
from engine.store import queue as rows
from engine.store.core.tables import StoredWorker
from engine.store.dialects.sql import run as say
from tests.engine.store.backends.conftest import store as each_store
from tests.engine.store.helpers import new_run, spool_of, write_points

from .double import main as double

store = each_store
"""In a file, then on a server."""
WISHES = rows.Wishes("local", ("auto", "cpu"))


def worker_elsewhere(store: Store, name: str = "w", host: str = "elsewhere") -> StoredWorker:
    """A worker of another machine, whose processes nobody sees from here."""
    worker = rows.add_worker(store, name, ["cpu"])
    with store.write() as session:
        say(session.connection(), "UPDATE worker SET host = ? WHERE id = ?", (host, name))
    worker.host = host
    return worker


def silent_for(store: Store, worker_id: str, seconds: float) -> None:
    then = store.now() - timedelta(seconds=seconds)
    with store.write() as session:
        session.get_one(StoredWorker, worker_id).heartbeat = then


def claimed(store: Store, worker: StoredWorker, run: Run) -> Run:
    taken = rows.claim(store, worker, "cpu", WISHES)
    assert taken is not None and taken.id == run.id
    return taken


class ClockOfAnotherHost(datetime):
    """An hour behind."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime.now(UTC) - timedelta(hours=1)


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)  # a file has one machine and one clock
def test_a_host_whose_clock_is_wrong_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    early = new_run(store)
    for module in ("engine.store.runs", "engine.store.queue", "engine.queue.recovery"):
        monkeypatch.setattr(f"{module}.datetime", ClockOfAnotherHost)
    worker_elsewhere(store)
    rows.beat(store, "w", [], draining=False)
    late = new_run(store, seed=1)
    rows.place_last(store, [late.id])
    monkeypatch.undo()
    assert [view.alive for view in workers(store)] == [True]
    assert [run.id for run in rows.queued(store)] == [early.id, late.id]
    assert [run.id for run in list_runs(store)] == [late.id, early.id]


def test_a_run_that_another_host_begins_is_not_lost_until_its_worker_is_silent(store: Store) -> None:
    run = claimed(store, worker_elsewhere(store), new_run(store))
    assert settle(store) == []
    silent_for(store, "w", SILENCE_S - 60)
    assert settle(store) == []
    silent_for(store, "w", SILENCE_S + 60)
    assert [ended.id for ended in settle(store)] == [run.id]
    assert get_run(store, run.id).status is RunStatus.LOST


def test_a_run_that_a_person_begins_on_another_host_is_not_lost_at_once(store: Store) -> None:
    run = new_run(store)
    with store.write() as session:
        row = session.get_one(Run, run.id)
        row.status, row.host, row.pid, row.pid_start = RunStatus.RUNNING, "elsewhere", 2, 1.0
    assert settle(store) == []
    with store.write() as session:
        session.get_one(Run, run.id).created = store.now() - timedelta(seconds=SILENCE_S + 60)
    assert [ended.id for ended in settle(store)] == [run.id]


def test_a_process_that_holds_its_lock_is_alive_whatever_is_known_of_its_host(store: Store) -> None:
    run = claimed(store, worker_elsewhere(store), new_run(store))
    silent_for(store, "w", 10 * SILENCE_S)
    with held(store.folder(run.id).lock) as alone:
        assert alone
        assert is_alive(store, run)
        assert settle(store) == []
    assert not is_alive(store, run)


def test_a_folder_that_is_not_mounted_here_is_no_end_of_a_run_elsewhere(store: Store) -> None:
    run = claimed(store, worker_elsewhere(store), new_run(store))
    silent_for(store, "w", 10 * SILENCE_S)
    store.folder(run.id).root.rename(store.files / "unmounted")
    assert is_alive(store, run)
    (store.files / "unmounted").rename(store.folder(run.id).root)
    assert not is_alive(store, run)


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ETIMEDOUT])
def test_a_folder_that_does_not_answer_damages_no_run(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    run = claimed(store, worker_elsewhere(store), new_run(store))

    def stalls(path: Path) -> bool:
        raise OSError(number, os.strerror(number), str(path))

    silent_for(store, "w", 10 * SILENCE_S)
    monkeypatch.setattr(liveness, "is_held", stalls)
    assert settle(store) == []
    assert get_run(store, run.id).damage == ""
    assert recovery.isolated(store, run.id, lambda: stalls(Path("x")))
    monkeypatch.undo()
    assert [ended.id for ended in settle(store)] == [run.id]


# ------------------------------------------------------------------------------------ back after a silence


def test_who_was_silent_cannot_take_or_name_what_others_have(store: Store) -> None:
    first, second = worker_elsewhere(store, "first", "a"), worker_elsewhere(store, "second", "b")
    run = claimed(store, first, new_run(store))
    assert rows.put_back(store, run, "its worker is gone, and so is its process", crashes=0)
    assert rows.leave(store, "first")
    again = claimed(store, second, run)
    assert not own(store, run.id, "local", "77 1.0 a", "first")
    assert rows.held_runs(store, "first", [run.id]) == {}
    assert not rows.put_back(store, run, "could not start it", crashes=0)
    assert get_run(store, run.id).pid == again.pid
    assert own(store, run.id, "local", "78 1.0 b", "second")
    new_run(store, seed=1)
    assert rows.claim(store, first, "cpu", WISHES) is None, "others took it for gone"
    assert not rows.beat(store, "first", [], draining=False)


def test_who_is_asked_to_drain_while_silent_drains_when_it_is_back(store: Store) -> None:
    cut_off = silent_worker(store, SILENCE_S + 60)
    run = claimed(store, cut_off._row, new_run(store))
    other = Worker(store, LocalExecutor(store.files, Devices((), 1, 1)), lambda _: None, 0.0)
    other._row = rows.add_worker(store, other.id, ["cpu"])
    other._care_for_orphans()
    assert get_run(store, run.id).worker_id != cut_off.id
    assert [(view.id, view.alive) for view in drain(store)] == [(cut_off.id, False), (other.id, True)]
    other._care_for_orphans()
    cut_off._beat()
    cut_off._care_for_orphans()
    assert cut_off._draining
    assert {view.id: view.draining for view in workers(store)} == {cut_off.id: True, other.id: True}


def test_who_is_silent_for_a_day_is_forgotten(store: Store) -> None:
    silent_worker(store, RETURN_S + 60)
    assert drain(store) == []
    other = Worker(store, LocalExecutor(store.files, Devices((), 1, 1)), lambda _: None, 0.0)
    other._care_for_orphans()
    assert workers(store) == []


def silent_worker(store: Store, seconds: float) -> Worker:
    """A worker on another machine, without a heartbeat for so long."""
    worker = Worker(store, LocalExecutor(store.files, Devices((), 1, 1)), lambda _: None, 0.0)
    worker._row = worker_elsewhere(store, worker.id)
    silent_for(store, worker.id, seconds)
    return worker


def test_a_process_that_starts_too_late_leaves_the_run_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = new_run(store)
    folder = store.folder(run.id)
    assert double("finish", folder) == 0  # the one to whom the run was given meanwhile
    ingest(store, run.id)
    before = folder.spool.read_bytes()
    monkeypatch.setenv(ATTEMPT, "1")
    assert double("finish", folder) == 2
    assert job.main([str(folder.root)]) == 2
    assert "taken it up meanwhile" in capfd.readouterr().err
    assert folder.spool.read_bytes() == before
    assert get_run(store, run.id).status is RunStatus.FINISHED


def test_a_process_whose_lock_was_lost_writes_nothing_behind_the_next_one(store: Store) -> None:
    run = new_run(store)
    stopped = spool_of(store, run)
    stopped.start(1, os.getpid(), 1.0)
    write_points(stopped, {0: 0.0, 1: 1.0})
    store.folder(run.id).lock.unlink(missing_ok=True)  # a file server has let go of it
    other = spool_of(store, run)
    other.start(2, os.getpid(), 2.0)
    other.resume(2, 1)
    with pytest.raises(SupersededError, match="another process has taken the run up"):
        write_points(stopped, {2: -1.0})
    with pytest.raises(SupersededError):
        stopped.end("finished", "")
    write_points(other, {2: 2.0})
    other.end("finished", "")
    ingest(store, run.id)
    told = [event.text for event in events(store, run.id)]
    assert told == ["queued", "running (attempt 1)", "running (attempt 2)", "finished"]
    assert series(store, run.id, "loss").values.tolist() == [0.0, 1.0, 2.0]


def test_a_worker_that_was_taken_for_gone_says_so_and_goes_on(store: Store) -> None:
    said: list[str] = []
    worker = Worker(store, LocalExecutor(store.files, Devices((), 1, 1)), said.append, 0.0)
    worker._row = rows.add_worker(store, worker.id, ["cpu"])
    rows.leave(store, worker.id)
    worker._beat()
    assert said == [f"worker {worker.id} was silent for so long that it was taken for gone; it goes on"]
    assert [view.id for view in workers(store)] == [worker.id]
