"""The queue drawn: workers with their devices, what runs, what waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from engine.store import Run
from engine.views.queue import QueueState, RunningRun, WaitingRun, WorkerState
from tfllmer_tui.view.text import duration, plain, short_ids, status_text

_DIM = "bright_black"


def picture(now: QueueState) -> RenderableType:
    """All of it, for people."""
    ids = [*(run.run for run in now.running), *(run.run for run in now.queued)]
    short = dict(zip(ids, short_ids(ids), strict=True))
    parts: list[RenderableType] = [_workers(now.workers)]
    if now.running:
        parts += ["", _running_table(now.running, short)]
    if now.queued:
        parts += ["", _queued_table(now.queued, short)]
    counts = f"{len(now.running)} running, {len(now.queued)} queued"
    if now.expected_s is not None:
        counts += f", about {duration(now.expected_s)} left"
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


def _workers(workers: Sequence[WorkerState]) -> RenderableType:
    if not workers:
        return plain("No worker is alive: tfllmer worker starts one here.", _DIM)
    table = _table("worker", "device", "runs", "load", "memory", right=("runs", "load"))
    for worker in workers:
        name = f"{worker.pid} on {worker.host}" + (" (draining)" if worker.draining else "")
        for n, device in enumerate(worker.devices):
            used, total = device.memory_used, device.memory_total
            memory = f"{used / 2**30:.1f} of {total / 2**30:.1f} GiB" if used is not None and total else "–"
            load = "–" if device.load is None else f"{device.load:.0%}"
            busy = f"{device.running} of {device.slots}"
            table.add_row(plain(name if n == 0 else ""), plain(device.device), busy, load, memory)
    return table


def _running_table(runs: Sequence[RunningRun], short: Mapping[str, str]) -> Table:
    table = _table("running", "arm", "dataset", "backbone", "seed", "device", "epochs", "left", right=("seed", "left"))
    for run in runs:
        table.add_row(
            Text.assemble(status_text(run.status, word=False), " ", plain(short[run.run])),
            *map(plain, (run.arm, run.dataset, run.backbone, run.seed)),
            plain(run.device or "terminal"),
            f"{run.epoch:.0f}/{run.epochs}" if run.epochs else "–",
            duration(run.left_s),
        )
    return table


def _queued_table(runs: Sequence[WaitingRun], short: Mapping[str, str]) -> Table:
    table = _table("queued", "arm", "dataset", "backbone", "seed", "priority", "takes", "", right=("seed", "priority"))
    for run in runs:
        table.add_row(
            Text.assemble(status_text("queued", word=False), " ", plain(short[run.run])),
            *map(plain, (run.arm, run.dataset, run.backbone, run.seed, run.priority)),
            duration(run.expected_s),
            plain(run.reason, _DIM),
        )
    return table


def run_line(run: Run, note: str = "") -> RenderableType:
    """One run, its status, and why."""
    why = note or run.reason
    line = Text.assemble(plain(run.id), "  ", status_text(run.status), plain(f": {why}" if why else ""))
    return line.append_text(plain(f"  {run.arm} {run.dataset} {run.backbone} seed {run.seed}", _DIM))
