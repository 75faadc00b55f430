"""The database goes away, or is locked, while runs are followed: the runs are told first, the store later."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from engine.queue import cancel, settle
from engine.store import Store, get_run, list_runs, open_store
from engine.store.core.connections import BUSY_S
from engine.store.rebuild import rebuild
from tests.forks import start_python

from .workers import FRONT, is_under_way, pid_of, queue_double, start_worker, until


@pytest.fixture
def started(store: Store) -> Iterator[list["subprocess.Popen[str]"]]:
    """Processes that the test starts; at its end nothing of them is left."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
    with suppress(Exception):
        for run in list_runs(open_store(store.path)):
            if run.pid and run.pid != os.getpid():
                with suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)


def said(store: Store) -> str:
    return store.path.with_name("worker.txt").read_text()


def lock(store: Store) -> sqlite3.Connection:
    connection = sqlite3.connect(store.path, isolation_level=None, timeout=20)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_worker_follows_its_runs_to_their_end_and_exits_with_1(
    store: Store, started: list["subprocess.Popen[str]"], how: str
) -> None:
    short, long = queue_double(store, "finish"), queue_double(store, "forever")
    waits = queue_double(store, "finish")
    worker = start_worker(store, 2)
    started.append(worker)
    until(lambda: is_under_way(store, long.id), "the long one runs")
    pid = pid_of(store, long)
    if how == "deleted":
        store.path.unlink()
    else:
        other = open_store(store.path.with_name("other.db"))
        other.engine.dispose()
        other.path.replace(store.path)
    until(lambda: f"was {how}" in said(store), "the worker says so", 20)
    time.sleep(0.5)
    assert worker.poll() is None, "it follows the run"
    os.kill(pid, signal.SIGTERM)
    assert worker.wait(90) == 1
    assert f"{long.id} has ended (cancelled: stopped by the user (SIGTERM))" in said(store)
    rebuild(store.path)
    again = open_store(store.path)
    settle(again)
    assert get_run(again, long.id).status == "cancelled"
    # One that had just been taken up is lost, and goes on like the others.
    assert {get_run(again, run.id).status for run in (short, waits)} <= {"finished", "queued", "lost"}
    last = start_worker(store, 2, linger_s=1.0)
    started.append(last)
    for run in (short, waits):
        until(lambda: get_run(again, run.id).status == "finished", "the short ones are done")  # noqa: B023
    until(lambda: get_run(again, long.id).attempt == 2, "the other goes on: nobody had asked for its end")
    cancel(again, [long.id])
    assert last.wait(60) == 0


def test_a_worker_hears_ctrl_c_while_the_database_is_locked(
    store: Store, started: list["subprocess.Popen[str]"]
) -> None:
    run = queue_double(store, "forever")
    worker = start_worker(store, 1)
    started.append(worker)
    until(lambda: is_under_way(store, run.id), "it runs")
    held = lock(store)
    time.sleep(0.7)
    for words in ("draining: nothing new is taken", "the runs save their state"):
        began = time.monotonic()
        worker.send_signal(signal.SIGINT)
        until(lambda: words in said(store), words, BUSY_S)  # noqa: B023
        assert time.monotonic() - began < BUSY_S / 2
    until(lambda: '"cancelled"' in store.folder(run.id).spool.read_text(), "the run has been told", 10)
    held.close()
    assert worker.wait(30) == 0
    assert get_run(store, run.id).status == "queued"


def front(store: Store, started: list["subprocess.Popen[str]"], mode: str) -> "subprocess.Popen[str]":
    process = start_python(FRONT, str(store.path), mode, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    started.append(process)
    until(lambda: any(is_under_way(store, run.id) for run in list_runs(store)), "the run is under way")
    return process


def test_a_run_hears_ctrl_c_while_the_database_is_locked(store: Store, started: list["subprocess.Popen[str]"]) -> None:
    process = front(store, started, "forever")
    (run,) = list_runs(store)
    held = lock(store)
    time.sleep(0.7)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=90)
    assert time.monotonic() - began < BUSY_S / 2, "it stopped the run, said so, and left"
    assert process.returncode == 2
    assert f"run {run.id} has ended (cancelled: stopped by the user (SIGTERM)), but" in output
    assert "the next command brings it in" in output
    held.close()
    settle(store)
    assert get_run(store, run.id).status == "cancelled"


def test_a_run_whose_database_is_deleted_ends_and_says_what_brings_it_in(
    store: Store, started: list["subprocess.Popen[str]"]
) -> None:
    process = front(store, started, "forever")
    (run,) = list_runs(store)
    store.path.unlink()
    time.sleep(0.5)
    assert process.poll() is None, "the run goes on"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 2
    assert "was deleted while it was in use" in output
    assert "`tfllmer db rebuild` brings it in" in output
    assert "finished" not in output
    assert not store.path.exists()
    rebuild(store.path)
    assert get_run(open_store(store.path), run.id).status == "cancelled"
