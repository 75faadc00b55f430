"""A warm process that forks the processes of runs: torch and the science wing are imported once.

    python -P -m engine.forkserver

Requests come on stdin and answers leave on stdout, one JSON object a line:

    in   {"folder", "device", "environment"}   start the run in the folder on the device
    out  {"ready"}                             everything is imported
    out  {"folder", "pid", "pid_start"}        it has been started, in a session of its own
    out  {"ended": pid, "code"}                it has ended; a negative code is the number of a signal

Nothing is computed before a fork: no torch operation, no CUDA, no thread. At the end of stdin the
server leaves; the runs go on.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import psutil

from engine.warmup import warm_up

_MODULES = (
    *("scipy.linalg", "scipy.sparse.linalg", "sklearn.cluster", "sklearn.metrics"),
    "engine.geometry.graph.leiden",
    *("safetensors.torch", "engine.data", "engine.embeddings.pipeline"),
    *("engine.provenance", "engine.training.run", "engine.models.sequential.sasrec"),
)
"""What a run imports besides torch."""

Work = Callable[[list[str]], int]


def main() -> int:
    answers = claim_stdout()
    warm_up(*_MODULES)
    from engine import job

    serve(answers, job.main)
    return 0


def claim_stdout() -> int:
    """A file of its own for the answers, so that nothing that an import prints looks like one."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def serve(answers: int, work: Work) -> None:
    """Answer requests until the end of stdin. `work` is what a child does, given the arguments of
    `engine.job`; what it returns is its exit code."""
    gc.collect()
    gc.freeze()  # the collector of a child leaves these pages shared

    def answer(**values: Any) -> None:
        with suppress(BrokenPipeError):
            os.write(answers, json.dumps(values).encode() + b"\n")

    ours, kernels = socket.socketpair()
    for end in (ours, kernels):
        end.setblocking(False)
    signal.set_wakeup_fd(kernels.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)  # wakes the select below
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children: set[int] = set()
    asked = b""
    answer(ready=True)
    while True:
        readable, _, _ = select.select([0, ours.fileno()], [], [])
        if ours.fileno() in readable:
            with suppress(BlockingIOError):
                ours.recv(4096)
        for pid, code in _ended(children):
            children.discard(pid)
            answer(ended=pid, code=code)
        if 0 in readable:
            block = os.read(0, 1 << 16)
            if not block:
                return
            *lines, asked = (asked + block).split(b"\n")
            for line in lines:
                request = json.loads(line)
                pid = _fork(request, work, (answers, ours.fileno(), kernels.fileno()))
                children.add(pid)
                answer(folder=request["folder"], pid=pid, pid_start=psutil.Process(pid).create_time())


def _ended(children: set[int]) -> list[tuple[int, int]]:
    """Children that have ended, with their codes; what they left in their groups is killed. A child keeps
    its number until it has been waited for, so the group is its own."""
    ended = []
    for pid in children:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            ended.append((pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    return ended


def _fork(request: dict[str, Any], work: Work, private: Iterable[int]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _run(request, work, private)
    return pid


def _run(request: dict[str, Any], work: Work, private: Iterable[int]) -> NoReturn:
    """The child: from here on it is like a process that `python -m engine.job` started."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        folder = Path(request["folder"])
        nothing = os.open(os.devnull, os.O_RDONLY)
        log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        for file in private:  # the worker must see the end of the answers when the server ends
            os.close(file)
        os.environ.update(request["environment"])
        code = work([str(folder), "--device", request["device"]])
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
