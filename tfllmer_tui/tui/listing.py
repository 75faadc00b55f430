"""How the table of runs is looked at, as a value that the next session begins with, and the rows that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.views.baselines import Baseline, ComparedRows, compared_rows, with_verdicts
from engine.views.runs import RunView, TableRow, arrange
from engine.views.saved import SavedView, decode
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
        return self.saved.to_json()

    @property
    def saved(self) -> SavedView:
        """What can be kept under a name, which is empty."""
        view = self.view
        return SavedView("", self.filter, view.sort, view.descending, view.grouped, view.metric, self.hidden)

    def as_saved(self, view: SavedView) -> RunListing:
        """The runs as they were listed when the view was kept."""
        order = RunView(sort=view.sort, descending=view.descending, grouped=view.grouped, metric=view.metric)
        return replace(self, filter=view.filter, hidden=view.hidden, view=order)


@dataclass(frozen=True)
class ListedRuns:
    """The rows of the table, or what is wrong with the filter."""

    entries: tuple[TableRow, ...] = ()
    id_length: int = 8
    error: str = ""
    compared: ComparedRows = field(default_factory=ComparedRows)
    removed: Mapping[str, RunRow] = field(default_factory=dict)
    """Runs that are in the trash, where the filter asks about them."""


def remembered_listing(kept: Mapping[str, Any]) -> RunListing:
    """The listing that was kept, as far as it makes sense."""
    return RunListing().as_saved(decode("", kept))


def listed(
    store: Store,
    rows: Mapping[str, RunRow],
    listing: RunListing,
    baselines: Mapping[str, Baseline],
    before: ComparedRows,
) -> ListedRuns:
    """Filter, sort, fold and compare, as far as it is not what was compared before; for threads."""
    try:
        only, removed = _matching(store, listing.filter)
    except UserError as error:
        return ListedRuns(error=str(error))
    newest = sorted(rows, reverse=True)[:500]
    length = min(len(short_ids(newest)[0]), ID_LENGTH) if newest else 8
    entries = arrange([*rows.values(), *removed.values()], replace(listing.view, only=only))
    compared = compared_rows(rows.values(), baselines, listing.view.metric)
    if listing.view.grouped:  # a run alone has no test
        compared = with_verdicts(compared, rows.values(), before)
    return ListedRuns(entries, length, compared=compared, removed=removed)


def completed(store: Store | None, text: str) -> list[str]:
    """The texts of the filter that the word at its end may become, best first; for threads."""
    from engine.store.queries.filters import complete, word_start

    start = word_start(text, len(text))
    return [text[:start] + word for word in complete(text, len(text), store)]


def _matching(store: Store, text: str) -> tuple[frozenset[str] | None, dict[str, RunRow]]:
    """The ids that a filter lets through, None for all; and the removed runs where it asks about them."""
    if not text:
        return None, {}
    from engine.store import list_values
    from engine.store.queries.filters import parse

    parsed = parse(text)
    only = frozenset(row[0] for row in list_values(store, (), parsed.clause(), trashed=None))
    return only, {} if parsed.trashed is False else removed_rows(store)


def removed_rows(store: Store) -> dict[str, RunRow]:
    """The runs in the trash by id, the newest first; for threads."""
    from engine.store.queries.feed import Feed

    feed = Feed(store)
    try:
        return {row.id: row for row in feed.removed()}
    finally:
        feed.close()
