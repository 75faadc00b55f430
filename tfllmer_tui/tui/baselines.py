"""The baselines that a person has chosen: one for each data set of the store, the same on every screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.views.baselines import Baseline, decode_baselines

if TYPE_CHECKING:
    from tfllmer_tui.tui.context import Context

KEPT = "baselines"


def chosen_baselines(context: Context) -> dict[str, Baseline]:
    """By data set, whether it has runs now or not."""
    return decode_baselines(context.memory.section(KEPT))


def choose_baseline(context: Context, dataset: str, baseline: Baseline | None) -> None:
    """From now on, and in the next session; None for no baseline."""
    others = {name: each for name, each in chosen_baselines(context).items() if name != dataset}
    if baseline is not None:
        others[dataset] = baseline
    context.keep(KEPT, {name: each.to_json() for name, each in others.items()})
