"""What a job does on its node: the work of one run, as a child, for as long as its folder names the job.

python -m engine.queue.executors.ray.job TICKET
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import psutil
from pydantic import BaseModel

from engine.files import write_text
from engine.queue.executors.jobs import JobEnd, end_file, named_job, start_child
from engine.spool import RunFolder

_LOOK_S = 0.5


class Ticket(BaseModel):
    """What was submitted: the head that has the job, and its work: `argv` for the run in `folder`, from `where`."""

    address: str
    folder: str
    argv: list[str]
    environment: dict[str, str]
    where: str


def ticket_file(files: Path, job: str) -> Path:
    """Holds the `Ticket` of a job."""
    return files / f"{job}.json"


def read_ticket(files: Path, job: str) -> Ticket | None:
    """None where there is no such job."""
    try:
        return Ticket.model_validate_json(ticket_file(files, job).read_bytes())
    except (OSError, ValueError):
        return None


def carry_out(files: Path, job: str) -> int:
    """Do the work of the job; its exit code, as a shell gives it."""
    ticket = read_ticket(files, job)
    if ticket is None or named_job(Path(ticket.folder)) != job:
        return 0  # the run belongs to another job
    folder, end = RunFolder(Path(ticket.folder)), end_file(files, job)
    if Path(ticket.where).is_dir():
        os.chdir(ticket.where)
    stopped = False

    def leave(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if child is not None:
            child.terminate()

    child: subprocess.Popen[bytes] | None = None
    signal.signal(signal.SIGTERM, leave)
    child = start_child(folder, ticket.argv, ticket.environment)
    if stopped:  # asked before there was a child
        child.terminate()
    code = _follow(child, folder, job)
    _end_group()
    write_text(end, JobEnd(folder=ticket.folder, code=code, stopped=stopped).model_dump_json())
    return code if code >= 0 else 128 - code


def _follow(child: subprocess.Popen[bytes], folder: RunFolder, job: str) -> int:
    """Wait for the child. A run that names the job no longer was given to another one, or is to end at once: a node
    that nobody could reach does not work on beside the next."""
    while True:
        try:
            return child.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            if named_job(folder.root) != job:
                _end_group()


def _end_group() -> None:
    """SIGKILL to everything else in the group of this process."""
    me, group = os.getpid(), os.getpgrp()
    for pid in psutil.pids():
        try:
            if pid != me and os.getpgid(pid) == group:
                os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


if __name__ == "__main__":
    given = Path(sys.argv[1])
    sys.exit(carry_out(given.parent, given.name.removesuffix(".json")))
