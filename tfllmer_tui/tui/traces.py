"""Series that were read for charts, kept while the run they belong to stays as it is."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.views.words import printable
from tfllmer_tui.tui.curves import Curve

if TYPE_CHECKING:
    from engine.store import Store
    from engine.store.curves.traces import Trace
    from engine.store.queries.feed import RunRow

KEPT = 512


@dataclass(frozen=True)
class DrawnRun:
    """A run to draw, with the place of its colour and what the legend calls it."""

    row: RunRow
    color: int
    name: str


class TraceCache:
    """Traces by run and series. `curves` is for threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[RunRow, Trace]] = OrderedDict()
        self._lock = threading.Lock()

    def curves(self, store: Store, runs: Sequence[DrawnRun], metric: str) -> list[Curve]:
        """The series of these runs, without those that have none of that name."""
        curves = []
        for each in runs:
            series = self.trace(store, each.row, metric)
            if series.points:
                curves.append(Curve(each.row.id, printable(each.name), each.color, series, each.row.config_hash))
        return curves

    def trace(self, store: Store, row: RunRow, metric: str) -> Trace:
        """What is stored; read again only where the row has changed since."""
        from engine.store.curves.traces import trace

        key = (row.id, metric)
        with self._lock:
            entry = self._kept.get(key)
            if entry is not None and entry[0] is row:
                self._kept.move_to_end(key)
                return entry[1]
        series = trace(store, row.id, metric)
        with self._lock:
            self._kept[key] = (row, series)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return series
