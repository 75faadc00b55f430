"""A worker with an executor that calls every stop a cancellation, as schedulers of clusters do."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from engine.queue import cancel, workers
from engine.queue.executors.base import Ending, How, RefusedError, Task
from engine.queue.executors.local.children import Children
from engine.queue.executors.local.devices import Devices
from engine.queue.executors.local.executor import LocalExecutor
from engine.queue.worker import Worker
from engine.store import Store, get_run
from engine.store.runs import Target
from tests.engine.queue.workers import is_under_way, queue_double, until

DOUBLE = str(Path(__file__).parents[1] / "double.py")


class Scheduler(LocalExecutor):
    """Processes of this machine that run until they are stopped."""

    def start(self, tasks: Sequence[Task]) -> list[str]:
        self._made = Children([sys.executable, DOUBLE, "forever", str(tasks[0].folder.root)])
        return super().start(tasks)

    def ending(self, handle: str) -> Ending | None:
        return super().ending(handle) and Ending(How.CANCELLED, "the job was cancelled")


def follow(store: Store, run_id: str, then: Callable[[], None]) -> None:
    """Work on the run in this process; `then` is done beside it once the run is under way."""

    failures: list[BaseException] = []
    left = threading.Event()

    def beside() -> None:
        try:
            until(lambda: is_under_way(store, run_id), "it runs")
            then()
        except BaseException as error:
            failures.append(error)
            while not left.wait(0.5):
                ask_this_process()

    thread = threading.Thread(target=beside)
    thread.start()
    Worker(store, Scheduler(store.files, starter=Children()), lambda text: None).run()
    left.set()
    thread.join()
    assert not failures, failures


class Choosy(LocalExecutor):
    """Takes several at once, and none of a cluster that it does not have."""

    at_once = 4

    def start(self, tasks: Sequence[Task]) -> list[str]:
        if any(task.cluster == "none" for task in tasks):
            raise RefusedError("there is no such cluster")
        self._made = Children([sys.executable, DOUBLE, "finish", str(tasks[0].folder.root)])
        return super().start(tasks)


def test_a_run_that_is_refused_fails_alone(store: Store) -> None:
    runs = [queue_double(store, "finish", target=Target("local", cluster)) for cluster in ("", "none")]
    Worker(store, Choosy(store.files, Devices((), 1, 2), Children()), lambda text: None, 0.0).run()
    ended = [get_run(store, run.id) for run in runs]
    assert [(run.status, run.reason) for run in ended] == [("finished", ""), ("failed", "there is no such cluster")]


def ask_this_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_what_a_worker_stops_as_it_leaves_is_queued_again(store: Store) -> None:
    run = queue_double(store, "forever")

    def twice() -> None:
        ask_this_process()
        until(lambda: workers(store)[0].draining, "it drains")
        ask_this_process()

    follow(store, run.id, twice)
    after = get_run(store, run.id)
    assert (after.status, after.crashes, after.cancel_requested) == ("queued", 0, False)


@pytest.mark.parametrize("here", [True, False])
def test_what_a_person_cancels_is_not_queued_again(store: Store, here: bool) -> None:
    """By `tfllmer cancel`, or by the scheduler's own command."""
    run = queue_double(store, "forever")

    def one() -> None:
        if here:
            cancel(store, [run.id])
        else:
            os.kill(get_run(store, run.id).pid or 0, signal.SIGTERM)
        until(lambda: get_run(store, run.id).status == "cancelled", "it is cancelled")
        ask_this_process()

    follow(store, run.id, one)
    assert get_run(store, run.id).status == "cancelled"
