"""The processes of one run: started together, watched until the first one has a result, and ended together.

They are forked, as torchrun forks functions, by a process that has imported torch and computed nothing. That one stays
the run's process for everybody outside: it holds the lock, is asked to stop, and says how the run ended.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import torch.distributed
from torch.multiprocessing.spawn import start_processes

from engine.errors import RankLostError

_POLL_S = 0.2
_LAST_WORDS_S = 2.0
"""What the others have for their reports once one has failed, and for leaving once the first has its result."""
_DIES_WITH_PARENT = 1  # of prctl

Work = Callable[[int, Path], Any]
"""(rank, a file where all meet) -> the result, of which that of rank 0 counts."""


@dataclass(frozen=True)
class _Report:
    """What a process leaves when it ends by itself; `at` is on the clock that all processes have."""

    at: float
    value: Any
    error: BaseException | None
    of_connection: bool = False


def in_ranks(size: int, work: Work, should_stop: Callable[[], bool]) -> Any:
    """The result of `work` in the first of `size` processes. Once `should_stop` is true it gets SIGTERM. Where one
    fails all are ended, and its error is raised; RankLostError where it left none."""
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # to count GPUs without CUDA, which no fork survives
    # torch's synchronised modules ask for its compiler: imported here, it is there for all of them
    importlib.import_module("torch._dynamo")
    with tempfile.TemporaryDirectory(prefix="tfllmer-ranks-") as place:
        pipes = [Pipe(duplex=False) for _ in range(size)]
        started = start_processes(
            _rank,
            args=(work, Path(place) / "meeting", os.getpid(), pipes),
            nprocs=size,
            join=False,
            start_method="fork",
        )
        for _, theirs in pipes:
            theirs.close()
        ranks = _Ranks(list(started.processes), [ours for ours, _ in pipes])
        try:
            ranks.watch(should_stop)
            ranks.listen()
            codes = [process.exitcode for process in ranks.processes]  # before those that hang are killed
        finally:
            for process in ranks.processes:
                if process.is_alive():
                    process.kill()
                process.join()
        return _outcome(codes, ranks.reports)


class _Ranks:
    """The processes, by rank, and what they have reported."""

    def __init__(self, processes: Sequence[Any], pipes: Sequence[Connection]) -> None:
        self.processes, self._pipes = processes, list(pipes)
        self.reports: list[_Report | None] = [None] * len(processes)
        self._heard: set[int] = set()

    def watch(self, should_stop: Callable[[], bool]) -> None:
        """Until the first has ended, or another one has failed."""
        told = False
        first, *_ = self.processes
        while first.is_alive() and not any(process.exitcode for process in self.processes):
            if should_stop() and not told:
                told = True
                with suppress(ProcessLookupError):
                    os.kill(first.pid, signal.SIGTERM)
            self._wait(_POLL_S)

    def listen(self) -> None:
        """Let the others end by themselves for a moment: whose connection is gone, fails for another's fault."""
        give_up = time.monotonic() + _LAST_WORDS_S
        while any(process.is_alive() for process in self.processes) and time.monotonic() < give_up:
            self._wait(_POLL_S)
        self._wait(0.0)

    def _wait(self, seconds: float) -> None:
        """Until something is heard of a process, or it ends."""
        unheard = [rank for rank in range(len(self._pipes)) if rank not in self._heard]
        living = [process.sentinel for process in self.processes if process.is_alive()]
        wait([*living, *(self._pipes[rank] for rank in unheard)], seconds)
        for rank in unheard:
            if self._pipes[rank].poll():
                self._heard.add(rank)
                with suppress(EOFError, OSError):  # it was killed: its exit code says so
                    self.reports[rank] = self._pipes[rank].recv()


def _outcome(codes: Sequence[int | None], reports: Sequence[_Report | None]) -> Any:
    """The result of the first, or the error that came before all others. That a connection is gone is an error of its
    own only where every process says so."""
    first = reports[0]
    if first is not None and first.error is None:
        return first.value
    failed = sorted((each for each in reports if each is not None), key=lambda each: each.at)
    for report in failed:
        if report.error is not None and not report.of_connection:
            raise report.error
    for rank, (code, left) in enumerate(zip(codes, reports, strict=True)):
        if left is None and code is not None:
            raise RankLostError(f"the process of rank {rank} (of {len(codes)}) {_end_of(code)}")
    for report in failed:
        if report.error is not None:
            raise report.error
    raise RankLostError(f"the {len(codes)} processes of the run left no result")


def _end_of(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code} without a word"
    with suppress(ValueError):
        return f"was killed by signal {-code} ({signal.Signals(-code).name})"
    return f"was killed by signal {-code}"


def _portable(error: BaseException, rank: int) -> BaseException:
    """The error as it can be told to another process, with its traceback as a note."""
    trace = f"in the process of rank {rank}:\n" + "".join(traceback.format_exception(error))
    try:
        told: BaseException = ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:  # an error of any package
        told = RuntimeError(f"{type(error).__name__}: {error}")
    told.add_note(trace)
    return told


def _is_of_connection(error: BaseException) -> bool:
    """Whether another process may be to blame, which is gone."""
    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in ("gloo", "NCCL", "Connection "))
    )


def _rank(rank: int, work: Work, meeting: Path, parent: int, pipes: Sequence[tuple[Connection, Connection]]) -> None:
    """One of the processes. Its last word is a report; then it leaves at once."""
    for other, (ours, theirs) in enumerate(pipes):
        ours.close()
        if other != rank:
            theirs.close()
    with suppress(AttributeError, OSError):  # elsewhere than on Linux the parent ends it
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if rank > 0:  # the first one decides when all of them stop
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    value, error, of_connection = None, None, False
    try:
        value = work(rank, meeting)
    except BaseException as raised:  # told to the parent, whatever it is
        error, of_connection = _portable(raised, rank), _is_of_connection(raised)
    pipes[rank][1].send(_Report(time.monotonic(), value, error, of_connection))
    if error is not None:
        sys.exit(1)
