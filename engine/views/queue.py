"""The queue: who works on which devices, what runs and how far it is, what waits in which order, the time of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.records import RunStatus

if TYPE_CHECKING:
    from engine.queue import WorkerView
    from engine.store import Run, Store
    from engine.store.queries.feed import RunRow
    from engine.store.queries.pace import Pace


@dataclass(frozen=True)
class DeviceState:
    """A device of a worker: places that are taken, share of it in use, bytes; None where it is not told."""

    device: str
    name: str
    running: int
    slots: int
    load: float | None
    memory_used: int | None
    memory_total: int | None


@dataclass(frozen=True)
class WorkerState:
    """A worker that lives. `draining`: it takes nothing new."""

    id: str
    host: str
    pid: int
    draining: bool
    slots: tuple[str, ...]
    devices: tuple[DeviceState, ...]
    heartbeat: datetime
    document: tuple[dict[str, Any], ...]
    """What it wrote of its devices."""


@dataclass(frozen=True)
class RunningRun:
    """A run in training. `left_s` is None where neither it nor a past run tells its pace."""

    run: str
    arm: str
    dataset: str
    backbone: str
    seed: int
    status: str
    """`running`, or `stopping` where it was asked to."""
    device: str | None
    worker: str | None
    attempt: int
    epoch: float
    epochs: int
    left_s: float | None


@dataclass(frozen=True)
class WaitingRun:
    """A queued run; `place` counts from 1."""

    run: str
    arm: str
    dataset: str
    backbone: str
    seed: int
    place: int
    priority: int
    reason: str
    expected_s: float | None


@dataclass(frozen=True)
class QueueState:
    """`expected_s`: seconds until all is done on the workers' slots; None where something is not known."""

    workers: tuple[WorkerState, ...]
    running: tuple[RunningRun, ...]
    queued: tuple[WaitingRun, ...]
    expected_s: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "workers": [
                {
                    "worker": worker.id,
                    "host": worker.host,
                    "pid": worker.pid,
                    "draining": worker.draining,
                    "slots": list(worker.slots),
                    "devices": list(worker.document),
                    "heartbeat": worker.heartbeat.isoformat(timespec="seconds"),
                }
                for worker in self.workers
            ],
            "running": [asdict(run) for run in self.running],
            "queued": [asdict(run) for run in self.queued],
            "expected_s": self.expected_s,
        }


def queue_state(store: Store) -> QueueState:
    """Workers, running runs with their progress, and queued ones in order."""
    from engine import queue
    from engine.store import list_runs
    from engine.store.queries.pace import Pace, paces, usual_seconds

    running, waiting = list_runs(store, status=RunStatus.RUNNING)[::-1], queue.queued(store)
    usual = usual_seconds(store, {(run.dataset, run.backbone) for run in running + waiting})
    pace = paces(store, [run.id for run in running])
    now = [_running(run, pace.get(run.id, Pace()), usual[run.dataset, run.backbone]) for run in running]
    queued = [_waiting(run, place, usual[run.dataset, run.backbone]) for place, run in enumerate(waiting, 1)]
    workers = living_workers(store)
    slots = sum(len(worker.slots) for worker in workers if not worker.draining)
    spans = [run.left_s for run in now] + [run.expected_s for run in queued]
    known = [span for span in spans if span is not None]
    total = max([*known, sum(known) / slots]) if slots and known and len(known) == len(spans) else None
    return QueueState(workers, tuple(now), tuple(queued), total)


def living_workers(store: Store) -> tuple[WorkerState, ...]:
    """The workers that live, the oldest first."""
    from engine import queue

    return tuple(_worker(worker) for worker in queue.workers(store) if worker.alive)


def in_order(rows: Iterable[RunRow]) -> list[RunRow]:
    """The queued rows as a worker takes them."""
    queued = (row for row in rows if row.status == RunStatus.QUEUED)
    return sorted(queued, key=lambda row: (-row.priority, row.position, row.id))


def _worker(worker: WorkerView) -> WorkerState:
    slots = Counter(worker.slots)
    documents = [dict(each) for each in worker.devices] or [{"device": device} for device in slots]
    devices = [
        DeviceState(
            device=str(each["device"]),
            name=str(each.get("name") or each["device"]),
            running=int(each.get("running", 0)),
            slots=int(each.get("slots", slots[each["device"]])),
            load=None if each.get("load") is None else float(each["load"]),
            memory_used=each.get("memory_used"),
            memory_total=each.get("memory_total"),
        )
        for each in documents
    ]
    return WorkerState(
        id=worker.id,
        host=worker.host,
        pid=worker.pid,
        draining=worker.draining,
        slots=tuple(worker.slots),
        devices=tuple(devices),
        heartbeat=worker.heartbeat,
        document=tuple(dict(each) for each in worker.devices),
    )


def _running(run: Run, pace: Pace, usual_s: float | None) -> RunningRun:
    from engine.store.runs import place_of, planned_epochs

    place = place_of(run)
    epochs = planned_epochs(run)
    ends_at = pace.ends_at(epochs, run.started.timestamp() if run.started else None, usual_s)
    return RunningRun(
        *(run.id, run.arm, run.dataset, run.backbone, run.seed),
        status="stopping" if run.cancel_requested else "running",
        device=str(place) if place else run.device,
        worker=run.worker_id,
        attempt=run.attempt,
        epoch=pace.epoch or 0.0,
        epochs=epochs,
        left_s=None if ends_at is None else max(0.0, ends_at - datetime.now(UTC).timestamp()),
    )


def _waiting(run: Run, place: int, pace: float | None) -> WaitingRun:
    from engine.store.runs import planned_epochs

    return WaitingRun(
        *(run.id, run.arm, run.dataset, run.backbone, run.seed),
        place=place,
        priority=run.priority,
        reason=run.reason,
        expected_s=None if pace is None else pace * planned_epochs(run),
    )
