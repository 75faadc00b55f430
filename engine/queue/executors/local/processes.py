"""Processes of this machine, recognised by (pid, start time), and signalled alone or with their group."""

from __future__ import annotations

import os
import platform
import signal
from contextlib import suppress
from dataclasses import dataclass

import psutil

_CLOCK_SLACK_S = 2.0
"""The start time of a process is computed from the time of boot, which moves when the clock is set."""


@dataclass(frozen=True)
class ProcessId:
    """A process, also after it has ended: its number is given to others, but not at the same time. `host` None: one of
    this machine."""

    pid: int
    pid_start: float
    host: str | None

    @classmethod
    def of_handle(cls, handle: str) -> ProcessId:
        """Raises ValueError for text that `handle` did not write."""
        pid, started, host = handle.split(" ", 2)
        return cls(int(pid), float(started), host or None)

    @property
    def handle(self) -> str:
        return f"{self.pid} {self.pid_start!r} {self.host or ''}"

    @property
    def is_here(self) -> bool:
        """Whether this machine can say anything of it."""
        return self.host in (None, platform.node())


def this_process() -> ProcessId:
    """The one that asks."""
    me = psutil.Process()
    return ProcessId(me.pid, me.create_time(), platform.node())


def process_lives(pid: int, pid_start: float) -> bool:
    """Whether the process that started then still runs under that pid. A zombie has ended."""
    return _same_process(pid, pid_start) is not None


def _same_process(pid: int, pid_start: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - pid_start) <= _CLOCK_SLACK_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, ValueError, OverflowError, TypeError):  # also a number that no process can have
        return None


def group_lives(pid: int, pid_start: float) -> bool:
    """Whether anything lives in the group that the process led, or still leads. (The kernel gives no
    number to a new process while a group has it; so with the leader gone, what is left is of that group.)"""
    if pid <= 1:
        return False
    if not psutil.pid_exists(pid):
        return any(_group_of(p.pid) == pid and p.status() != psutil.STATUS_ZOMBIE for p in psutil.process_iter())
    return process_lives(pid, pid_start)


def kill_group(pid: int, pid_start: float) -> None:
    """SIGKILL to everything in the group that the process led, or still leads."""
    if pid <= 1:
        return  # to the system these are other groups: our own, everybody's
    if psutil.pid_exists(pid) and not (process_lives(pid, pid_start) and _group_of(pid) == pid):
        return  # the number belongs to somebody else by now, or it never led a group
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def ask_to_stop(pid: int, pid_start: float) -> None:
    """SIGTERM to the process: save your state and leave."""
    process = _same_process(pid, pid_start)
    if process is not None:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
