"""What schedulers' jobs share: which job may work on a run, its work as a child, and how that ended."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from engine.queue.executors.base import run_environment
from engine.spool import REQUEUES, RunFolder


def handle_file(folder: Path) -> Path:
    """Names the job that may work on a run: one that was submitted by a worker which died before it could write that
    down leaves the run alone."""
    return folder / "job.txt"


def named_job(folder: Path) -> str:
    """The job that may work on the run in the folder; empty where none is named."""
    try:
        return handle_file(folder).read_text("utf-8").strip()
    except OSError:
        return ""


def end_file(files: Path, job: str) -> Path:
    """Holds a `JobEnd`."""
    return files / f"{job}.end.json"


class JobEnd(BaseModel):
    """How the work of a job on the run in `folder` ended: its exit code (negative: a signal), and whether it had been
    asked to leave."""

    folder: str
    code: int
    stopped: bool


def read_end(files: Path, job: str) -> JobEnd | None:
    """What the job itself has left of its end; None where it has left nothing."""
    try:
        return JobEnd.model_validate_json(end_file(files, job).read_bytes())
    except (OSError, ValueError):
        return None


def start_child(
    folder: RunFolder, argv: Sequence[str], environment: Mapping[str, str], own_group: bool = False
) -> subprocess.Popen[bytes]:
    """Start the work of a run, in a process group of its own if asked; its output goes to the run's log. Told to
    leave, it saves its state and says that it goes on elsewhere."""
    with open(folder.log, "ab") as log:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**run_environment(), **environment} | {REQUEUES: "1"},
            process_group=0 if own_group else None,
        )
