"""A tuning drawn: a line for each arm, the settings of its best trial, and all trials where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tfllmer_tui.view.text import duration, number, plain

if TYPE_CHECKING:
    from engine.records import TrialRecord, TuningRecord
    from engine.views.tuning import ArmTuning, TuningView

_STATES = ("finished", "pruned", "failed", "open")


def picture(view: TuningView) -> RenderableType:
    """Everything that `tfllmer tune show` prints, without the single trials."""
    return Group(arms_table(view), Text(), *choices(view.arms), Text(), plain(view.budget_text()))


def arms_table(view: TuningView) -> Table:
    """The best value of each arm beside its preset's, the spread of its trials, and what they cost."""
    sign = "↑" if view.by.higher_is_better else "↓"
    table = _empty()
    table.add_column("arm", overflow="fold")
    for name in (f"best {view.by.name} {sign}", "trial", "preset", "median", "worst"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("trials", overflow="fold")
    for name in ("epochs", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for arm in view.arms:
        table.add_row(
            plain(arm.arm),
            number(arm.best.value if arm.best else None),
            str(arm.best.number) if arm.best else "–",
            *map(number, (arm.preset, arm.median, arm.worst)),
            ", ".join(f"{n} {state}" for state in _STATES if (n := arm.counts.get(state))) or "–",
            str(arm.epochs),
            duration(arm.wall_s),
        )
    return table


def choices(arms: Sequence[ArmTuning]) -> list[RenderableType]:
    """The settings of each arm's best trial."""
    return [
        Text.assemble((arm.arm, "bold"), " ", plain(settings_text(arm.best))) for arm in arms if arm.best is not None
    ]


def settings_text(trial: TrialRecord) -> str:
    """`train.lr=0.0023 table.tau=0.1`."""
    from engine.presets.studies import text_of

    return " ".join(f"{name}={text_of(value)}" for name, value in trial.values.items())


def trials_table(tuning: TuningRecord) -> Table:
    """Every trial with its run, its settings and what came of it."""
    table = _empty()
    for name in ("arm", "trial", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column(tuning.by, justify="right", no_wrap=True)
    for name in ("epoch", "run"):
        table.add_column(name, no_wrap=True)
    table.add_column("settings", overflow="fold")
    for arm in tuning.arms:
        for trial in tuning.trials_of(arm):
            detail = settings_text(trial) + (f"  {trial.reason}" if trial.state == "failed" else "")
            place = "–" if trial.epoch is None else str(trial.epoch)
            table.add_row(
                *map(plain, (trial.arm, trial.number, trial.state)),
                number(trial.value),
                *map(plain, (place, trial.run or "–", detail)),
            )
    return table


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
