"""The processes of one run: started together, watched until the first one has a result, and ended together.

They are forked, as torchrun forks functions, by a process that has imported torch and computed nothing. That one stays
the run's process for everybody outside: it holds the lock, is asked to stop, and says how the run ended.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch.distributed
from torch.multiprocessing.spawn import start_processes

from engine.errors import RankLostError
from engine.files import write_bytes

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
    # torch's synchronised modules ask for its compiler: imported here, it is there for all of them
    importlib.import_module("torch._dynamo")
    with tempfile.TemporaryDirectory(prefix="tfllmer-ranks-") as place:
        folder = Path(place)
        started = start_processes(_rank, args=(work, folder, os.getpid()), nprocs=size, join=False, start_method="fork")
        processes: list[Any] = list(started.processes)
        try:
            _watch(processes, should_stop)
            _listen(processes)
            codes = [process.exitcode for process in processes]  # before those that hang are killed
        finally:
            for process in processes:
                if process.is_alive():
                    process.kill()
                process.join()
        return _outcome(codes, [_read(folder / f"{rank}.report") for rank in range(size)])


def _watch(processes: Sequence[Any], should_stop: Callable[[], bool]) -> None:
    """Until the first has ended, or another one has failed."""
    told = False
    while processes[0].is_alive() and not any(process.exitcode for process in processes):
        if should_stop() and not told:
            told = True
            with suppress(ProcessLookupError):
                os.kill(processes[0].pid, signal.SIGTERM)
        wait([process.sentinel for process in processes if process.is_alive()], _POLL_S)


def _listen(processes: Sequence[Any]) -> None:
    """Let the others end by themselves for a moment: whose connection is gone, fails for another's fault."""
    give_up = time.monotonic() + _LAST_WORDS_S
    while living := [process.sentinel for process in processes if process.is_alive()]:
        if (left := give_up - time.monotonic()) <= 0:
            return
        wait(living, left)


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


def _read(file: Path) -> _Report | None:
    try:
        report: _Report = pickle.loads(file.read_bytes())
    except OSError:
        return None
    return report


def _portable(error: BaseException, rank: int) -> BaseException:
    """The error as it can be told to another process, with its traceback as a note."""
    trace = f"in the process of rank {rank}:\n" + "".join(traceback.format_exception(error))
    try:
        told: BaseException = pickle.loads(pickle.dumps(error))
    except Exception:  # an error of any package
        told = RuntimeError(f"{type(error).__name__}: {error}")
    told.add_note(trace)
    return told


def _is_of_connection(error: BaseException) -> bool:
    """Whether another process may be to blame, which is gone."""
    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in ("gloo", "NCCL", "Connection "))
    )


def _rank(rank: int, work: Work, folder: Path, parent: int) -> None:
    """One of the processes. Its last word is a report; then it leaves at once."""
    with suppress(AttributeError, OSError):  # elsewhere than on Linux the parent ends it
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if rank > 0:  # the first one decides when all of them stop
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    value, error, of_connection = None, None, False
    try:
        value = work(rank, folder / "meeting")
    except BaseException as raised:  # told to the parent, whatever it is
        error, of_connection = _portable(raised, rank), _is_of_connection(raised)
    report = _Report(time.monotonic(), value, error, of_connection)
    write_bytes(folder / f"{rank}.report", pickle.dumps(report), sync=False)
    if error is not None:
        sys.exit(1)
