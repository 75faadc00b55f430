"""A tuning drawn: a line for each arm, the settings of its best trial, and all trials where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tfllmer_tui.view.by_width import DrawnByWidth
from tfllmer_tui.view.grid import grid_table
from tfllmer_tui.view.text import duration, number, plain, short_ids

if TYPE_CHECKING:
    from engine.records import TrialRecord, TuningRecord
    from engine.views.tuning import ArmTuning, TuningView

_STATES = ("finished", "pruned", "failed", "open")
_ROOMY = 120
"""Columns from which on settings stand in one of their own."""


def picture(view: TuningView) -> RenderableType:
    """Everything that `tfllmer tune show` prints, without the single trials."""
    return Group(arms_table(view), Text(), *choices(view.arms), Text(), plain(view.budget_text()))


def arms_table(view: TuningView) -> RenderableType:
    """The best value of each arm beside its preset's, the spread of its trials, and what they cost."""
    from engine.reports.render.layouts import Entry, Grid

    best = f"best {'↑' if view.by.higher_is_better else '↓'}"
    columns = (best, "trial", "preset", "median", "worst", "trials", "epochs", "time")
    rows = []
    for arm in view.arms:
        trials = ", ".join(f"{n} {state}" for state in _STATES if (n := arm.counts.get(state))) or "–"
        cells = (
            number(arm.best.value if arm.best else None),
            str(arm.best.number) if arm.best else "–",
            *map(number, (arm.preset, arm.median, arm.worst)),
            *(trials, str(arm.epochs), duration(arm.wall_s)),
        )
        rows.append((arm.arm, tuple(map(Entry, cells))))
    return grid_table(Grid("", (), "arm", (), columns, tuple(rows)))


def choices(arms: Sequence[ArmTuning]) -> list[RenderableType]:
    """The settings of each arm's best trial."""
    return [
        Text.assemble((arm.arm, "bold"), " ", plain(settings_text(arm.best))) for arm in arms if arm.best is not None
    ]


def settings_text(trial: TrialRecord) -> str:
    """`train.lr=0.0023 table.tau=0.1`."""
    from engine.presets.studies import text_of

    return " ".join(f"{name}={text_of(value)}" for name, value in trial.values.items())


def trials_table(tuning: TuningRecord) -> DrawnByWidth:
    """Every trial with its run, its settings and what came of it; the settings on lines of their own where a column of
    them would be narrow."""
    trials = [trial for arm in tuning.arms for trial in tuning.trials_of(arm)]
    ids = iter(short_ids([trial.run for trial in trials if trial.run]))
    runs = [next(ids) if trial.run else "–" for trial in trials]
    return DrawnByWidth(lambda width: _trials(tuning.by, trials, runs, beside=width >= _ROOMY))


def _trials(by: str, trials: Sequence[TrialRecord], runs: Sequence[str], *, beside: bool) -> RenderableType:
    table = _empty()
    for name in ("arm", "trial", "state", by, "epoch", "run"):
        table.add_column(name, justify="right" if name == by else "left", no_wrap=True)
    table.add_column("settings", overflow="fold")
    lines: list[RenderableType] = []
    for trial, run in zip(trials, runs, strict=True):
        settings = plain(settings_text(trial) + (f"  {trial.reason}" if trial.state == "failed" else ""))
        place = "–" if trial.epoch is None else str(trial.epoch)
        told = (trial.arm, str(trial.number), trial.state, number(trial.value))
        table.add_row(*map(plain, (*told, place, run)), settings)
        lines += [plain("  ".join((*told, f"epoch {place}", run))), Padding(settings, (0, 0, 0, 4))]
    return table if beside else Group(*lines)


def progress(view: TuningView, below: Sequence[RenderableType]) -> RenderableType:
    """What is seen while it runs: a bar and the best value of each arm, then `below`."""
    bars = Table.grid(padding=(0, 2))
    for arm in view.arms:
        best = f"best {number(arm.best.value)} (trial {arm.best.number})" if arm.best else "no trial has finished"
        bar = ProgressBar(total=view.tuning.budget, completed=arm.ended, width=30)
        bars.add_row(plain(arm.arm), bar, f"{arm.ended}/{view.tuning.budget}", best)
    return Group(bars, *below, Text())


def _empty() -> Table:
    return Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="bold")
