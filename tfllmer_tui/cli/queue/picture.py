"""The queue as one JSON object, and as a picture of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from engine import queue
from engine.records import RunStatus
from engine.store import Run, Store, list_runs
from engine.store.queue import last_values, seconds_per_epoch
from tfllmer_tui.view.text import duration, plain, short_ids, status_text

_DIM = "bright_black"


def status(store: Store) -> dict[str, Any]:
    """Workers, running runs with their progress, queued runs in order, and the seconds until all is done."""
    running, waiting = list_runs(store, status=RunStatus.RUNNING)[::-1], queue.queued(store)
    living = [worker for worker in queue.workers(store) if worker.alive]
    pace = {shape: seconds_per_epoch(store, *shape) for shape in {(r.dataset, r.backbone) for r in running + waiting}}
    epoch = last_values(store, [run.id for run in running], "epoch")
    now_running = [_running(run, epoch.get(run.id, 0.0), pace[(run.dataset, run.backbone)]) for run in running]
    queued = [_queued(run, place, pace[(run.dataset, run.backbone)]) for place, run in enumerate(waiting, 1)]
    slots = sum(len(worker.slots) for worker in living if not worker.draining)
    spans = [row["left_s"] for row in now_running] + [row["expected_s"] for row in queued]
    known = [span for span in spans if span is not None]
    total = max([*known, sum(known) / slots]) if slots and known and len(known) == len(spans) else None
    return {
        "workers": [
            {
                "worker": w.id,
                "host": w.host,
                "pid": w.pid,
                "draining": w.draining,
                "slots": list(w.slots),
                "devices": [dict(device) for device in w.devices],
                "heartbeat": w.heartbeat.isoformat(timespec="seconds"),
            }
            for w in living
        ],
        "running": now_running,
        "queued": queued,
        "expected_s": total,
    }


def _about(run: Run) -> dict[str, Any]:
    return {"run": run.id, "arm": run.arm, "dataset": run.dataset, "backbone": run.backbone, "seed": run.seed}


def _running(run: Run, epoch: float, pace: float | None) -> dict[str, Any]:
    epochs = int(run.spec["train"]["epochs"])
    elapsed = (datetime.now(UTC) - run.started).total_seconds() if run.started else None
    if elapsed is not None and epoch and run.attempt == 1:
        pace = elapsed / epoch
    return _about(run) | {
        "status": "stopping" if run.cancel_requested else "running",
        "device": run.device,
        "worker": run.worker_id,
        "attempt": run.attempt,
        "epoch": epoch,
        "epochs": epochs,
        "left_s": None if pace is None else max(0.0, pace * (epochs - epoch)),
    }


def _queued(run: Run, place: int, pace: float | None) -> dict[str, Any]:
    return _about(run) | {
        "place": place,
        "priority": run.priority,
        "reason": run.reason,
        "expected_s": None if pace is None else pace * int(run.spec["train"]["epochs"]),
    }


def picture(now: Mapping[str, Any]) -> RenderableType:
    """What `status` tells, for people."""
    ids = [row["run"] for row in [*now["running"], *now["queued"]]]
    short = dict(zip(ids, short_ids(ids), strict=True))
    parts: list[RenderableType] = [_workers(now["workers"])]
    if now["running"]:
        parts += ["", _running_table(now["running"], short)]
    if now["queued"]:
        parts += ["", _queued_table(now["queued"], short)]
    counts = f"{len(now['running'])} running, {len(now['queued'])} queued"
    if now["expected_s"] is not None:
        counts += f", about {duration(now['expected_s'])} left"
    parts += ["", plain(counts, _DIM)]
    return Group(*parts)


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for n, name in enumerate(columns):
        table.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=n == 0,
            overflow="ellipsis" if n == 0 else "fold",
        )
    return table


def _workers(workers: Sequence[Mapping[str, Any]]) -> RenderableType:
    if not workers:
        return plain("No worker is alive: tfllmer worker starts one here.", _DIM)
    table = _table("worker", "device", "runs", "load", "memory", right=("runs", "load"))
    for worker in workers:
        name = f"{worker['pid']} on {worker['host']}" + (" (draining)" if worker["draining"] else "")
        devices = worker["devices"] or [
            {"device": device, "slots": slots, "running": 0} for device, slots in Counter(worker["slots"]).items()
        ]
        for n, device in enumerate(devices):
            total = device.get("memory_total")
            memory = f"{device['memory_used'] / 2**30:.1f} of {total / 2**30:.1f} GiB" if total else "–"
            load = "–" if device.get("load") is None else f"{device['load']:.0%}"
            busy = f"{device['running']} of {device['slots']}"
            table.add_row(plain(name if n == 0 else ""), plain(device["device"]), busy, load, memory)
    return table


def _running_table(rows: Sequence[Mapping[str, Any]], short: Mapping[str, str]) -> Table:
    table = _table("running", "arm", "data", "backbone", "seed", "device", "epoch", "left", right=("seed", "left"))
    for row in rows:
        table.add_row(
            Text.assemble(status_text(row["status"], word=False), " ", plain(short[row["run"]])),
            *(plain(row[name]) for name in ("arm", "dataset", "backbone", "seed")),
            plain(row["device"] or "terminal"),
            f"{row['epoch']:.0f}/{row['epochs']}",
            duration(row["left_s"]),
        )
    return table


def _queued_table(rows: Sequence[Mapping[str, Any]], short: Mapping[str, str]) -> Table:
    table = _table("queued", "arm", "data", "backbone", "seed", "priority", "takes", "", right=("seed", "priority"))
    for row in rows:
        table.add_row(
            Text.assemble(status_text("queued", word=False), " ", plain(short[row["run"]])),
            *(plain(row[name]) for name in ("arm", "dataset", "backbone", "seed", "priority")),
            duration(row["expected_s"]),
            plain(row["reason"], _DIM),
        )
    return table


def run_line(run: Run, note: str = "") -> RenderableType:
    """One run, its status, and why."""
    why = note or run.reason
    line = Text.assemble(plain(run.id), "  ", status_text(run.status), plain(f": {why}" if why else ""))
    return line.append_text(plain(f"  {run.arm} {run.dataset} {run.backbone} seed {run.seed}", _DIM))
