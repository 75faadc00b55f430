"""The runs that a person has marked: each keeps its colour for as long as it is marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rich.style import Style

from engine.views.runs import RunGroup, TableRow, names
from tfllmer_tui.tui.palette import Inks
from tfllmer_tui.tui.traces import DrawnRun

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow

MOST_DRAWN = 14
"""Marked runs that are drawn over one another, and runs of one group."""


def runs_of(entry: TableRow | None) -> tuple[RunRow, ...]:
    """The runs that a row of the table stands for."""
    return entry.runs if isinstance(entry, RunGroup) else () if entry is None else (entry,)


def gutter_of(colors: Mapping[str, int], run_ids: Iterable[str], inked: Inks) -> tuple[str, Style] | None:
    """What stands before the row of these runs: a bar in the colour of the first that is marked, if any is."""
    color = next((colors[run_id] for run_id in run_ids if run_id in colors), None)
    return None if color is None else ("▌", inked.curves[color % len(inked.curves)])


def drawn_together(rows: Mapping[str, RunRow]) -> list[DrawnRun]:
    """All of a few runs as curves, in the order in which they were made."""
    first = [rows[run_id] for run_id in sorted(rows)][:MOST_DRAWN]
    return [DrawnRun(row, color, name) for color, (row, name) in enumerate(zip(first, names(first), strict=True))]


class MarkedRuns:
    """Marked runs, in the order in which they were marked. `colors`: the place of each one's colour by its id."""

    def __init__(self) -> None:
        self.colors: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.colors)

    def toggle(self, run_ids: Iterable[str]) -> None:
        """Mark them, or none of them where all are marked."""
        ids = list(run_ids)
        if all(run_id in self.colors for run_id in ids):
            for run_id in ids:
                self.colors.pop(run_id)
        else:
            for run_id in ids:
                self.colors.setdefault(run_id, self._free)

    def clear(self) -> None:
        """No run is marked."""
        self.colors.clear()

    def keep(self, run_ids: Iterable[str]) -> None:
        """Forget the marks of all other runs."""
        for run_id in self.colors.keys() - set(run_ids):
            self.colors.pop(run_id)

    def drawn(self, known: Mapping[str, RunRow], entry: TableRow | None) -> list[DrawnRun]:
        """The marked runs and those of the row under the cursor, as curves."""
        marked = [known[run_id] for run_id in self.colors if run_id in known][:MOST_DRAWN]
        new = [row for row in runs_of(entry) if row.id not in self.colors][:MOST_DRAWN]
        colors = [*(self.colors[row.id] for row in marked), *range(self._free, self._free + len(new))]
        rows = [*marked, *new]
        return [DrawnRun(*each) for each in zip(rows, colors, names(rows), strict=True)]

    @property
    def _free(self) -> int:
        """The first colour that no marked run has."""
        taken = set(self.colors.values())
        return next(color for color in range(len(taken) + 1) if color not in taken)
