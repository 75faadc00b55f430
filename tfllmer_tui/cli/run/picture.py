"""A run on screen: what the store knows of it, as the picture that `run`, `resume` and `show` share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Group, RenderableType

from engine.records import RunFacts, RunRecord, RunStatus
from engine.store import Store, record, series
from engine.store.queries.heads import RunHead, run_head
from engine.store.queries.pace import end_of
from tfllmer_tui.view.live import Points, RunProgress, live_view
from tfllmer_tui.view.runs import result_table

WIDTH, HEIGHT = 80, 16
_SERIES = ("epoch", "train_ce", "valid_ce", "valid.ndcg@10", "targets_per_s")


@dataclass(frozen=True)
class Snapshot:
    """What is shown of a run at one moment."""

    record: RunRecord
    """Without its result."""
    stopping: bool
    """It runs and was asked to stop."""
    series: Mapping[str, Points]
    facts: RunFacts
    epochs: int
    ends_at: float | None
    """When it will be done, Unix seconds; None where that is not known."""
    news: str
    """The run's newest word about itself while nothing is measured yet."""

    @property
    def epoch(self) -> float:
        """How far it is, in epochs."""
        _, values = self.series["epoch"]
        return float(values[-1]) if len(values) else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until it will be done."""
        return None if self.ends_at is None else max(0.0, self.ends_at - time.time())


def snapshot(store: Store, run_id: str) -> Snapshot:
    """Read what is shown of a run, without the points that are not."""
    return _snapshot(store, run_head(store, run_id))


def _snapshot(store: Store, run: RunHead) -> Snapshot:
    points = {name: series(store, run.id, name) for name in _SERIES}
    reported = {name: (p.steps, p.values) for name, p in points.items()}
    head = RunRecord(
        id=run.id,
        status=run.status,
        method=run.method,
        ablation=run.ablation,
        dataset=run.dataset,
        backbone=run.backbone,
        embedding=run.embedding,
        seed=run.seed,
        config_hash=run.config_hash,
        spec_hash=run.spec_hash,
        overrides=run.overrides,
    )
    stopping = run.cancel_requested and run.status is RunStatus.RUNNING
    measured = len(reported["train_ce"][0]) > 0
    news = ("" if measured else run.word) or "waiting for the first measurement"
    return Snapshot(head, stopping, reported, run.facts, run.epochs, end_of(store, run), news)


def draw(moment: Snapshot, elapsed_s: float, *, width: int = WIDTH, height: int = HEIGHT) -> RenderableType:
    """The curves with progress. `elapsed_s` is the time since this attempt began."""
    ended = moment.record.status is not RunStatus.RUNNING
    progress = RunProgress(moment.epoch, moment.epochs, elapsed_s, moment.left_s, ended)
    return live_view(
        moment.record,
        moment.series,
        moment.facts,
        progress,
        stopping=moment.stopping,
        waiting=moment.news,
        width=width,
        height=height,
    )


def picture(store: Store, run_id: str, *, width: int = WIDTH) -> RenderableType:
    """The curves and the result of a stored run."""
    run = run_head(store, run_id)
    summary = record(store, run)
    if run.status is RunStatus.RUNNING and run.started:
        elapsed = (datetime.now(UTC) - run.started).total_seconds()
    else:
        elapsed = summary.result.wall_s or 0.0
    return Group(draw(_snapshot(store, run), elapsed, width=width), result_table(summary))
