"""Waiting for runs: until they end, and for what they log."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlmodel import select

from engine import queue
from engine.errors import UserError, nearest
from engine.records import RunStatus
from engine.store import Run, Store, events, get_run, list_runs
from engine.store.core.tables import StoredStudy
from tfllmer_tui.cli.output import say
from tfllmer_tui.cli.pausing import Pause
from tfllmer_tui.view.printing import hand_out, put, terminal

_EVERY_S = 0.5


def of_study(store: Store, name: str) -> list[Run]:
    """The runs of a study. Raises UserError where there is no such study."""
    with store.read() as session:
        studies = {study.name: study.id for study in session.exec(select(StoredStudy))}
        if name not in studies:
            raise UserError(f"--study {name}: no such study here{nearest(name, studies) if studies else ''}")
        return list(session.exec(select(Run).where(Run.study_id == studies[name]).order_by(Run.id)))


def unended(store: Store) -> list[Run]:
    """The runs that are queued or running, the oldest first."""
    return [*list_runs(store, status=RunStatus.RUNNING)[::-1], *queue.queued(store)]


def until_ended(store: Store, run_ids: Sequence[str], *, quiet: bool) -> list[Run]:
    """Wait for the runs; a bar on a terminal, a line for each end elsewhere. A lost run has ended where no
    worker will take it up again."""
    console = terminal(stderr=quiet)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    ended_ids: set[str] = set()
    warned = False
    pause = Pause(_EVERY_S)
    with bar:
        task = bar.add_task("", total=len(run_ids))
        while True:
            queue.settle(store)
            runs = [get_run(store, run_id) for run_id in run_ids]
            ended = [run for run in runs if run.status.has_ended and not _comes_back(store, run)]
            bar.update(task, completed=len(ended), description=_counts(runs))
            for run in ended:
                if run.id not in ended_ids and not console.is_terminal and not quiet:
                    put(f"{run.id} {run.status}" + (f": {run.reason}" if run.reason else ""))
                ended_ids.add(run.id)
            if len(ended) == len(runs):
                return runs
            idle = all(run.status == RunStatus.QUEUED for run in runs if run.id not in ended_ids)
            if idle and not warned and not any(worker.alive for worker in queue.workers(store)):
                warned = True
                say("No worker is alive: start one with tfllmer worker; this waits for it.")
            pause()


def _comes_back(store: Store, run: Run) -> bool:
    """Whether a worker is about to queue it again."""
    stopped = run.status == RunStatus.LOST or (run.status == RunStatus.CANCELLED and not run.cancel_requested)
    return stopped and run.worker_id in {worker.id for worker in queue.workers(store) if worker.alive}


def _counts(runs: Sequence[Run]) -> str:
    return ", ".join(f"{n} {status}" for status, n in sorted(Counter(run.status for run in runs).items()))


def log_document(store: Store, run_id: str) -> dict[str, Any]:
    """The run's log as its lines, and what it has told the store, for JSON."""
    run, log = get_run(store, run_id), store.folder(run_id).log
    text = log.read_text("utf-8", errors="replace") if log.exists() else ""
    lines = [
        {"at": event.at.isoformat(timespec="seconds"), "level": event.level, "text": event.text}
        for event in events(store, run_id)
    ]
    return {"run": run.id, "status": run.status, "lines": text.splitlines(), "events": lines}


def stream_log(store: Store, run_id: str, *, follow: bool, raw: bool = False) -> None:
    """Copy the run's log to stdout, as it is with `raw`; with `follow` until the run has ended."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    log, offset = store.folder(run_id).log, 0
    pause = Pause(_EVERY_S)
    while True:
        over = not follow or get_run(store, run_id).status.has_ended
        if log.exists():
            with open(log, "rb") as file:
                file.seek(offset)
                block = file.read()
            offset += len(block)
            text = decoder.decode(block)
            if raw:
                hand_out(text)
            else:
                put(text, end="")
        if over:
            return
        queue.settle(store)
        pause()
