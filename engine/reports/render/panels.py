"""What figures share: panels of the size they are printed at, colours and line styles, titles, one legend."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.metrics import Metric
from engine.reports.boards.arms import Arm, Bench
from engine.reports.boards.doses import Family
from engine.reports.stats.statistics import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
"""Okabe and Ito's, and for yellow Tol's wine, told apart by people who are colour-blind; line styles differ too."""
_STYLES = ("-", "--", "-.", ":")
POPULARITY = "popularity"
ID_LEVEL = "level of id"
_PANEL = (3.1, 2.1)  # inches; two stand beside each other on a page, with letters of the size they are given here
_LINE = 0.15  # inches of a line of a title or legend, which is added to the panels
_CHARACTER = 0.065  # inches of a title's letter
_LETTER = 0.06  # and of a legend's
_HANDLE = 0.5  # inches of a legend's line and the space about it


def panel_grid(count: int, legend: int = 0) -> tuple[Figure, list[Axes]]:
    """So many panels, two in a row; `legend` lines have room below each."""
    from matplotlib.figure import Figure

    columns = min(2, max(count, 1))
    rows = math.ceil(max(count, 1) / columns)
    height = _PANEL[1] + legend * _LINE
    figure = Figure(figsize=(_PANEL[0] * columns, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def looks() -> Iterator[dict[str, Any]]:
    """Colours with line styles, so that neighbours differ in both; endless, the first repeated after 32."""
    for turn in count():
        for i, color in enumerate(COLORS):
            yield {"color": color, "ls": _STYLES[(i + turn) % len(_STYLES)]}


def titles(figure: Figure, panels: Sequence[Axes], benches: Sequence[Bench], notes: Sequence[str] = ()) -> None:
    """Each bench above its panel; conditions that all of several share stand once above the figure."""
    shared = set.intersection(*(set(bench.conditions) for bench in benches)) if len(benches) > 1 else set()
    own = [replace(bench, conditions=tuple(c for c in bench.conditions if c not in shared)) for bench in benches]
    headings(figure, panels, [bench.title for bench in own], notes)
    if shared:
        figure.suptitle(wrapped(" · ".join(sorted(shared)), 2), fontsize=8)


def headings(figure: Figure, panels: Sequence[Axes], names: Sequence[str], notes: Sequence[str] = ()) -> None:
    """Each name above its panel, with its note on a line of its own, and room for the tallest."""
    for i, (axes, name) in enumerate(zip(panels, names, strict=True)):
        axes.set_title("\n".join(filter(None, [wrapped(name), *notes[i : i + 1]])))
    lines = max(axes.get_title().count("\n") + 1 for axes in panels)
    figure.set_figheight(figure.get_figheight() + _LINE * lines * math.ceil(len(panels) / 2))


def points(axes: Axes, family: Family, metric: Metric, look: Mapping[str, Any], *, label: str) -> None:
    """Means with their 95 % intervals over seeds."""
    xs, summaries = family.summaries(metric)
    half = [0.0 if s.hi is None else s.hi - s.mean for s in summaries]
    axes.errorbar(xs, [s.mean for s in summaries], yerr=half, marker="o", ms=3, lw=1, capsize=2, label=label, **look)


def choices(arms: Sequence[Arm]) -> str:
    """The settings that validation chose for arms, in lines that a panel has room for; empty where all are as they
    come."""
    words = wrapped(" · ".join(f"{arm.name} at {', '.join(arm.choice)}" for arm in arms if arm.choice))
    room = int(_PANEL[0] / _CHARACTER)
    lines = (textwrap.wrap(line, room, break_long_words=False, break_on_hyphens=False) for line in words.splitlines())
    return "\n".join(line for pieces in lines for line in pieces)


def shared_legend(figure: Figure) -> None:
    """One legend for all panels, below them, in as many columns as its names leave room for; popularity last."""
    lines: dict[str, Any] = {}
    for axes in figure.axes:
        lines |= {label: line for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    lines = dict(sorted(lines.items(), key=lambda named: named[0] == POPULARITY))
    room = int((figure.get_figwidth() - _HANDLE) / _LETTER)
    labels = [textwrap.wrap(label, room, break_long_words=False, break_on_hyphens=False) for label in lines]
    width = _HANDLE + _LETTER * max((len(line) for label in labels for line in label), default=0)
    columns = min(len(lines), 4, max(1, int(figure.get_figwidth() / width)))
    height = _LINE * math.ceil(sum(map(len, labels)) / columns)
    figure.set_figheight(figure.get_figheight() + height)
    texts = ["\n".join(label) for label in labels]
    figure.legend(list(lines.values()), texts, loc="outside lower center", ncols=columns)


def clipped(axes: Axes) -> str:
    """What lies outside of the axes, in words; empty where nothing does."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
    low, high = axes.get_ylim()
    above = f"clipped above {high:.2f}, highest {drawn.max():.2f}" if drawn.max() > high else ""
    below = f"clipped below {low:.2f}, lowest {drawn.min():.2f}" if drawn.min() < low else ""
    return " · ".join(filter(None, [above, below]))


def visible(axes: Axes) -> tuple[float, float]:
    """Limits that leave out the first epochs' fall, which would flatten all that matters."""
    tails = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()]
    return _with_room(np.concatenate([y[max(1, len(y) // 20) :] if len(y) > 2 else y for y in tails]))


def up_to(axes: Axes, ceiling: float | None) -> tuple[float, float]:
    """Limits that hold all that is drawn, but for what lies above the ceiling."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
    return _with_room(drawn if ceiling is None or drawn.min() > ceiling else drawn[drawn <= ceiling])


def _with_room(values: FloatArray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or 0.05
    return low - room, high + room


def few_ticks(axes: Axes) -> None:
    """A logarithmic x axis that says .2, .5, 1 where there is room for it, decades where there are many."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,), numticks=7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def wrapped(title: str, panels: int = 1) -> str:
    """A title in lines that so many panels have room for, broken between its parts."""
    lines: list[str] = []
    for part in title.split(" · "):
        if lines and len(lines[-1]) + len(part) + 3 <= panels * _PANEL[0] / _CHARACTER:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return "\n".join(lines)
