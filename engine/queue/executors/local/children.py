"""Runs as children of this very process, each with an interpreter of its own: for one that a person follows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from engine.errors import UserError
from engine.queue.executors.base import run_environment, thread_environment
from engine.queue.executors.local.processes import ProcessId
from engine.spool import RunFolder


class Children:
    """Starts runs and learns how they end. `argv` stands for `engine.job` on the run's folder."""

    def __init__(self, argv: Sequence[str] = ()) -> None:
        self._argv = argv
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def ready(self) -> bool:
        return True

    def start(self, folder: Path, device: str, threads: int, environment: Mapping[str, str]) -> ProcessId:
        """Start the run in the folder on `device` (empty: as it says itself). Raises UserError.

        The child has a session of its own, so neither Ctrl-C nor a closed terminal reaches it; its output is appended
        to the log of the run.
        """
        log = RunFolder(folder).log
        # -P: a folder called `engine` where the user works must not hide ours
        job = [sys.executable, "-P", "-m", "engine.job", str(folder), *(["--device", device] if device else [])]
        try:
            with open(log, "ab") as out:
                popen = subprocess.Popen(
                    self._argv or job,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**run_environment(), **environment} | thread_environment(threads),
                )
        except OSError as error:
            raise UserError(f"{log}: the run cannot be started: {error}") from None
        self._children[popen.pid] = popen
        return ProcessId(popen.pid, psutil.Process(popen.pid).create_time(), None)

    def ended(self) -> dict[int, int | None]:
        """Exit codes by pid of the runs that have ended since the last call (negative: a signal)."""
        codes = {pid: popen.poll() for pid, popen in self._children.items()}
        ended: dict[int, int | None] = {pid: code for pid, code in codes.items() if code is not None}
        for pid in ended:
            del self._children[pid]
        return ended

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        """Nothing is held: the children go on."""
