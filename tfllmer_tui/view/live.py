"""A run as it trains: its curves, how far it is, how fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from engine.records import RunFacts, RunRecord
from tfllmer_tui.view.chart import COLORS, ChartSeries, FloatArray, ReferenceLine, RichChart
from tfllmer_tui.view.runs import arm_with_changes
from tfllmer_tui.view.text import count, duration, epoch_text, plain, sparkline, status_text

Points: TypeAlias = tuple[FloatArray, FloatArray]
"""Steps and values [n] of one series."""
_DIM = "bright_black"


@dataclass(frozen=True)
class RunProgress:
    """How far a run is: epochs done of how many, the seconds it has taken, and those to go (None: not known).
    One that has `ended` has nothing to go, however many of its epochs it did."""

    epoch: float
    epochs: int
    elapsed_s: float
    left_s: float | None = None
    ended: bool = False

    @property
    def share(self) -> float:
        """From 0 to 1; of a run without epochs nothing is known before it has ended."""
        return min(max(self.epoch / self.epochs, 0.0), 1.0) if self.epochs else float(self.ended)


def live_view(
    record: RunRecord,
    series: Mapping[str, Points],
    facts: RunFacts,
    progress: RunProgress,
    *,
    stopping: bool = False,
    waiting: str = "waiting for the first measurement",
    width: int = 80,
    height: int = 23,
) -> Panel:
    """A run as it trains, in at most `width` x `height`: the curves of training CE (evaluation mode)
    and valid CE against the CE of popularity, valid NDCG@10, progress, speed.

    series: steps and values by name (epoch, train_ce, valid_ce, valid.ndcg@10, targets_per_s); missing ones are
    waited for. The x axis is epochs as soon as there are any, else steps.
    stopping: whether it was asked to stop.
    waiting: what stands in place of the curves before there is one.
    """
    inner = min(width, 120) - 4
    foot = [_ranking_line(series, inner), _progress_line(progress, inner), _facts_line(series, facts)]
    curves, reference = _curves(series, facts)
    room = max(height - 2 - len(foot), 3)
    by_epoch = _has_epochs(series)
    chart: RenderableType = RichChart(
        curves,
        height=room,
        lines=reference,
        x_range=(0.0, float(progress.epochs)) if by_epoch and progress.epochs else None,
        x_name="epoch" if by_epoch else "step",
    )
    if not any(np.isfinite(curve.y).any() for curve in curves):
        wait = room // 2
        lines = "\n" * wait + waiting + "\n" * (room - 1 - wait)
        chart = Text(lines, _DIM, justify="center", no_wrap=True, overflow="ellipsis")
    vectors = f" · {record.embedding}" if record.embedding else ""
    title = Text.assemble(
        plain(arm_with_changes(record.arm, record.overrides), "bold"),
        plain(f" · {record.dataset}{vectors} · {record.backbone} · seed {record.seed}"),
    )
    title.truncate(inner - 2, overflow="ellipsis")
    ending = Text.assemble(status_text("stopping" if stopping else record.status), plain(f" · {record.id}"))
    return Panel(
        Group(chart, *foot),
        title=title,
        title_align="left",
        subtitle=ending,
        subtitle_align="right",
        box=ROUNDED,
        border_style=_DIM,
        width=inner + 4,
    )


def _curves(series: Mapping[str, Points], facts: RunFacts) -> tuple[list[ChartSeries], list[ReferenceLine]]:
    curves = []
    for key, name in (("train_ce", "train CE"), ("valid_ce", "valid CE")):
        steps, values = series.get(key, _NOTHING)
        known = values[np.isfinite(values)]
        curves.append(ChartSeries(f"{name} {known[-1]:.3f}" if len(known) else name, _epochs(steps, series), values))
    popularity = facts.popularity_train_ce
    return curves, [] if popularity is None else [ReferenceLine("popularity (train)", popularity)]


def _has_epochs(series: Mapping[str, Points]) -> bool:
    return len(series.get("epoch", _NOTHING)[0]) > 0


def _epochs(steps: FloatArray, series: Mapping[str, Points]) -> FloatArray:
    """Steps as epochs, where the run has said which epoch a step belongs to."""
    known, epochs = series.get("epoch", _NOTHING)
    return np.interp(steps, known, epochs) if len(known) else steps


_NOTHING: Points = (np.zeros(0), np.zeros(0))


def _ranking_line(series: Mapping[str, Points], width: int) -> Text:
    steps, values = series.get("valid.ndcg@10", _NOTHING)
    line = Text("valid NDCG@10 ", no_wrap=True, overflow="ellipsis")
    good = np.flatnonzero(np.isfinite(values))
    if not len(good):
        return line.append("–", _DIM)
    best = int(good[np.argmax(values[good])])
    value = f" {values[good[-1]]:.4f}"
    unit = "epoch" if _has_epochs(series) else "step"
    peak = f"   best {values[best]:.4f} at {unit} {_epochs(steps, series)[best]:.0f}" if len(good) > 1 else ""
    room = max(width - len(line) - len(value) - len(peak) - 2, 4)
    line.append(sparkline(values, min(room, 32)), COLORS[2])
    line.append(value, "bold")
    return line.append(peak)


def _progress_line(progress: RunProgress, width: int) -> Text:
    left = f" · {duration(progress.left_s)} left" if progress.left_s is not None else " · time left unknown"
    if progress.ended or progress.share >= 1:
        left = ""
    tail = f" {progress.share:4.0%}  {duration(progress.elapsed_s)}{left}"
    head = f"{epoch_text(progress.epoch, progress.epochs)} "
    room = max(width - len(head) - len(tail), 4)
    filled = round(progress.share * room)
    return Text.assemble(
        head, ("━" * filled, COLORS[0]), ("┄" * (room - filled), _DIM), tail, no_wrap=True, overflow="ellipsis"
    )


def _facts_line(series: Mapping[str, Points], facts: RunFacts) -> Text:
    _, speed = series.get("targets_per_s", _NOTHING)
    known = speed[np.isfinite(speed)]
    parts = [f"{count(float(known[-1]))} targets/s"] if len(known) else []
    if facts.device is not None:
        several = [str(facts.devices)] if (facts.devices or 1) > 1 else []
        threads = ["?" if facts.threads is None else str(facts.threads)] if facts.device == "cpu" else []
        parts.append(" × ".join([*several, facts.device, *threads]))
    sizes = ((facts.n_users, "users"), (facts.n_items, "items"), (facts.parameters, "parameters"))
    parts += [f"{count(float(size))} {name}" for size, name in sizes if size is not None]
    line = plain(" · ".join(parts) or "starting", _DIM)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line
