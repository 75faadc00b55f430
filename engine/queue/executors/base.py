"""What the queue asks of an executor: start runs, say whether they live, stop them, tell how they ended."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from engine.errors import UserError
from engine.files import without_password
from engine.spool import THREADS, RunFolder


@dataclass(frozen=True)
class Task:
    """A run to start. `device` is the place that a worker gave it (an offer's; empty: the run's own setting decides),
    `threads` the CPU threads of each of its processes (0: it chooses, of those that its place has for it), `cluster`
    the preset of `configs/cluster` that it was queued for (empty: none), `attempt` which of its attempts this is (0:
    whichever comes next), so that a process that comes too late leaves it alone, `devices` how many devices share it,
    with a process each."""

    folder: RunFolder
    threads: int
    device: str = ""
    cluster: str = ""
    attempt: int = 0
    devices: int = 1


class RefusedError(UserError):
    """The executor does not take these tasks as they are; others it may take."""


class How(StrEnum):
    """The ways in which the work of a run ends."""

    EXIT = "exit"
    SIGNAL = "signal"
    MEMORY = "memory"
    TIME = "time"
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"
    VANISHED = "vanished"


@dataclass(frozen=True)
class Ending:
    """How the work of a run ended, as its executor knows it; `reason` is one line for people."""

    how: How
    reason: str

    @property
    def blame(self) -> bool:
        """Whether the run may have caused it."""
        return self.how not in (How.PREEMPTED, How.CANCELLED)


@dataclass(frozen=True)
class Placed:
    """A run that holds a place: its device, its CPU threads, its handle."""

    device: str
    threads: int
    handle: str | None


@dataclass(frozen=True)
class Offer:
    """A place that is free now. `accepts` are the wishes (`execution.device`) that it fulfils (None: every one),
    `free` how many CPU threads a run may want (None: any number), `gpus` how many GPUs it is, for runs that are shared
    by just so many (None: for any)."""

    device: str
    accepts: tuple[str, ...] | None
    free: int | None
    gpus: int | None = None


@dataclass(frozen=True)
class Resources:
    """What an executor can see from here: CPU cores, GPUs, bytes of memory; None where it cannot say."""

    cores: int | None
    gpus: int | None
    memory: int | None


class Executor(Protocol):
    """One way to carry runs out. It is made with the folder of a store's runs, beneath which it may keep files, and
    does nothing until it is asked.

    A *handle* is its name for a started task. It is text that is kept in the run's row, so `alive`, `stop`, `ending`,
    `clear` and `state` answer in any process, long after the one that started the task is gone. A task that is
    started again by the executor itself (a job that is requeued) keeps its handle and lives all the while.
    """

    name: str
    """As in `--on NAME`, and of its entry point."""
    cancel_grace_s: float
    """What a cancelled run has for saving its state before it is killed."""
    at_once: int
    """How many tasks it takes together. More than one: it has a queue of its own, in which they wait."""

    def __init__(self, folder: Path) -> None: ...

    @property
    def slots(self) -> Sequence[str]:
        """The device of each place, for the row of its worker."""

    @property
    def accepts(self) -> tuple[str, ...] | None:
        """Every wish (`execution.device`) that some place fulfils; None: every one."""

    def offers(self, placed: Sequence[Placed]) -> list[Offer]:
        """Places that are free while these are taken, the best first."""

    def load(self, placed: Sequence[Placed]) -> list[dict[str, Any]]:
        """How loaded the devices are, for the worker's row (see `WorkerView`)."""

    def sees(self) -> Resources:
        """What there is to run on. Raises UserError where the executor cannot work here."""

    def check(self, cluster: str) -> None:
        """Raises UserError where runs cannot be handed over from here, or there is no such cluster preset."""

    def ready(self) -> bool:
        """Whether a task would start at once; if not, what that takes is begun. Raises UserError where none could be
        started."""

    def start(self, tasks: Sequence[Task]) -> list[str]:
        """Start the tasks, and return their handles in order. Raises RefusedError where these are not taken, UserError
        where nothing can be started."""

    def alive(self, handle: str) -> bool:
        """Whether the task waits or works; True where nobody can say now."""

    def stop(self, handle: str, *, kill: bool = False) -> None:
        """Ask a task to save its state and leave; with `kill` end it at once. Nothing happens where it has ended."""

    def ending(self, handle: str) -> Ending | None:
        """How it ended; None while it lives."""

    def clear(self, handle: str) -> bool:
        """End what an ended task has left behind; True once nothing is left and its place is free."""

    def state(self, handle: str) -> str:
        """A word for people on how it stands; empty where the executor has none."""

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until something of the tasks is heard."""

    def close(self) -> None:
        """Let go of what it holds here; the tasks go on."""


def run_environment() -> dict[str, str]:
    """The environment of a run's process: ours without what logs in to a database, as a run never does."""
    kept = {name: value for name, value in os.environ.items() if name != "PGPASSWORD"}
    if "TFLLMER_DB" in kept:
        kept["TFLLMER_DB"] = without_password(kept["TFLLMER_DB"])
    return kept


def place_environment(threads: int) -> dict[str, str]:
    """What tells a run that leaves its threads to its place how many there are for it."""
    return {THREADS: str(max(1, threads))}


def thread_environment(threads: int) -> dict[str, str]:
    """What makes every library of a run keep to its number of threads; read when they are imported."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
    return dict.fromkeys(names, str(threads))
