"""How the table of runs is looked at, as a value that the next session begins with, and the rows that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.views.baselines import Baseline, ComparedRows, compared_rows, with_verdicts
from engine.views.runs import METRICS, RunView, TableRow, arrange
from tfllmer_tui.view.text import short_ids

if TYPE_CHECKING:
    from engine.store import Store
    from engine.store.queries.feed import RunRow

ID_LENGTH = 12
"""The most characters of an id that are shown; as few as tell the newest runs apart."""


@dataclass(frozen=True)
class RunListing:
    """The filter as it is typed, the columns that are hidden, and order, folds and metric."""

    filter: str = ""
    hidden: frozenset[str] = frozenset()
    view: RunView = field(default_factory=RunView)

    def remembered(self) -> dict[str, Any]:
        """What the next session begins with: all but which groups are open."""
        view = self.view
        kept = {"sort": view.sort, "descending": view.descending, "grouped": view.grouped, "metric": view.metric}
        return {"filter": self.filter, "hidden": sorted(self.hidden), **kept}


@dataclass(frozen=True)
class ListedRuns:
    """The rows of the table, or what is wrong with the filter."""

    entries: tuple[TableRow, ...] = ()
    id_length: int = 8
    error: str = ""
    compared: ComparedRows = field(default_factory=ComparedRows)


def remembered_listing(kept: Mapping[str, Any]) -> RunListing:
    """The listing that was kept, as far as it makes sense."""
    hidden = kept.get("hidden")
    view = RunView(
        sort=str(kept.get("sort", "created")),
        descending=bool(kept.get("descending", True)),
        grouped=bool(kept.get("grouped", False)),
        metric=next((name for name in METRICS if name == kept.get("metric")), METRICS[0]),
    )
    return RunListing(
        filter=str(kept.get("filter", "")),
        hidden=frozenset(map(str, hidden)) if isinstance(hidden, list) else frozenset(),
        view=view,
    )


def listed(
    store: Store,
    rows: Mapping[str, RunRow],
    listing: RunListing,
    baselines: Mapping[str, Baseline],
    before: ComparedRows,
) -> ListedRuns:
    """Filter, sort, fold and compare, as far as it is not what was compared before; for threads."""
    try:
        only = _matching(store, listing.filter)
    except UserError as error:
        return ListedRuns(error=str(error))
    newest = sorted(rows, reverse=True)[:500]
    length = min(len(short_ids(newest)[0]), ID_LENGTH) if newest else 8
    entries = arrange(rows.values(), replace(listing.view, only=only))
    compared = compared_rows(rows.values(), baselines, listing.view.metric)
    if listing.view.grouped:  # a run alone has no test
        compared = with_verdicts(compared, rows.values(), before)
    return ListedRuns(entries, length, compared=compared)


def _matching(store: Store, text: str) -> frozenset[str] | None:
    """The ids that a filter lets through; None for all."""
    if not text:
        return None
    from sqlmodel import select

    from engine.store import Run
    from engine.store.queries.filters import parse

    with store.read() as session:
        return frozenset(session.exec(select(Run.id).where(parse(text).clause())))
