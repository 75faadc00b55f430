"""What follows the end of a run whose process is gone, case by case."""

import os
import time

import psutil
import pytest
from sqlalchemy import update

from engine.queue.policy import MAX_CRASHES, MAX_CRASHES_WITH_WORKER, after_end
from engine.spool import SpoolWriter
from engine.store import Run, Store, events, get_run
from tests.engine.queue.workers import queue_double

GONE = 2**22 + 1
"""No process has this number."""


def taken_up(store: Store, *, pid: int = GONE, since: float = 1.0, **columns: object) -> Run:
    """A run that a process took up, without a last word."""
    run = queue_double(store, "finish")
    writer = SpoolWriter(store.folder(run.id))
    writer.start(1, pid, since)
    writer.close()
    with store.write() as session:
        values = {"status": "running", "pid": pid, "pid_start": since, "attempt": 1, **columns}
        session.connection().execute(update(Run).where(Run.id == run.id).values(values))  # type: ignore[arg-type]
    return get_run(store, run.id)


def said(store: Store, run: Run, *end: str) -> None:
    """The process had a last word: status and reason."""
    writer = SpoolWriter(store.folder(run.id))
    writer.end(*end)  # type: ignore[arg-type]
    writer.close()


def test_without_a_last_word_it_is_queued_again_and_the_crash_counts(store: Store) -> None:
    run = taken_up(store)
    after = after_end(store, run.id, "killed by signal 9")
    assert (after.status, after.crashes, after.pid) == ("queued", 1, None)
    assert "killed by signal 9" in after.reason
    assert "killed by signal 9" in events(store, run.id)[-1].text


@pytest.mark.parametrize("worker_gone, limit", [(False, MAX_CRASHES), (True, MAX_CRASHES_WITH_WORKER)])
def test_what_crashes_too_often_is_set_aside(store: Store, worker_gone: bool, limit: int) -> None:
    nearly, over = taken_up(store, crashes=limit - 2), taken_up(store, crashes=limit - 1)
    assert after_end(store, nearly.id, "gone", worker_gone=worker_gone).status == "queued"
    after = after_end(store, over.id, "gone", worker_gone=worker_gone)
    assert (after.status, after.crashes) == ("failed", limit)
    where = " with its worker" if worker_gone else ""
    assert after.reason == f"set aside: lost {limit} times{where}; at last: gone"


def test_a_new_checkpoint_starts_the_count_again(store: Store) -> None:
    run = taken_up(store, crashes=MAX_CRASHES - 1, since=time.time() - 60)
    store.folder(run.id).last.touch()
    after = after_end(store, run.id, "gone")
    assert (after.status, after.crashes) == ("queued", 1)

    old = taken_up(store, crashes=MAX_CRASHES - 1, since=time.time() - 60)
    store.folder(old.id).last.touch()
    os.utime(store.folder(old.id).last, (1.0, 1.0))  # made by the attempt before
    assert after_end(store, old.id, "gone").status == "failed"


def test_what_was_not_its_doing_does_not_count(store: Store) -> None:
    run = taken_up(store, crashes=MAX_CRASHES)
    after = after_end(store, run.id, "the machine went down", blame=False)
    assert (after.status, after.crashes) == ("queued", MAX_CRASHES)


def test_where_its_worker_gives_up_it_has_failed(store: Store) -> None:
    after = after_end(store, taken_up(store).id, "could not be started", give_up=True)
    assert (after.status, after.reason, after.crashes) == ("failed", "could not be started", 1)


def test_what_a_person_cancelled_stays_cancelled_however_its_process_went(store: Store) -> None:
    gone = taken_up(store, cancel_requested=True)
    after = after_end(store, gone.id, "killed by signal 9")
    assert (after.status, after.reason) == ("cancelled", "cancelled by the user; killed by signal 9")

    orderly = taken_up(store, cancel_requested=True)
    said(store, orderly, "cancelled", "stopped by the user")
    assert after_end(store, orderly.id, "exit code 0").status == "cancelled"


def test_what_was_stopped_with_its_worker_goes_on_later(store: Store) -> None:
    run = taken_up(store)
    said(store, run, "cancelled", "stopped (SIGTERM)")
    after = after_end(store, run.id, "exit code 0")
    assert (after.status, after.crashes, after.reason) == ("queued", 0, "queued again: it was stopped with its worker")


@pytest.mark.parametrize("end", [("finished", ""), ("failed", "diverged: the loss is nan")])
def test_a_last_word_stays(store: Store, end: tuple[str, str]) -> None:
    run = taken_up(store)
    said(store, run, *end)
    after = after_end(store, run.id, "exit code 1", give_up=True)
    assert (after.status, after.reason) == end


def test_a_run_that_another_process_has_is_left_alone(store: Store) -> None:
    me = psutil.Process()
    run = taken_up(store, pid=me.pid, since=me.create_time())
    assert after_end(store, run.id, "gone", give_up=True).status == "running"
