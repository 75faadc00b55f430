"""Dose-response in words that can be quoted, as a table, and as JSON: sign, slope and interval, whatever they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

from engine.metrics import parse_metric
from engine.reports.boards.compare import summary_json
from engine.reports.boards.doses import Family
from engine.reports.render.layouts import Entry, Grid
from engine.reports.stats.statistics import Summary

Trend: TypeAlias = Literal["rises", "falls", "does not change", "no direction shown", "one seed"]

_CE = parse_metric("train_ce")


def direction(slope: Summary) -> Trend:
    """What the 95 % interval of the slope says of its sign."""
    if slope.lo is None or slope.hi is None:
        return "one seed"
    if slope.lo == slope.hi == 0:
        return "does not change"
    return "rises" if slope.lo > 0 else "falls" if slope.hi < 0 else "no direction shown"


def prose(families: Iterable[Family]) -> list[str]:
    """One sentence per family, of its training CE at the last epoch."""
    sentences = []
    for family in families:
        slope = family.slope(_CE)
        if slope is None:
            sentences.append(f"Dose-response of {family.label} to {family.dial}: no seed has every dose.")
            continue
        doses, summaries = family.summaries(_CE)
        ends = f"from {summaries[0].mean:.4f} at {doses[0]:g} to {summaries[-1].mean:.4f} at {doses[-1]:g}"
        seeds = f"{slope.n} seed{'s' * (slope.n != 1)}"
        words = {
            "rises": f"training CE rises with {family.dial}",
            "falls": f"training CE falls with {family.dial}",
            "does not change": f"training CE does not change with {family.dial}",
            "no direction shown": f"no direction of training CE over {family.dial} is shown",
            "one seed": f"one seed has no interval for training CE over {family.dial}",
        }[direction(slope)]
        sentences.append(f"Dose-response of {family.label}: {words}, {_slope(slope)} nats per unit, {seeds}, {ends}.")
    return sentences


def _slope(slope: Summary) -> str:
    interval = "" if slope.lo is None or slope.hi is None else f", 95 % interval [{slope.lo:+.4f}, {slope.hi:+.4f}]"
    return f"slope {slope.mean:+.4f}{interval}"


def grids(families: Sequence[Family]) -> list[Grid]:
    """One table per dial: mean training CE at each dose, slope with its interval, direction."""
    result = []
    for dial in dict.fromkeys(family.dial for family in families):
        of_dial = [family for family in families if family.dial == dial]
        doses = sorted({dose for family in of_dial for dose in family.runs})
        rows = []
        for family in of_dial:
            means = {x: s.mean for x, s in zip(*family.summaries(_CE), strict=True)}
            cells = [Entry(f"{means[dose]:.4f}") if dose in means else None for dose in doses]
            rows.append((family.label, (*cells, *_slope_cells(family.slope(_CE)))))
        caption = (
            f"Training CE at the last epoch over {dial}, everything else equal: mean over seeds at each dose.",
            "Slope in nats per unit of the dial: a line per seed by least squares, mean over seeds, 95 % t interval.",
        )
        columns = (*(f"{dose:g}" for dose in doses), "seeds", "slope", "direction")
        result.append(Grid(f"dose-response · {dial}", caption, "arm", (), columns, tuple(rows)))
    return result


def _slope_cells(slope: Summary | None) -> tuple[Entry | None, ...]:
    if slope is None:
        return None, None, None
    interval = "" if slope.lo is None or slope.hi is None else f"[{slope.lo:+.4f}, {slope.hi:+.4f}]"
    return Entry(str(slope.n)), Entry(f"{slope.mean:+.4f}", interval=interval), Entry(direction(slope))


def to_json(families: Iterable[Family]) -> list[dict[str, Any]]:
    """Dial, runs and training CE by dose, slope and direction of every family."""
    documents = []
    for family in families:
        slope = family.slope(_CE)
        documents.append(
            {
                "dial": family.dial,
                "family": family.label,
                "doses": [
                    {"dose": dose, "train_ce": summary_json(numbers), "runs": [run.run for run in family.runs[dose]]}
                    for dose, numbers in zip(*family.summaries(_CE), strict=True)
                ],
                "slope": None if slope is None else summary_json(slope),
                "direction": None if slope is None else direction(slope),
            }
        )
    return documents
