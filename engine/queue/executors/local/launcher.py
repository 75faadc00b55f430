"""Processes of runs from warm servers (`engine.forkserver`): milliseconds instead of an import of torch.

A server has the number of threads in its environment when it imports, so there is one for each
number that runs ask for. When the program's own files change, new runs come from a new server.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import engine
from engine.errors import UserError
from engine.queue.executors.base import run_environment, thread_environment
from engine.queue.executors.local.processes import ProcessId

_PATIENCE_S = 300.0
"""An import of torch from a slow disk takes minutes; more is a fault."""
_STAMP_S = 2.0
"""Looking at every file of the program takes some milliseconds: too much for each look at the queue."""


@dataclass
class _Server:
    threads: int
    stamp: tuple[int, int]
    popen: subprocess.Popen[bytes]
    children: set[int] = field(default_factory=set)
    ready: bool = False
    unread: bytes = b""

    @property
    def answers(self) -> int:
        assert self.popen.stdout
        return self.popen.stdout.fileno()

    def ask(self, request: Mapping[str, Any]) -> bool:
        """Whether there is a server that may hear it."""
        assert self.popen.stdin
        try:
            os.write(self.popen.stdin.fileno(), json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            return False
        return True

    def read(self) -> list[dict[str, Any]] | None:
        """What has come; None at the end."""
        block = os.read(self.answers, 1 << 16)
        if not block:
            return None
        *lines, self.unread = (self.unread + block).split(b"\n")
        return [json.loads(line) for line in lines]


class Launcher:
    """Starts runs and learns how they end. The runs outlive it, and their servers."""

    def __init__(self, log: Path, server: Sequence[str] | None = None) -> None:
        self._log = log
        self._argv = list(server or [sys.executable, "-P", "-m", "engine.forkserver"])
        self._servers: list[_Server] = []
        self._started: dict[str, ProcessId] = {}
        self._ended: dict[int, int | None] = {}
        self._broken = False
        self._stamp = (0, 0)
        self._stamp_at = -_STAMP_S

    def ready(self, threads: int = 1) -> bool:
        """Whether a run of so many threads would start at once; if not, a server begins to import. Raises
        UserError where it could not."""
        if self._broken:
            raise UserError(f"{self._log}: the process that starts runs does not work; see there")
        if time.monotonic() - self._stamp_at > _STAMP_S:
            self._stamp, self._stamp_at = _code_stamp(), time.monotonic()
        return self._server(threads, self._stamp).ready

    def start(self, folder: Path, device: str, threads: int, environment: Mapping[str, str]) -> ProcessId:
        """Start the run in the folder on `cpu` or `cuda`. Raises UserError where the server does not work."""
        values = dict(environment) | thread_environment(threads)
        request = {"folder": str(folder), "device": device, "environment": values}
        stamp = _code_stamp()
        server = self._server(threads, stamp)
        if not server.ask(request):  # killed since the last look: another one starts the run
            self.wait(0.0)
            server = self._server(threads, stamp)
            server.ask(request)
        give_up = time.monotonic() + _PATIENCE_S
        while str(folder) not in self._started:
            if server not in self._servers or time.monotonic() > give_up:
                raise UserError(f"{self._log}: the process that starts runs does not answer; see there")
            self.wait(1.0)
        return self._started.pop(str(folder))

    def ended(self) -> dict[int, int | None]:
        """Exit codes by pid of the runs that have ended since the last call (negative: a signal); None
        where nobody will know, because the run's server has died. Such a run may be alive."""
        ended, self._ended = self._ended, {}
        return ended

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until a server says something."""
        poll = select.poll()  # select() takes no descriptor above 1023
        for server in self._servers:
            poll.register(server.answers, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        for server in [server for server in self._servers if server.answers in ready]:
            answers = server.read()
            if answers is None:
                self._broken |= not server.ready
                self._ended |= dict.fromkeys(server.children)
                self._close(server)
            for answer in answers or []:
                if "ready" in answer:
                    server.ready = True
                elif "folder" in answer:
                    server.children.add(answer["pid"])
                    self._started[answer["folder"]] = ProcessId(answer["pid"], answer["pid_start"], None)
                elif "ended" in answer:
                    server.children.discard(answer["ended"])
                    self._ended[answer["ended"]] = answer["code"]

    def close(self) -> None:
        """Let the servers go; their runs go on."""
        for server in list(self._servers):
            self._close(server)

    def _server(self, threads: int, stamp: tuple[int, int]) -> _Server:
        for server in list(self._servers):
            if server.stamp == stamp and server.threads == threads:
                return server
            if server.stamp != stamp and not server.children:
                self._close(server)
        with open(self._log, "ab") as log:
            popen = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=run_environment() | thread_environment(threads),
            )
        self._servers.append(_Server(threads, stamp, popen))
        return self._servers[-1]

    def _close(self, server: _Server) -> None:
        self._servers.remove(server)
        with server.popen:  # closes the pipes: the server leaves
            pass


def _code_stamp() -> tuple[int, int]:
    """How many modules the program has and when one last changed: a run must not begin with code that is
    not in the files any more, because what it tells of its origin is read from them."""
    times = [file.stat().st_mtime_ns for file in Path(engine.__file__).parent.rglob("*.py")]
    return len(times), max(times)
