"""Workers as real processes, whatever dies: every run once, none lost, none left running."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from engine.queue import cancel, drain, retry, see_off, settle, workers
from engine.store import Run, Store, events, get_run, list_runs, series

from .workers import (
    all_ended,
    begun,
    group_of,
    is_under_way,
    living,
    pid_of,
    queue_double,
    queue_training,
    start_worker,
    starts_in,
    statuses,
    until,
)

Workers = list["subprocess.Popen[str]"]


@pytest.fixture
def started(store: Store) -> Iterator[Workers]:
    """Workers that the test starts; at its end nothing of them is left."""
    processes: Workers = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
    for run in list_runs(store):
        if run.pid and run.pid != os.getpid():
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)


def assert_leaves(process: "subprocess.Popen[str]", store: Store) -> None:
    assert process.wait(60) == 0
    assert workers(store) == []


def kill(*numbers: int) -> None:
    for number in numbers:
        os.kill(number, signal.SIGKILL)


# ------------------------------------------------------------------------------------ every run once


def assert_ran_once(store: Store, runs: list[Run]) -> None:
    for run in runs:
        ended = get_run(store, run.id)
        assert (ended.status, ended.attempt, ended.crashes) == ("finished", 1, 0), ended
        assert starts_in(store, run) == 1
        told = [event.text.split()[0] for event in events(store, run.id) if event.level == "state"]
        assert told == ["queued", "taken", "running", "finished"]


@pytest.mark.slow
def test_four_workers_run_two_hundred_runs_once(store: Store, started: Workers) -> None:
    runs = [queue_training(store, seed) for seed in range(200)]
    started += [start_worker(store, 1, linger_s=2.0, trains=True) for _ in range(4)]
    until(lambda: all_ended(store), "all have ended", 60 + 10 * len(runs))
    assert_ran_once(store, runs)
    for process in started:
        assert process.wait(60) == 0
    assert workers(store) == []


def test_four_workers_of_which_one_dies_run_each_run_once(store: Store, started: Workers) -> None:
    long = [queue_double(store, "forever") for _ in range(4)]
    started += [start_worker(store, 1) for _ in long]
    until(lambda: all(is_under_way(store, run.id) for run in long), "every worker has one")
    holders = {run.id: get_run(store, run.id).worker_id or "" for run in long}
    pids = {view.id: view.pid for view in workers(store)}
    assert sorted(holders.values()) == sorted(pids)
    short = [queue_double(store, "finish") for _ in range(8)]
    stopped, stays, lost = long[:2], long[2], long[3]
    dead = next(process for process in started if process.pid == pids[holders[lost.id]])
    kill(dead.pid, *(child.pid for child in psutil.Process(dead.pid).children()), pid_of(store, lost))
    dead.wait()
    cancel(store, [run.id for run in stopped])
    until(lambda: all(get_run(store, run.id).status == "finished" for run in short), "those that are left run the rest")
    assert_ran_once(store, short)
    until(begun(store, lost, 2), "what the dead one had is taken up")
    again, same = get_run(store, lost.id), get_run(store, stays.id)
    assert (again.status, again.crashes) == ("running", 1)
    assert again.worker_id in pids and again.worker_id != holders[lost.id]
    assert (same.status, same.attempt, same.worker_id) == ("running", 1, holders[stays.id])
    cancel(store, [stays.id, lost.id])
    until(lambda: statuses(store).count("cancelled") == 4, "the cancelled ones end")
    assert [starts_in(store, run) for run in long] == [1, 1, 1, 2]

    drain(store)
    until(lambda: all(process.poll() is not None for process in started), "the others leave")
    assert all(process.returncode == 0 for process in started if process is not dead)


def test_it_takes_runs_in_order_and_tells_of_itself(store: Store, started: Workers) -> None:
    low, high = queue_double(store, "finish"), queue_double(store, "finish", priority=1)
    second = queue_double(store, "finish")
    started.append(start_worker(store, 1, linger_s=1.0))
    until(lambda: [bool(w.devices) for w in workers(store)] == [True], "its heartbeat tells of devices")
    (view,) = workers(store)
    assert (view.alive, view.draining, view.slots, view.pid) == (True, False, ("cpu",), started[0].pid)
    assert [(device["device"], device["slots"]) for device in view.devices] == [("cpu", 1)]
    assert_leaves(started[0], store)
    at_start = {get_run(store, run.id).started: run.id for run in (low, high, second)}
    assert [at_start[at] for at in sorted(filter(None, at_start))] == [high.id, low.id, second.id]
    ended = get_run(store, high.id)
    assert (ended.status, ended.device) == ("finished", "cpu")
    (claimed,) = [event.text for event in events(store, high.id) if event.text.startswith("taken")]
    assert claimed == f"taken by worker {view.id} for cpu"


def test_runs_share_the_threads_and_a_wide_one_is_waited_for(store: Store, started: Workers) -> None:
    narrow = queue_double(store, "forever")
    wide = queue_double(store, "forever", execution={"threads": 5})
    behind = queue_double(store, "finish")
    started.append(start_worker(store, 2))
    until(lambda: is_under_way(store, narrow.id), "the first runs")
    time.sleep(0.6)
    assert [get_run(store, run.id).status for run in (wide, behind)] == ["queued", "queued"]
    cancel(store, [narrow.id])
    until(lambda: is_under_way(store, wide.id), "the wide one has all threads")
    time.sleep(0.6)
    assert get_run(store, behind.id).status == "queued"
    cancel(store, [wide.id])
    until(lambda: get_run(store, behind.id).status == "finished", "the last one has its turn")


# ------------------------------------------------------------------------------------ killed runs


def test_a_killed_run_is_queued_again_until_it_has_happened_too_often(store: Store, started: Workers) -> None:
    run = queue_double(store, "forever")
    started.append(start_worker(store, 1))
    for attempt in (1, 2, 3):
        until(begun(store, run, attempt), "it has begun")
        kill(pid_of(store, run))
    until(lambda: all_ended(store), "it is given up")
    ended = get_run(store, run.id)
    how = "killed by signal 9 (SIGKILL); kill -9, or the machine ran out of memory"
    assert (ended.status, ended.reason) == ("failed", f"set aside: lost 3 times; at last: {how}")
    assert [e.text for e in events(store, run.id)].count(f"queued: queued again: {how}") == 2
    assert retry(store, [run.id])[0].crashes == 0
    until(lambda: get_run(store, run.id).attempt == 4, "a person may try it again")
    store.folder(run.id).last.touch()  # it has made a checkpoint since
    kill(pid_of(store, run))
    until(lambda: get_run(store, run.id).attempt == 5, "it is taken up")
    assert get_run(store, run.id).crashes == 1


def test_what_fails_by_itself_is_not_tried_again_and_what_says_nothing_is(store: Store, started: Workers) -> None:
    fails, mute, crashes = queue_double(store, "fail"), queue_double(store, "mute"), queue_double(store, "crash")
    started.append(start_worker(store, 2, linger_s=0.0))
    assert_leaves(started[0], store)
    ended = [get_run(store, run.id) for run in (fails, mute, crashes)]
    assert [run.status for run in ended] == ["failed"] * 3
    assert (ended[0].reason, ended[0].attempt) == ("exception: ValueError: no", 1)
    assert ended[1].reason == "set aside: lost 3 times; at last: ended with exit code 3 without a last word"
    assert ended[2].reason.endswith("exit code 1 without a last word: ModuleNotFoundError: no module named gpu")


# ------------------------------------------------------------------------------------ killed workers


def test_the_next_worker_adopts_what_goes_on_and_queues_again_what_does_not(store: Store, started: Workers) -> None:
    stays, goes = queue_double(store, "forever"), queue_double(store, "forever")
    started.append(start_worker(store, 2))
    until(lambda: is_under_way(store, stays.id) and is_under_way(store, goes.id), "both run")
    (first,), pid = living(store), pid_of(store, stays)
    servers = [child.pid for child in psutil.Process(started[0].pid).children()]
    kill(started[0].pid, *servers, pid_of(store, goes))
    started[0].wait()

    started.append(start_worker(store, 2))
    until(lambda: get_run(store, goes.id).attempt == 2, "one begins again")
    until(lambda: get_run(store, stays.id).worker_id not in (first, None), "the other is adopted")
    again, adopted = get_run(store, goes.id), get_run(store, stays.id)
    assert (adopted.status, adopted.attempt, adopted.pid) == ("running", 1, pid)
    assert (again.status, again.crashes) == ("running", 1)
    assert [w.id for w in workers(store)] == [adopted.worker_id], "the dead one is forgotten"
    assert starts_in(store, stays) == 1
    before = len(series(store, stays.id, "loss").steps)
    until(lambda: len(series(store, stays.id, "loss").steps) > before, "news of the adopted one come in")
    cancel(store, [stays.id, goes.id])
    until(lambda: statuses(store) == ["cancelled"] * 2, "an adopted run is stopped like any other")
    drain(store)
    assert_leaves(started[1], store)


def test_a_run_that_takes_its_worker_down_twice_is_set_aside(store: Store, started: Workers) -> None:
    run = queue_double(store, "forever")
    for attempt in (1, 2):
        started.append(start_worker(store, 1))
        until(begun(store, run, attempt), "it has begun")
        kill(started[-1].pid, pid_of(store, run))
        started[-1].wait()
    started.append(start_worker(store, 1, linger_s=0.0))
    assert_leaves(started[-1], store)
    ended = get_run(store, run.id)
    assert (ended.status, ended.attempt) == ("failed", 2)
    assert ended.reason == (
        "set aside: lost 2 times with its worker; at last: its worker is gone, and so is its process"
    )


def test_a_killed_server_costs_nothing(store: Store, started: Workers) -> None:
    one = queue_double(store, "forever")
    started.append(start_worker(store, 2))
    until(lambda: is_under_way(store, one.id), "it runs")
    for child in psutil.Process(started[0].pid).children():
        child.kill()
    other = queue_double(store, "finish")
    until(lambda: get_run(store, other.id).status == "finished", "another server starts the next run")
    assert (get_run(store, one.id).status, get_run(store, one.id).attempt) == ("running", 1)
    kill(pid_of(store, one))
    until(lambda: get_run(store, one.id).attempt == 2, "its end is noticed all the same")


# ------------------------------------------------------------------------------------ leaving by degrees


def test_a_worker_leaves_by_degrees(store: Store, started: Workers) -> None:
    run, waiting = queue_double(store, "forever"), queue_double(store, "finish")
    started.append(start_worker(store, 1))
    until(lambda: is_under_way(store, run.id), "it runs")
    started[0].send_signal(signal.SIGHUP)
    started[0].send_signal(signal.SIGTERM)
    until(lambda: workers(store)[0].draining, "it drains")
    assert (get_run(store, run.id).status, get_run(store, waiting.id).status) == ("running", "queued")
    started[0].send_signal(signal.SIGTERM)
    assert_leaves(started[0], store)
    back = get_run(store, run.id)
    assert (back.status, back.reason, back.crashes) == ("queued", "queued again: it was stopped with its worker", 0)
    assert statuses(store) == ["queued", "queued"]


def test_the_third_time_it_leaves_its_runs_alone(store: Store, started: Workers) -> None:
    run = queue_double(store, "forever")
    started.append(start_worker(store, 1))
    until(lambda: is_under_way(store, run.id), "it runs")
    pid = pid_of(store, run)
    os.kill(pid, signal.SIGSTOP)  # so that it cannot follow the second
    for _ in range(3):
        started[0].send_signal(signal.SIGTERM)
        time.sleep(0.3)
    assert started[0].wait(90) == 0
    os.kill(pid, signal.SIGCONT)
    until(lambda: not group_of(pid), "it follows")
    settle(store)
    assert get_run(store, run.id).status == "cancelled"
    started.append(start_worker(store, 1))
    until(lambda: get_run(store, run.id).attempt == 2, "nobody had asked for its end: the next worker goes on with it")


# ------------------------------------------------------------------------------------ cancelled in all states


@pytest.mark.parametrize("n", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_cancel_ends_runs_in_all_states(store: Store, started: Workers, n: int) -> None:
    finished = queue_double(store, "finish")
    running = [queue_double(store, "deaf" if k == 0 else "forever") for k in range(n)]
    started.append(start_worker(store, n))
    until(lambda: all(is_under_way(store, run.id) for run in running), "they run")
    queued = [queue_double(store, "forever") for _ in range(n)]
    groups = [pid_of(store, run) for run in running]
    everything = [run.id for run in [finished, *running, *queued]]
    cancel(store, everything)
    ended = see_off(store, everything)
    assert [run.status for run in ended] == ["finished"] + ["cancelled"] * 2 * n
    until(lambda: not any(group_of(pid) for pid in groups), "none of their processes is alive", 10)
    assert get_run(store, running[0].id).reason == "cancelled by the user; killed, since it did not stop by itself"
    assert get_run(store, running[1].id).reason == "stopped by the user (SIGTERM)"
    assert get_run(store, queued[0].id).reason == "cancelled by the user"
    drain(store)
    assert_leaves(started[0], store)


def test_a_run_whose_worker_is_dead_is_cancelled_too(store: Store, started: Workers) -> None:
    run = queue_double(store, "forever")
    started.append(start_worker(store, 1))
    until(lambda: is_under_way(store, run.id), "it runs")
    started[0].kill()
    started[0].wait()
    pid = pid_of(store, run)
    cancel(store, [run.id])
    (ended,) = see_off(store, [run.id])
    assert (ended.status, ended.reason) == ("cancelled", "stopped by the user (SIGTERM)")
    assert not group_of(pid)
    started.append(start_worker(store, 1, linger_s=0.0))
    assert_leaves(started[1], store)
    assert get_run(store, run.id).status == "cancelled", "and it stays so"


def test_what_a_run_leaves_in_its_group_is_killed_before_its_place_is_given_away(
    store: Store, started: Workers
) -> None:
    run = queue_double(store, "litter")
    started.append(start_worker(store, 1, linger_s=0.0))
    assert_leaves(started[0], store)
    ended = get_run(store, run.id)
    assert ended.status == "finished"
    assert not group_of(ended.pid or 0)


def test_a_damaged_row_in_the_queue_stops_neither_the_worker_nor_the_others(store: Store, started: Workers) -> None:
    runs = [queue_double(store, "finish", seed=seed) for seed in range(4)]
    with store.write() as session:
        for run, change in zip(runs, ("spec = '{'", "spec = '[]'", "priority = 'x'"), strict=False):
            session.connection().exec_driver_sql(f"UPDATE run SET {change} WHERE id = ?", (run.id,))
    worker = start_worker(store, 2, linger_s=1.0)
    started.append(worker)
    until(lambda: get_run(store, runs[3].id).status == "finished", "the sound one is done")
    assert worker.wait(60) == 0, store.path.with_name("worker.txt").read_text()
    assert "Traceback" not in store.path.with_name("worker.txt").read_text()
    assert get_run(store, runs[0].id).status != "running"
