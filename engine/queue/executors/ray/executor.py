"""The executor of a Ray cluster: every run is a job of its own, which Ray places on a node."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.files import make_folder, write_text
from engine.queue.executors.base import (
    Ending,
    How,
    Offer,
    Placed,
    Resources,
    Task,
    place_environment,
    thread_environment,
)
from engine.queue.executors.clusters import cluster_for
from engine.queue.executors.endings import exited
from engine.queue.executors.jobs import SchedulerExecutor, handle_file, named_job, read_end
from engine.queue.executors.ray.cluster import DEFAULT, RayCluster
from engine.queue.executors.ray.head import Head, RayJobState
from engine.queue.executors.ray.job import Ticket, read_ticket, ticket_file
from engine.spool import RunFolder

_MOST_JOBS = 200
"""Jobs that one worker has with Ray at a time; the others wait in the queue of the store."""
_MOST_WAITING = 8
"""Of these, jobs that wait for a place: Ray gives up on one that has waited for long, and the order is the store's."""
_GONE_S = 180.0
"""A cluster that has not answered for so long is gone: its nodes end a minute after their head."""
_AGAIN_S = 5.0
_PASSED = ("TFLLMER_DATA", "TFLLMER_CACHE", "HF_HOME", "HF_HUB_OFFLINE")
"""Variables that a run reads on its node."""
_LOST = ("JOB_SUPERVISOR_ACTOR_DIED", "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE", "")


class RayExecutor(SchedulerExecutor):
    """Runs as jobs of Ray. A handle is a job's submission id, as `ray job status` takes it."""

    name = "ray"
    title = "Ray"
    most_jobs = _MOST_JOBS
    again_s = _AGAIN_S
    cancel_grace_s = 60.0
    at_once = _MOST_WAITING
    poll_s = 2.0

    def __init__(self, folder: Path, program: Sequence[str] = ()) -> None:
        super().__init__()
        self._files, self._program = folder.resolve() / "ray", program
        self._heads: dict[str, Head] = {}
        self._tickets: dict[str, Ticket] = {}

    # -------------------------------------------------------------------------------- what it can see

    def offers(self, placed: Sequence[Placed]) -> list[Offer]:
        waiting = sum(job.handle is None or self._waits(job.handle) for job in placed)
        return [Offer(self.name, None, None)] if waiting < _MOST_WAITING and len(placed) < _MOST_JOBS else []

    def sees(self) -> Resources:
        return Resources(None, None, None)

    def check(self, cluster: str) -> None:
        self._head(cluster_for(RayCluster, cluster or DEFAULT).head).require()

    # -------------------------------------------------------------------------------- starting

    def ready(self) -> bool:
        return True

    def start(self, tasks: Sequence[Task]) -> list[str]:
        make_folder(self._files)
        handles: list[str] = []
        try:
            for task in tasks:
                handles.append(self._submit(task))
        except UserError:
            for handle in handles:
                self.stop(handle, kill=True)
            raise
        return handles

    def _submit(self, task: Task) -> str:
        cluster, threads = cluster_for(RayCluster, task.cluster or DEFAULT), max(task.threads, 1)
        place = {} if task.threads else place_environment(int(cluster.cpus) // task.devices)
        root = task.folder.root.resolve()
        job = f"{root.name}-{secrets.token_hex(3)}"
        passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
        ticket = Ticket(
            address=cluster.head,
            folder=str(root),
            argv=list(self._program) or [sys.executable, "-P", "-m", "engine.job", str(root)],
            environment=thread_environment(threads) | place | passed,
            where=str(Path.cwd()),
        )
        file = ticket_file(self._files, job)
        write_text(file, ticket.model_dump_json())
        write_text(handle_file(root), job)
        words = [sys.executable, "-P", "-m", "engine.queue.executors.ray.job", str(file)]
        self._head(cluster.head).submit(
            {"submission_id": job, "entrypoint": f"exec {shlex.join(words)}", **_asks(cluster, threads, task.devices)}
        )
        return job

    # -------------------------------------------------------------------------------- following

    def alive(self, handle: str) -> bool:
        ticket = self._ticket(handle)
        if ticket is None:
            return False
        head = self._head(ticket.address)
        state = head.state(handle)
        if state is None:
            return not head.answers and head.silent_s < _GONE_S
        if state.word == "PENDING" and not self._is_named(handle):
            return False  # it will find that out itself once it has a place
        return not state.has_ended

    def stop(self, handle: str, *, kill: bool = False) -> None:
        """Ray sends SIGTERM and, after the grace of the cluster preset, SIGKILL. One that waits never begins."""
        if not self.alive(handle) or not self._may_ask(handle, kill):
            return
        ticket = self._tickets[handle]
        if (kill or self._waits(handle)) and self._is_named(handle):
            handle_file(Path(ticket.folder)).unlink(missing_ok=True)
        self._head(ticket.address).stop(handle)

    def ending(self, handle: str) -> Ending | None:
        if self.alive(handle):
            return None
        ticket = self._ticket(handle)
        head = self._head(ticket.address) if ticket else None
        state = head.state(handle) if head else None
        if state is not None and state.word in ("STOPPED", "PENDING"):
            return Ending(How.CANCELLED, f"ray job {handle} was stopped")
        if (end := read_end(self._files, handle)) is not None:
            return exited(end.code, RunFolder(Path(end.folder)).log)
        if state is None and head is not None and not head.answers:
            return Ending(How.PREEMPTED, f"the Ray cluster at {head.address} of job {handle} no longer answers")
        return _failed(handle, state) if state else Ending(How.VANISHED, f"ray knows nothing of job {handle}")

    def clear(self, handle: str) -> bool:
        """A job ends all that it has left behind itself, and Ray what is left of a job."""
        return not self.alive(handle)

    def state(self, handle: str) -> str:
        ticket = self._ticket(handle)
        return str((self._head(ticket.address).state(handle) if ticket else None) or "")

    # -------------------------------------------------------------------------------- what is known of a job

    def _head(self, address: str) -> Head:
        return self._heads.setdefault(address, Head(address, self.poll_s))

    def _ticket(self, handle: str) -> Ticket | None:
        if handle not in self._tickets and (ticket := read_ticket(self._files, handle)) is not None:
            self._tickets[handle] = ticket
        return self._tickets.get(handle)

    def _waits(self, handle: str) -> bool:
        ticket = self._ticket(handle)
        state = self._head(ticket.address).state(handle) if ticket else None
        return state is not None and state.word == "PENDING"

    def _is_named(self, handle: str) -> bool:
        return named_job(Path(self._tickets[handle].folder)) == handle


def _asks(cluster: RayCluster, threads: int, devices: int = 1) -> dict[str, Any]:
    """What the job asks of Ray. A share of a core stays one, however many threads its run has; a run that several
    devices share gets as many, where the preset asks for GPUs at all."""
    gpus = max(cluster.gpus, devices) if cluster.gpus and devices > 1 else cluster.gpus
    asked = {
        "entrypoint_num_cpus": cluster.cpus if cluster.cpus < 1 else max(cluster.cpus, threads * devices),
        "entrypoint_num_gpus": gpus,
        "entrypoint_memory": cluster.bytes,
        "entrypoint_resources": cluster.resources,
        "entrypoint_label_selector": cluster.labels,
    }
    return {name: value for name, value in asked.items() if value} | {
        "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(cluster.grace_s)}}
    }


def _failed(handle: str, state: RayJobState) -> Ending:
    """The end of a job that has left no word itself, as Ray tells it."""
    text = " ".join(state.message.split())[:300]
    if state.error == "JOB_ENTRYPOINT_COMMAND_ERROR" or state.word == "SUCCEEDED":
        return Ending(How.VANISHED, f"ray job {handle} ended with exit code {state.code or 0} without a last word")
    if state.error == "JOB_SUPERVISOR_ACTOR_START_TIMEOUT":
        return Ending(How.PREEMPTED, f"ray job {handle} was given no place in time")
    if state.error not in _LOST:
        return Ending(How.EXIT, f"ray job {handle} could not be started: {text}")
    if "out of memory" in text.lower() or "oom" in text.lower():
        return Ending(How.MEMORY, f"ray ended job {handle}, since its node ran out of memory")
    return Ending(How.PREEMPTED, f"the node of ray job {handle} is gone: {text}")
