"""What schedulers' jobs share: which job may work on a run, its work as a child, and how that ended."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from engine.queue.executors.base import Placed, run_environment
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


class SchedulerExecutor:
    """What executors that hand runs to a scheduler have in common: it has no devices of its own, and no more than
    `most_jobs` at a time."""

    name: str
    title: str
    most_jobs: int
    again_s: float
    """Time after which a job that lives on is asked to end once more."""

    def __init__(self) -> None:
        self._asked_at: dict[tuple[str, bool], float] = {}

    @property
    def slots(self) -> list[str]:
        return [self.name] * self.most_jobs

    @property
    def accepts(self) -> tuple[str, ...] | None:
        return None

    def load(self, placed: Sequence[Placed]) -> list[dict[str, Any]]:
        return [{"device": self.name, "name": self.title, "slots": self.most_jobs, "running": len(placed)}]

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        """Nothing is held."""

    def _may_ask(self, handle: str, kill: bool) -> bool:
        """Whether the job was not asked a moment ago; it counts as asked now."""
        now = time.monotonic()
        if now - self._asked_at.get((handle, kill), -self.again_s) < self.again_s:
            return False
        self._asked_at[handle, kill] = now
        return True
