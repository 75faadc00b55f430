"""Workers as processes of their own, with runs that train (`Tiny`) or only behave so (`double.py`)."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from engine.queue import enqueue, workers
from engine.spec import Experiment
from engine.store import Run, Store, get_run, list_runs, series
from engine.store.runs import Target
from tests.forks import start_python

TINY: dict[str, Any] = {
    "method": "id",
    "data": {"source": {"kind": "demo", "users": 60, "items": 40, "communities": 4, "dim": 16}},
    "table": {"init": {"kind": "id"}, "normalize": "none"},
    "backbone": {"name": "sasrec", "width": 16, "inner": 32, "max_length": 10},
    "train": {"epochs": 1, "batch_size": 16, "probe": 64},
    "execution": {"checkpoint_s": 0.01},
}
WORKER = """
import sys
from engine.queue.executors.local.devices import Devices
from engine.queue.executors.local.executor import LocalExecutor
from engine.queue.executors.local.launcher import Launcher
from engine.queue.worker import Worker
from engine.store import open_store
db, slots, linger_s, *server = sys.argv[1:]
say = lambda text: print(text, flush=True)
store = open_store(db)
launcher = Launcher(store.make_files() / "worker.log", server or None)
executor = LocalExecutor(store.files, Devices((), 1, int(slots)), launcher)
worker = Worker(store, executor, say, float(linger_s) if linger_s else None)
sys.exit(not worker.run())
"""
FRONT = "import sys; from tests.engine.queue.front import main; sys.exit(main(*sys.argv[1:]))"
"""`front.py`, as a process of its own."""
DOUBLES = [sys.executable, str(Path(__file__).with_name("server.py"))]


def queue_training(store: Store, seed: int = 0, **changes: Any) -> Run:
    experiment = Experiment.model_validate(TINY | {"seed": seed} | changes)
    return enqueue(store, experiment, overrides={}, command=["tfllmer"])


def queue_double(store: Store, mode: str, *, priority: int = 0, target: Target | None = None, **changes: Any) -> Run:
    experiment = Experiment.model_validate({"note": mode, **changes})
    return enqueue(store, experiment, overrides={}, command=["tfllmer"], priority=priority, target=target)


def start_worker(
    store: Store, slots: int = 2, *, linger_s: float | None = None, trains: bool = False
) -> "subprocess.Popen[str]":
    arguments = [store.name, str(slots), "" if linger_s is None else str(linger_s), *([] if trains else DOUBLES)]
    with open(store.files.with_name("worker.txt"), "a") as out:  # for a person who looks into a failure
        return start_python(
            WORKER,
            *arguments,
            env=store.environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def until(condition: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"waited in vain until {what}"
        time.sleep(0.05)


def statuses(store: Store) -> list[str]:
    return [run.status for run in list_runs(store)]


def all_ended(store: Store) -> bool:
    return not {"queued", "running", "lost"} & set(statuses(store))


def is_under_way(store: Store, run_id: str) -> bool:
    """Whether it runs and has reported points."""
    return get_run(store, run_id).status == "running" and len(series(store, run_id, "loss").steps) > 3


def begun(store: Store, run: Run, attempt: int) -> Callable[[], bool]:
    """Whether that attempt has begun."""
    return lambda: get_run(store, run.id).attempt == attempt


def pid_of(store: Store, run: Run) -> int:
    pid = get_run(store, run.id).pid
    assert pid
    return pid


def group_of(pid: int) -> list[int]:
    """Living processes of the group."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == pid and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


def living(store: Store) -> list[str]:
    return [w.id for w in workers(store) if w.alive]


def starts_in(store: Store, run: Run) -> int:
    return store.folder(run.id).spool.read_text().count('{"r":"start"')
