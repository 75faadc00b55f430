"""The executor of this machine: runs are processes, placed on its GPUs and cores."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import psutil

from engine import cores
from engine.errors import UserError
from engine.files import own_log
from engine.queue.executors.base import Ending, How, Offer, Placed, Resources, Task, place_environment
from engine.queue.executors.endings import exited
from engine.queue.executors.local.devices import Devices, choose, count_gpus
from engine.queue.executors.local.launcher import Launcher
from engine.queue.executors.local.processes import ProcessId, ask_to_stop, group_lives, kill_group, process_lives
from engine.spool import ATTEMPT

CANCEL_GRACE_S = 6.0


class Starter(Protocol):
    """What makes the processes: warm servers (`Launcher`), or this process itself (`Children`)."""

    def ready(self) -> bool: ...

    def start(self, folder: Path, device: str, threads: int, environment: Mapping[str, str]) -> ProcessId: ...

    def ended(self) -> dict[int, int | None]: ...

    def wait(self, seconds: float) -> None: ...

    def close(self) -> None: ...


class LocalExecutor:
    """Runs as processes of this machine, on the places that `devices` has (left out: all of them), started by `starter`
    (left out: warm servers)."""

    name = "local"
    cancel_grace_s = CANCEL_GRACE_S
    at_once = 1

    def __init__(self, folder: Path, devices: Devices | None = None, starter: Starter | None = None) -> None:
        self._folder = folder
        self._chosen = devices
        self._made = starter
        self._tasks: dict[int, tuple[str, Task]] = {}  # by pid: those that were started here and whose end is not known
        self._endings: dict[str, Ending] = {}

    # -------------------------------------------------------------------------------- what it can see

    @cached_property
    def _devices(self) -> Devices:
        return self._chosen or choose(None, None, 1, None)

    @property
    def slots(self) -> list[str]:
        return self._devices.slots

    @property
    def accepts(self) -> tuple[str, ...] | None:
        return self._devices.accepts

    def offers(self, placed: Sequence[Placed]) -> list[Offer]:
        return self._devices.offers(placed)

    def load(self, placed: Sequence[Placed]) -> list[dict[str, Any]]:
        return self._devices.load(placed)

    def sees(self) -> Resources:
        return Resources(cores.usable(), count_gpus(), psutil.virtual_memory().total)

    def check(self, cluster: str) -> None:
        if cluster:
            raise UserError(f"--cluster {cluster}: is for jobs of a cluster; give --on slurm or --on ray with it")

    # -------------------------------------------------------------------------------- starting

    @property
    def _starter(self) -> Starter:
        if self._made is None:
            self._made = Launcher(own_log(self._folder, "worker"))
        return self._made

    def ready(self) -> bool:
        return self._starter.ready()

    def start(self, tasks: Sequence[Task]) -> list[str]:
        return [self._start(task) for task in tasks]

    def _start(self, task: Task) -> str:
        seen = dict(self._devices.environment(task.device)) if task.device else {}
        if not task.threads:
            seen |= place_environment(self._threads_of(task.device) // task.devices)
        if task.attempt:
            seen[ATTEMPT] = str(task.attempt)
        kind = task.device.partition(":")[0]
        process = self._starter.start(task.folder.root, kind, task.threads or 1, seen)
        handle = ProcessId(process.pid, process.pid_start, platform.node()).handle
        self._tasks[process.pid] = handle, task
        return handle

    def _threads_of(self, place: str) -> int:
        """CPU threads that a place has for a run: a slot's share of the cores; without a place, those that are idle."""
        return self._devices.threads_of(place) if place else cores.idle()

    # -------------------------------------------------------------------------------- following

    def alive(self, handle: str) -> bool:
        """About a process of another machine only the lock in the run's folder tells; here it counts as gone."""
        self._hear()
        if any(handle == started for started, _ in self._tasks.values()):
            return True
        process = ProcessId.of_handle(handle)
        return handle not in self._endings and process.is_here and process_lives(process.pid, process.pid_start)

    def stop(self, handle: str, *, kill: bool = False) -> None:
        process = ProcessId.of_handle(handle)
        if process.is_here:
            (kill_group if kill else ask_to_stop)(process.pid, process.pid_start)

    def ending(self, handle: str) -> Ending | None:
        if self.alive(handle):
            return None
        gone = f"its process (pid {ProcessId.of_handle(handle).pid}) is gone without a last word"
        return self._endings.get(handle, Ending(How.VANISHED, gone))

    def clear(self, handle: str) -> bool:
        process = ProcessId.of_handle(handle)
        if not (process.is_here and group_lives(process.pid, process.pid_start)):
            return True
        kill_group(process.pid, process.pid_start)
        return False

    def state(self, handle: str) -> str:
        return ""

    def wait(self, seconds: float) -> None:
        if self._made is None:
            time.sleep(seconds)
        else:
            self._made.wait(seconds)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

    def _hear(self) -> None:
        """Learn which tasks have ended. Of those whose server has died nobody will know how."""
        for pid, code in (self._made.ended() if self._made else {}).items():
            handle, task = self._tasks.pop(pid)
            if code is not None:
                self._endings[handle] = exited(code, task.folder.log)
