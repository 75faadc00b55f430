"""Jobs of the science wing in the test's own process, which costs no import of torch."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Self, TextIO

import pytest

from engine.spool import RunFolder
from tfllmer_tui.cli.store.doctor import _DEVICES

_OF_THE_HUB = ("HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE")
_JOB = [sys.executable, "-P", "-m", "engine.job"]


class _Ended:
    """A job that has been done, as its parent sees the process of it."""

    def __init__(self, command: Sequence[str], code: int, output: str = "", errors: str = "") -> None:
        self.args, self.pid, self.returncode = command, os.getpid(), code
        self._said = output, errors

    def poll(self) -> int:
        return self.returncode

    def wait(self) -> int:
        return self.returncode

    def communicate(self, *_: object, **__: object) -> tuple[str, str]:
        return self._said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@contextmanager
def jobs_here() -> Iterator[None]:
    """Do jobs at once and here where a process of `engine.job` would be started; all others are started.

    For tests of what comes before and after a job. That a process does the same is what `test_journeys` shows. Jobs
    that encode stay processes where a test tells the hub's library something: it reads that when it is imported.
    """
    popen = subprocess.Popen

    def start(command: Sequence[str], **options: Any) -> Any:
        arguments = list(command[len(_JOB) :])
        if command[-1] == _DEVICES:
            return _Ended(command, *_devices())
        is_told = "--embed" in arguments and any(name in os.environ for name in _OF_THE_HUB)
        if list(command[: len(_JOB)]) != _JOB or is_told:
            return popen(command, **options)
        if options["stdout"] == subprocess.PIPE:
            output, errors = io.StringIO(), io.StringIO()
            return _Ended(command, _job(arguments, output, errors), output.getvalue(), errors.getvalue())
        with open(os.dup(options["stdout"].fileno()), "w", encoding="utf-8") as log:
            return _Ended(command, _job(arguments, log, log))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", start)
        yield


def _devices() -> tuple[int, str, str]:
    """What `tfllmer doctor` asks a process that may import torch."""
    output = io.StringIO()
    try:
        with redirect_stdout(output):
            exec(_DEVICES, {})
    except (ImportError, OSError) as error:
        return 1, "", f"{type(error).__name__}: {error}"
    return 0, output.getvalue(), ""


def do(folder: RunFolder) -> int:
    """Train the run in the folder here, its output in its log; the exit code."""
    with open(folder.log, "a", encoding="utf-8") as log:
        return _job([str(folder.root)], log, log)


def _job(arguments: list[str], output: TextIO, errors: TextIO) -> int:
    import torch

    from engine import job

    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
            patch.setattr(os, "getppid", os.getpid)  # this process is the one that asked
            return job.main(arguments)
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        signal.signal(signal.SIGTERM, handler)
