"""What a job does on its node: the work of one run, as a child that can be asked to save its state."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from engine.files import write_text
from engine.queue.executors.jobs import JobEnd, end_file, named_job, start_child
from engine.spool import RunFolder

_PATIENCE_S = 120.0


class RunJob:
    """Called by submitit on the node. `checkpoint` is called when the time is nearly over, or the node is wanted:
    the run saves its state, and the same job is queued again."""

    def __init__(
        self, folder: str, files: str, argv: Sequence[str], environment: Mapping[str, str], grace_s: float
    ) -> None:
        self._folder, self._files, self._grace_s = folder, files, grace_s
        self._argv, self._environment = list(argv), dict(environment)
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_child": None, "_stopped": False}

    def __call__(self) -> int:
        from submitit import JobEnvironment
        from submitit.core.logger import get_logger

        folder, me = RunFolder(Path(self._folder)), JobEnvironment().job_id
        if not _is_named(folder.root, me):
            get_logger().warning(f"{folder.root}: belongs to another job than {me}; it is left alone")
            return 0
        end = end_file(Path(self._files), me)
        end.unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, self._leave)
        # SLURM's warning may reach all processes of a job: this one tells its child, which keeps it blocked
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        self._child = start_child(folder, self._argv, self._environment, own_group=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
        if self._stopped:  # asked before there was a child
            self._child.terminate()
        code = _end_of(self._child)
        write_text(end, JobEnd(folder=self._folder, code=code, stopped=self._stopped).model_dump_json())
        return code

    def checkpoint(self) -> Any:
        """The same work, to be queued again."""
        from submitit.helpers import DelayedSubmission

        self._leave(signal.SIGTERM, None)
        if self._child is not None and not _has_ended(self._child.pid, max(5.0, self._grace_s - 10.0)):
            self._child.kill()
        return DelayedSubmission(self)

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True
        if self._child is not None:
            self._child.terminate()


def _end_of(child: subprocess.Popen[bytes]) -> int:
    """The exit code, once the child has ended. What it left behind in its group ends with it: the place is free for
    the next run before SLURM cleans up."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # unreaped, its number is still that of its group
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


def _has_ended(child: int, patience_s: float) -> bool:
    """Whether the child ends in time. `Popen.wait` cannot say so in a handler that interrupts another `wait`."""
    give_up = time.monotonic() + patience_s
    while time.monotonic() < give_up:
        try:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
        except ChildProcessError:  # it has been waited for
            return True
        time.sleep(0.1)
    return False


def _is_named(folder: Path, job: str) -> bool:
    """Whether the worker has named this job for the run; it does so right after it has submitted it."""
    give_up = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up:
        if named := named_job(folder):
            return named == job
        time.sleep(0.2)
    return False
