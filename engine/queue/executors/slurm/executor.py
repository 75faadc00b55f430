"""The executor of a SLURM cluster: runs are jobs, those that are queued together one array."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.files import make_folder, write_text
from engine.queue.executors.base import (
    Ending,
    How,
    Offer,
    Placed,
    RefusedError,
    Resources,
    Task,
    place_environment,
    thread_environment,
)
from engine.queue.executors.clusters import cluster_for
from engine.queue.executors.endings import exited
from engine.queue.executors.jobs import SchedulerExecutor, handle_file, read_end
from engine.queue.executors.slurm.cluster import DEFAULT, SlurmCluster
from engine.queue.executors.slurm.commands import Jobs, cancel, require_commands
from engine.queue.executors.slurm.job import RunJob
from engine.spool import RunFolder

_MOST_JOBS = 200
"""Jobs that one worker has with SLURM at a time; the others wait in the queue of the store."""
_MOST_TIMEOUTS = 10_000
"""How often a job may be queued again at its time limit; what makes no progress is for the policy of the queue."""
_AGAIN_S = 5.0
_HOWS = {
    "CANCELLED": How.CANCELLED,
    "OUT_OF_MEMORY": How.MEMORY,
    "PREEMPTED": How.PREEMPTED,
    "TIMEOUT": How.TIME,
}


class SlurmExecutor(SchedulerExecutor):
    """Runs as jobs of SLURM. A handle is a job's id: `1234`, or `1234_5` in an array."""

    name = "slurm"
    title = "SLURM"
    most_jobs = _MOST_JOBS
    again_s = _AGAIN_S
    cancel_grace_s = 60.0
    at_once = 100
    poll_s = 3.0

    def __init__(self, folder: Path, program: Sequence[str] = ()) -> None:
        super().__init__()
        self._files, self._program = folder.resolve() / "slurm", program
        self._jobs = Jobs(self.poll_s)

    # -------------------------------------------------------------------------------- what it can see

    def offers(self, placed: Sequence[Placed]) -> list[Offer]:
        return [Offer(self.name, None, None)] if len(placed) < _MOST_JOBS else []

    def sees(self) -> Resources:
        require_commands()
        _submitit()
        return Resources(None, None, None)

    def check(self, cluster: str) -> None:
        self.sees()
        cluster_for(SlurmCluster, cluster or DEFAULT)

    # -------------------------------------------------------------------------------- starting

    def ready(self) -> bool:
        self.sees()
        return True

    def start(self, tasks: Sequence[Task]) -> list[str]:
        handles: dict[Path, str] = {}

        def alike(task: Task) -> tuple[str, int, int]:
            return task.cluster or DEFAULT, task.threads, task.devices

        for (cluster, threads, devices), group in groupby(sorted(tasks, key=alike), key=alike):
            wanted = _Wanted(cluster_for(SlurmCluster, cluster), threads, devices)
            handles |= self._submit(wanted, [task.folder for task in group])
        return [handles[task.folder.root] for task in tasks]

    def _submit(self, wanted: _Wanted, folders: Sequence[RunFolder]) -> dict[Path, str]:
        submitit = _submitit()
        make_folder(self._files)
        submitter = submitit.SlurmExecutor(self._files, _MOST_TIMEOUTS, python=f"{sys.executable} -P")
        submitter.update_parameters(**_parameters(wanted))
        for folder in folders:
            handle_file(folder.root).unlink(missing_ok=True)
        try:
            with submitter.batch():
                jobs = [submitter.submit(self._job(folder, wanted)) for folder in folders]
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise RefusedError(f"slurm does not take it: {_last_line(error)}") from error
        for job, folder in zip(jobs, folders, strict=True):
            write_text(handle_file(folder.root), job.job_id)
        return {folder.root: str(job.job_id) for job, folder in zip(jobs, folders, strict=True)}

    def _job(self, folder: RunFolder, wanted: _Wanted) -> RunJob:
        root = str(folder.root.resolve())
        argv = self._program or [sys.executable, "-P", "-m", "engine.job", root]
        environment = thread_environment(max(wanted.threads, 1))
        if not wanted.threads:
            environment |= place_environment(wanted.cluster.cpus // wanted.devices)
        return RunJob(root, str(self._files), argv, environment, wanted.cluster.grace_s)

    # -------------------------------------------------------------------------------- following

    def alive(self, handle: str) -> bool:
        state = self._jobs.state(handle)
        return not state.has_ended if state else not self._jobs.answers

    def stop(self, handle: str, *, kill: bool = False) -> None:
        """SLURM sends SIGTERM and, after its KillWait, SIGKILL; a job that waits is gone at once."""
        if not self.alive(handle) or not self._may_ask(handle, kill):
            return
        cancel(handle)
        if kill:
            cancel(handle, ["--full", "--signal=KILL"])

    def ending(self, handle: str) -> Ending | None:
        if self.alive(handle):
            return None
        state = self._jobs.state(handle)
        word = state.word if state else ""
        if word in _HOWS:
            return Ending(_HOWS[word], f"slurm job {handle} ended as {word}")
        end = read_end(self._files, handle)
        if end is None:
            gone = f"slurm job {handle} is gone without a last word"
            return Ending(How.VANISHED, f"{gone}: {word}" if word else gone)
        if end.stopped:
            return Ending(How.PREEMPTED, f"slurm job {handle} was told to leave")
        return exited(end.code, RunFolder(Path(end.folder)).log)

    def clear(self, handle: str) -> bool:
        """SLURM ends all that is left of a job itself."""
        return not self.alive(handle)

    def state(self, handle: str) -> str:
        return str(self._jobs.state(handle) or "")


@dataclass(frozen=True)
class _Wanted:
    """What a job asks for: the preset's, and room for each process of a run that several devices share."""

    cluster: SlurmCluster
    threads: int
    devices: int


def _parameters(wanted: _Wanted) -> dict[str, Any]:
    cluster, gpus = wanted.cluster, wanted.cluster.gpus
    named = {name: getattr(cluster, name) for name in ("partition", "account", "qos", "constraint", "time", "mem")}
    cpus = max(cluster.cpus, max(wanted.threads, 1) * wanted.devices)
    named |= {"cpus_per_task": cpus, "gpus_per_node": max(gpus, wanted.devices) if gpus else None}
    named |= {"array_parallelism": cluster.array, "signal_delay_s": cluster.grace_s, "job_name": "tfllmer"}
    also = {"requeue": True}
    return {name: value for name, value in named.items() if value is not None} | {
        "stderr_to_stdout": True,
        "additional_parameters": also,
    }


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("sbatch: error")), lines[-1] if lines else repr(error))


def _submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise UserError("--on slurm: submitit is not installed; pip install 'tfllmer[slurm]'") from None
    return submitit
