"""SLURM's commands: which jobs there are and how they stand, and their end."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import UserError

_PATIENCE_S = 60.0
_PROGRAMS = ("sbatch", "srun", "squeue", "scancel", "scontrol")
_ENDED = frozenset(
    [
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    ]
)


@dataclass(frozen=True)
class JobState:
    """How a job stands: SLURM's word, and the node that it runs on or the reason why it waits."""

    word: str
    where: str

    @property
    def has_ended(self) -> bool:
        return self.word in _ENDED

    def __str__(self) -> str:
        if self.word == "PENDING":
            return f"{self.word} ({self.where})" if self.where not in ("", "None") else self.word
        return f"{self.word} on {self.where}" if self.where and not self.has_ended else self.word


def require_commands() -> None:
    """Raises UserError where SLURM's commands are not here."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        raise UserError(
            f"--on slurm: there is no {', '.join(missing)} here; work on a login node of the cluster, where SLURM's"
            " commands are"
        )


def run_command(*words: str) -> str | None:
    """What the command prints; None where it fails, as while the controller does not answer."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


class Jobs:
    """The user's jobs as SLURM tells of them, asked for at most every `every_s` seconds."""

    def __init__(self, every_s: float) -> None:
        self.every_s = every_s
        self._known: dict[str, JobState] = {}
        self._read_at = float("-inf")
        self._since: dict[str, float] = {}  # when a job was first asked about

    def state(self, job: str) -> JobState | None:
        """How the job stands; None where SLURM knows nothing of it, or does not answer. `answers` tells which."""
        now = time.monotonic()
        since = self._since.setdefault(job, now)
        if now - self._read_at >= self.every_s or (job not in self._known and self._read_at < since):
            self._read(now)
        known = self._known.get(job)
        if known is None and self.answers and (known := _accounted(job)) is not None:
            self._known[job] = known
        return known

    answers = True
    """Whether SLURM answered when it was asked last."""

    def _read(self, now: float) -> None:
        user = os.environ.get("SLURM_JOB_USER") or getpass.getuser()
        listed = run_command(
            "squeue", "--noheader", "--array", "--states=all", f"--user={user}", "--format=%i|%T|%N|%r"
        )
        self._read_at, self.answers = now, listed is not None
        for line in (listed or "").splitlines():
            job, word, node, reason = [*line.strip().split("|", 3), "", "", ""][:4]
            self._known[job] = JobState(word, reason if word == "PENDING" else node)
        if listed is not None:
            there = {line.split("|", 1)[0].strip() for line in listed.splitlines()}
            for job in [job for job, state in self._known.items() if job not in there and not state.has_ended]:
                del self._known[job]  # it has ended so long ago that SLURM has forgotten it


def _accounted(job: str) -> JobState | None:
    """A job that has ended, from the cluster's accounts, where it keeps any."""
    if shutil.which("sacct") is None:
        return None
    lines = (run_command("sacct", "-n", "-P", "-X", "-j", job, "-o", "State") or "").split()
    return JobState(lines[0], "") if lines else None


def cancel(job: str, words: Sequence[str] = ()) -> None:
    """`scancel` of a job; nothing happens where it has ended."""
    run_command("scancel", "--quiet", *words, job)
