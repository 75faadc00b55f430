"""Runs as real processes that finish, crash, are stopped and are killed."""

import math
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from engine.errors import UserError
from engine.files import held
from engine.queue import foreground, is_alive, resume, settle, start, supervise
from engine.queue.executors.local.processes import ProcessId
from engine.queue.liveness import own
from engine.records import RunStatus
from engine.spec import Experiment
from engine.spool import SpoolWriter, read_records
from engine.store import (
    Run,
    Store,
    StoreError,
    create_run,
    events,
    get_run,
    ingest,
    list_runs,
    open_store,
    request_cancel,
    series,
    set_status,
)
from engine.store.upkeep import check
from tests.forks import start_python

from .workers import FRONT

HERE = Path(__file__).parent


def double(store: Store, run: Run, mode: str) -> list[str]:
    return [sys.executable, str(HERE / "double.py"), mode, str(store.folder(run.id).root)]


def running(store: Store) -> Run:
    return create_run(store, Experiment(), overrides={}, command=[], status=RunStatus.RUNNING)


def begin(store: Store, mode: str) -> Run:
    run = running(store)
    start(store, run, double(store, run, mode))
    return run


def quiet(_: Run) -> None:
    pass


def until(condition: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < give_up, f"waited in vain until {what}"
        time.sleep(0.02)


def assert_complete(store: Store, run: Run) -> None:
    """The store holds exactly the points that count in the spool."""
    expected: dict[int, float] = {}
    for record in read_records(store.folder(run.id).spool)[0]:
        if record["r"] == "resume":
            expected = {step: value for step, value in expected.items() if step <= record["step"]}
        if record["r"] == "points":
            expected[record["step"]] = record["values"]["loss"]
    stored = series(store, run.id, "loss")
    np.testing.assert_array_equal(stored.steps, sorted(expected))
    np.testing.assert_array_equal(stored.values, [expected[step] for step in sorted(expected)])
    assert expected


class KillOnce:
    """An `on_update` that kills the run's process once it has reported some points."""

    def __init__(self, store: Store) -> None:
        self.store, self.done = store, False

    def __call__(self, run: Run) -> None:
        if not self.done and run.attempt and run.pid and len(series(self.store, run.id, "loss").steps) > 5:
            os.kill(run.pid, signal.SIGKILL)
            self.done = True


class Front:
    """A supervising process of its own, as a terminal would start it."""

    def __init__(self, store: Store, mode: str, run_id: str | None = None) -> None:
        words = [str(store.path), mode, *([run_id] if run_id else [])]
        self.process = start_python(FRONT, *words, stdout=subprocess.PIPE)
        self.store = store

    def line(self) -> list[str]:
        assert self.process.stdout
        return self.process.stdout.readline().split()

    def run_with_points(self) -> Run:
        """Its run, once the child has reported points."""
        run_id = self.line()[0]
        until(lambda: len(series(self.store, run_id, "loss").steps) > 3, "there are points")
        return get_run(self.store, run_id)

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def rest(self) -> str:
        return self.process.communicate(timeout=90)[0].strip().splitlines()[-1]


@pytest.fixture(autouse=True)
def no_process_left(store: Store) -> Iterator[None]:
    yield
    for run in list_runs(store):
        if run.pid and run.pid != os.getpid():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(run.pid)
                if "double.py" in " ".join(process.cmdline()):
                    process.kill()


# ------------------------------------------------------------------------------------ supervised to its end


def test_a_run_is_followed_to_its_end(store: Store) -> None:
    run, seen = begin(store, "finish"), []
    ended = supervise(store, run, lambda run: seen.append((run.status, run.spool_offset)), poll_s=0.02)
    assert (ended.status, ended.reason, ended.attempt) == ("finished", "", 1)
    assert seen[0][0] == "running"
    assert seen[-1] == ("finished", store.folder(run.id).spool.stat().st_size)
    assert len(set(seen)) == len(seen), "only told when there is news"
    assert_complete(store, run)
    assert not is_alive(store, ended)


def test_the_store_is_looked_into_when_there_are_new_records(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And otherwise once in a while only, of which there is none here."""
    looks: list[int] = []
    monkeypatch.setattr(foreground, "_LOOK_S", math.inf)
    monkeypatch.setattr(foreground, "ingest", lambda store, run_id: looks.append(ingest(store, run_id)))
    run = begin(store, "finish")
    ended = supervise(store, run, quiet, poll_s=0.001)
    assert ended.status == "finished"
    assert_complete(store, ended)
    assert looks.count(0) <= 2 + sum(1 for applied in looks if applied), "at first, at the end, and a line half written"


def test_it_is_handed_over_to_the_child_at_once(store: Store) -> None:
    run = running(store)
    assert get_run(store, run.id).pid == os.getpid()
    start(store, run, double(store, run, "forever"))
    pid = get_run(store, run.id).pid
    assert pid
    assert pid != os.getpid()
    assert os.getsid(pid) == pid, "a session of its own"
    os.kill(pid, signal.SIGKILL)
    assert supervise(store, run, quiet).status == "lost"


def test_a_child_that_dies_before_it_begins(store: Store) -> None:
    ended = supervise(store, begin(store, "crash"), quiet, poll_s=0.02)
    assert (ended.status, ended.attempt) == ("lost", 0)
    assert ended.reason == (
        "ended with exit code 1 without a last word: ModuleNotFoundError: no module named gpu (before it began)"
    )
    assert "ominous" in store.folder(ended.id).log.read_text()


def test_a_child_that_cannot_be_started_at_all(store: Store) -> None:
    run = running(store)
    with pytest.raises(UserError, match="cannot be started"):
        start(store, run, [str(HERE / "no-such-program")])


def test_a_child_that_leaves_without_a_last_word(store: Store) -> None:
    ended = supervise(store, begin(store, "mute"), quiet, poll_s=0.02)
    assert (ended.status, ended.reason) == ("lost", "ended with exit code 3 without a last word")
    assert_complete(store, ended)


def test_a_child_killed_while_it_is_supervised(store: Store) -> None:
    run = begin(store, "forever")
    ended = supervise(store, run, KillOnce(store), poll_s=0.02)
    assert (ended.status, ended.reason) == (
        "lost",
        "killed by signal 9 (SIGKILL); kill -9, or the machine ran out of memory",
    )
    assert ended.ended
    assert_complete(store, run)
    assert [event.text for event in events(store, run.id)][-1] == f"lost: {ended.reason}"


def test_a_cancel_request_in_the_store_is_followed(store: Store) -> None:
    run = begin(store, "forever")
    until(lambda: ingest(store, run.id) > 0, "it has begun")
    request_cancel(store, run.id)
    assert supervise(store, run, quiet, poll_s=0.02).status == "cancelled"


def test_a_thread_may_supervise(store: Store) -> None:
    run, ended = begin(store, "finish"), []
    thread = threading.Thread(target=lambda: ended.append(supervise(store, run, quiet, poll_s=0.02)))
    thread.start()
    thread.join(20)
    assert [run.status for run in ended] == ["finished"]


def test_only_its_parent_supervises(store: Store) -> None:
    with pytest.raises(ValueError, match="not started by this process"):
        supervise(store, running(store), quiet)


def test_a_store_that_cannot_be_written_does_not_hurt_the_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.core.database.BUSY_S", 0.05)
    run = begin(store, "finish")
    impatient, locked = open_store(store.path), threading.Event()

    def hold() -> None:
        with store.write():
            locked.set()
            time.sleep(1)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait()
    try:
        ended = supervise(impatient, run, quiet, poll_s=0.02)
    except StoreError:  # the run ended while the store was still locked
        holder.join()
        (ended,) = settle(store)
    holder.join()
    assert ended.status == "finished"
    assert_complete(store, run)


# ------------------------------------------------------------------------------------ stopped by a person


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_the_run_cleanly(store: Store, number: int) -> None:
    front = Front(store, "forever")
    run = front.run_with_points()
    front.send(number)
    assert front.rest() == "ended cancelled stopped by the user (SIGTERM)"
    assert front.process.returncode == 1
    ended = get_run(store, run.id)
    assert (ended.status, ended.cancel_requested) == ("cancelled", True)
    assert not is_alive(store, ended)
    assert_complete(store, run)


def test_an_interrupt_before_the_child_has_begun(store: Store) -> None:
    front = Front(store, "slow")
    front.line()
    front.send(signal.SIGINT)
    assert front.rest() == "ended cancelled stopped by the user; killed by signal 15 (SIGTERM) (before it began)"


def test_a_second_interrupt_kills(store: Store) -> None:
    front = Front(store, "deaf")
    run = front.run_with_points()
    front.send(signal.SIGINT)
    until(lambda: get_run(store, run.id).cancel_requested, "the first one is noted")
    front.send(signal.SIGINT)
    assert front.rest() == "ended cancelled killed by the user"
    assert not is_alive(store, get_run(store, run.id))
    assert_complete(store, run)


# ------------------------------------------------------------------------------------ the supervisor goes


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_run_outlives_its_supervisor(store: Store, number: int) -> None:
    front = Front(store, "forever")
    run = front.run_with_points()
    front.send(number)
    assert front.process.wait(90) == -number
    front.process.communicate()
    before = len(series(store, run.id, "loss").steps)
    assert is_alive(store, run)
    until(lambda: settle(store) == [] and len(series(store, run.id, "loss").steps) > before + 5, "settle brings news")
    assert get_run(store, run.id).status == "running"

    with pytest.raises(UserError, match=rf"is running \(pid {run.pid}\)"):
        resume(store, run.id)
    assert run.pid
    os.kill(run.pid, signal.SIGKILL)
    until(lambda: not is_alive(store, run), "it is gone")
    (lost,) = settle(store)
    assert (lost.id, lost.status) == (run.id, "lost")
    assert lost.reason == f"its process (pid {run.pid}) is gone without a last word"
    assert_complete(store, run)
    assert settle(store) == []


def test_a_run_that_ends_unwatched_is_settled_with_its_own_last_word(store: Store) -> None:
    run = running(store)
    subprocess.run(double(store, run, "finish"), check=True)
    own_no_one(store, run)
    (ended,) = settle(store)
    assert (ended.status, ended.reason) == ("finished", "")
    assert_complete(store, run)


def own_no_one(store: Store, run: Run) -> None:
    """As if the process that made the run had died before it could start one."""
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(gone.pid).create_time()
    gone.communicate()
    own(
        store, run.id, "local", ProcessId(gone.pid, started, platform.node()).handle
    )  # a process may have ended before it is written down


def test_a_run_whose_maker_died_before_starting_it_is_lost(store: Store) -> None:
    run = running(store)
    assert settle(store) == [], "its maker lives: it may be about to start it"
    own_no_one(store, run)
    assert [(run.status, run.attempt) for run in settle(store)] == [("lost", 0)]


def test_a_pid_that_was_given_to_another_process_is_not_the_run(store: Store) -> None:
    run = running(store)
    with store.write() as session:
        session.get_one(Run, run.id).pid_start = 1.0
        session.commit()
    assert not is_alive(store, get_run(store, run.id))


def test_a_run_taken_for_lost_that_was_only_slow_comes_back(store: Store) -> None:
    run = set_status(store, running(store).id, RunStatus.LOST, "too early")
    own_no_one(store, run)
    subprocess.run(double(store, run, "finish"), check=True)
    assert [run.status for run in settle(store)] == ["finished"]


def test_many_who_settle_agree(store: Store) -> None:
    runs = [running(store) for _ in range(3)]
    for run in runs:
        subprocess.run(double(store, run, "finish"), check=True)
        own_no_one(store, run)
    found: list[str] = []
    stores = [open_store(store.path) for _ in range(4)]
    threads = [threading.Thread(target=lambda s=s: found.extend(run.id for run in settle(s))) for s in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {run.id for run in runs}
    for run in runs:
        assert [event.text for event in events(store, run.id)] == ["running", "running (attempt 1)", "finished"]
        assert_complete(store, run)


# ------------------------------------------------------------------------------------ resumed


def test_a_killed_run_is_resumed_to_its_end(store: Store) -> None:
    run = begin(store, "forever")

    assert supervise(store, run, KillOnce(store), poll_s=0.02).status == "lost"
    again = resume(store, run.id, double(store, run, "finish"))
    assert (again.status, again.reason, again.ended, again.cancel_requested) == ("running", "", None, False)
    ended = supervise(store, again, quiet, poll_s=0.02)
    assert (ended.status, ended.attempt) == ("finished", 2)
    assert_complete(store, run)
    stored = series(store, run.id, "loss")
    np.testing.assert_array_equal(stored.values, np.arange(len(stored.steps)))


@pytest.mark.parametrize("kept", [0, 40, 400])
def test_a_run_whose_records_were_lost_with_the_machine_is_resumed(store: Store, kept: int) -> None:
    cut = supervise(store, begin(store, "mute"), quiet, poll_s=0.02)
    os.truncate(store.folder(cut.id).spool, kept)
    again = resume(store, cut.id, double(store, cut, "finish"))
    assert supervise(store, again, quiet, poll_s=0.02).status == "finished"
    assert_complete(store, cut)
    assert check(store) == []


def test_what_cannot_be_resumed_says_why(store: Store) -> None:
    finished = supervise(store, begin(store, "finish"), quiet, poll_s=0.02)
    with pytest.raises(UserError, match="is finished"):
        resume(store, finished.id)
    queued = create_run(store, Experiment(), overrides={}, command=[])
    with pytest.raises(UserError, match="is queued"):
        resume(store, queued.id)
    with pytest.raises(UserError, match="is running"):
        resume(store, running(store).id)
    with pytest.raises(UserError, match="no such run"):
        resume(store, "01NOPE")

    gone = set_status(store, queued.id, RunStatus.FAILED, "")
    store.folder(gone.id).spec.unlink()
    with pytest.raises(UserError, match="the files of the run are gone"):
        resume(store, gone.id)

    assert [get_run(store, run.id).status for run in (finished, gone)] == ["finished", "failed"]


def test_a_run_that_another_process_holds_is_not_resumed(store: Store) -> None:
    run = set_status(store, running(store).id, RunStatus.LOST, "as someone thought")
    own_no_one(store, run)
    with held(store.folder(run.id).lock) as alone:
        assert alone
        with pytest.raises(UserError, match="is running"):
            resume(store, run.id)


def test_of_several_who_resume_one_wins(store: Store) -> None:
    run = set_status(store, running(store).id, RunStatus.LOST, "for the test")
    own_no_one(store, run)
    fronts = [Front(store, "slow", run.id) for _ in range(3)]
    last = sorted(front.rest() for front in fronts)
    assert last[0].startswith("ended finished")
    assert [line.split(":")[0] for line in last[1:]] == ["refused", "refused"]
    assert get_run(store, run.id).attempt == 1
    assert_complete(store, run)


def test_a_child_that_finds_the_lock_taken_leaves_the_run_to_the_other(store: Store) -> None:
    run = running(store)
    with held(store.folder(run.id).lock):
        SpoolWriter(store.folder(run.id)).start(1, os.getpid(), psutil.Process().create_time())
        start(store, run, double(store, run, "finish"))
        with pytest.raises(UserError, match="another process is running it"):
            supervise(store, run, quiet, poll_s=0.02)
        assert get_run(store, run.id).status == "running"
