"""Workers as others see them: which live, how to get one, how to let them go."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.errors import UserError
from engine.files import own_log
from engine.queue.executors.registry import LOCAL, executor_class
from engine.queue.liveness import may_return, worker_lives
from engine.store import Store
from engine.store import queue as rows

_START_S = 20.0


@dataclass(frozen=True)
class WorkerView:
    """A worker as its row tells. `slots` holds the device of each slot; `devices` one mapping a device:
    `device`, `name`, `running`, `slots`, `load` (share of 1), `memory_used`, `memory_total` (bytes)."""

    id: str
    host: str
    pid: int
    alive: bool
    draining: bool
    slots: tuple[str, ...]
    devices: tuple[Mapping[str, Any], ...]
    started: datetime
    heartbeat: datetime
    executor: str = LOCAL
    may_return: bool = False
    """It counts as gone, and may be cut off only."""


def workers(store: Store) -> list[WorkerView]:
    """Every worker that has a row, the oldest first. One that is not alive was killed, or is cut off on another
    machine; its runs are adopted or queued again by the next."""
    return [
        WorkerView(
            seen.row.id,
            seen.row.host,
            seen.row.pid,
            worker_lives(seen),
            seen.row.draining,
            tuple(seen.row.slots),
            tuple(seen.row.devices),
            seen.row.started,
            seen.row.heartbeat,
            seen.row.executor,
            may_return=not worker_lives(seen) and may_return(seen),
        )
        for seen in rows.list_workers(store)
    ]


def somebody_works(store: Store, executor: str = LOCAL) -> bool:
    """Whether a worker lives that takes new runs for the executor."""
    return any(worker.alive and not worker.draining and worker.executor == executor for worker in workers(store))


def ensure_worker(store: Store) -> bool:
    """Start a worker in the background for each executor that queued runs wait for (for this machine where none waits),
    unless one lives that takes new runs; True where any was started.

    One for this machine uses every device of it. A worker outlives the terminal, leaves when nothing has been queued
    for a while, and writes to a log of the user's own beside the runs. Raises UserError where it cannot be started.
    """
    started = [_ensure(store, name) for name in _wanted(store)]
    return any(started)


def lacks_worker(store: Store) -> bool:
    """Whether `ensure_worker` would start one."""
    return any(not somebody_works(store, name) for name in _wanted(store))


def _wanted(store: Store) -> Sequence[str]:
    """The executors that queued runs wait for; that of this machine where none waits."""
    return rows.queued_executors(store) or [LOCAL]


def _ensure(store: Store, name: str) -> bool:
    if somebody_works(store, name):
        return False
    executor_class(name)  # one whose package is gone is told here
    log = own_log(store.make_files(), "worker")
    try:
        with open(log, "ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "engine.queue", store.name, name],
                env=store.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise UserError(f"{log}: the worker cannot be started: {error.strerror}") from None
    give_up = time.monotonic() + _START_S
    while time.monotonic() < give_up and process.poll() is None and not somebody_works(store, name):
        time.sleep(0.05)
    if process.poll() and not somebody_works(store, name):
        raise UserError(f"{log}: the worker ended with exit code {process.returncode}; see there, or `tfllmer worker`")
    return True


def drain(store: Store) -> list[WorkerView]:
    """Ask all workers to take nothing new and to leave once their runs have ended, those that are cut off for when they
    come back; returns them."""
    asked = [worker for worker in workers(store) if worker.alive or worker.may_return]
    rows.drain_workers(store, [w.id for w in asked])
    return asked
