"""Views of the table of runs under a name: filter, order, folds, metric and columns, kept for a person and a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import UserError, nearest
from engine.files import StoreAddress
from engine.metrics import SELECTION
from engine.views.runs import METRICS, SORT_KEYS
from engine.views.view_files import changed_views, kept_views

COLUMNS: Mapping[str, str] = {
    "status": "status",
    "id": "run",
    "arm": "arm",
    "dataset": "dataset",
    "backbone": "backbone",
    "seed": "seed",
    "epoch": "epochs",
    "train_ce": "train_ce",
    "valid": "valid.{metric}",
    "test": "{metric}",
    "time": "wall_s",
    "created": "created",
    "study": "study",
    "tag": "tag",
    "note": "note",
}
"""Columns of the screen and the fields of the command line that hold the same."""
SORTS = (*SORT_KEYS, "valid", "test")
_MOST = 60


@dataclass(frozen=True)
class SavedView:
    """How the table of runs is looked at, under a name."""

    name: str
    filter: str = ""
    sort: str = "created"
    descending: bool = True
    grouped: bool = False
    metric: str = METRICS[0]
    hidden: frozenset[str] = frozenset()

    @property
    def fields(self) -> list[str] | None:
        """The columns that are shown, as `tfllmer runs --columns` names them; None where they are those of always."""
        if not self.hidden and self.metric == SELECTION:
            return None
        return [self._field(key) for key in COLUMNS if key not in self.hidden]

    @property
    def measured_fields(self) -> list[str]:
        """The columns of folded runs that have a mean."""
        return [self._field(key) for key in ("train_ce", "valid", "test") if key not in self.hidden]

    @property
    def order(self) -> str | None:
        """As `tfllmer runs --sort` takes it; None where the command line has no such field."""
        if self.sort not in COLUMNS:
            return None
        return ("-" if self.descending else "") + self._field(self.sort)

    @property
    def hidden_fields(self) -> list[str]:
        """The columns that are not shown, as `tfllmer view save --hide` takes them."""
        return [self._field(key) for key in COLUMNS if key in self.hidden]

    def _field(self, key: str) -> str:
        return COLUMNS[key].format(metric=self.metric)

    def told(self) -> str:
        """What it is, in a few words."""
        order = f"{self.sort} {'↓' if self.descending else '↑'}"
        metric = self.metric.upper() if self.metric != SELECTION else ""
        hidden = f"without {', '.join(sorted(self.hidden))}" if self.hidden else ""
        return " · ".join(filter(None, [self.filter, order, "folded" if self.grouped else "", metric, hidden]))

    def to_json(self) -> dict[str, Any]:
        fields = {"filter": self.filter, "sort": self.sort, "descending": self.descending, "grouped": self.grouped}
        return {**fields, "metric": self.metric, "hidden": sorted(self.hidden)}


def decode(name: str, kept: Mapping[str, Any]) -> SavedView:
    """The view that was kept, as far as it makes sense."""
    hidden = kept.get("hidden")
    return SavedView(
        name=name,
        filter=str(kept.get("filter", "")),
        sort=next((key for key in SORTS if key == kept.get("sort")), "created"),
        descending=bool(kept.get("descending", True)),
        grouped=bool(kept.get("grouped", False)),
        metric=next((metric for metric in METRICS if metric == kept.get("metric")), METRICS[0]),
        hidden=frozenset(map(str, hidden)) if isinstance(hidden, list) else frozenset(),
    )


# ------------------------------------------------------------------------------------ kept


def saved_views(store: StoreAddress) -> dict[str, SavedView]:
    """The views of the store at a path, by name. Raises UserError where their file makes no sense."""
    return {name: decode(name, view) for name, view in sorted(kept_views(store).items())}


def find_view(store: StoreAddress, name: str) -> SavedView:
    """Raises UserError, with the nearest name, where there is no such view."""
    views = saved_views(store)
    if name not in views:
        hint = nearest(name, views) if views else "; tfllmer view save makes one"
        raise UserError(f"view {name}: no such view of {store}{hint}")
    return views[name]


def save_view(store: StoreAddress, view: SavedView) -> SavedView | None:
    """Keep a view under its name; the one that had the name before. Raises UserError where the name is none."""
    _check(view.name)
    with changed_views(store) as views:
        before = views.get(view.name)
        views[view.name] = view.to_json()
    return None if before is None else decode(view.name, before)


def rename_view(store: StoreAddress, name: str, new: str) -> None:
    """Raises UserError where there is no such view, or the new name is taken or none."""
    _check(new)
    find_view(store, name)
    with changed_views(store) as views:
        if new in views:
            raise UserError(f"view {new}: is there already; remove it first, or take another name")
        views[new] = views.pop(name)


def _check(name: str) -> None:
    if not name.strip() or not name.isprintable() or len(name) > _MOST or name[0] in "- ":
        raise UserError(f"view {name!r}: a name has 1 to {_MOST} characters and begins with neither - nor a blank")


def remove_view(store: StoreAddress, name: str) -> SavedView:
    """Forget a view; which it was. Raises UserError where there is no such view."""
    view = find_view(store, name)
    with changed_views(store) as views:
        views.pop(name, None)
    return view


# ------------------------------------------------------------------------------------ from the command line


def view_of(name: str, filter: str, sort: str, *, grouped: bool, metric: str, hidden: Sequence[str] = ()) -> SavedView:
    """A view in the words of `tfllmer runs`. Raises UserError for a metric or a field that the table does not have."""
    if metric not in METRICS:
        raise UserError(f"--metric {metric}: the table of runs has {', '.join(METRICS)}{nearest(metric, METRICS)}")
    fields = {field.format(metric=metric): key for key, field in COLUMNS.items()}
    for option, words in (("--sort", [sort.removeprefix("-")]), ("--hide", hidden)):
        for word in words:
            if word not in fields:
                raise UserError(f"{option} {word}: the table of runs has {', '.join(fields)}{nearest(word, fields)}")
    key = fields[sort.removeprefix("-")]
    if key not in SORTS:
        raise UserError(f"--sort {sort}: the table of runs is not sorted by {key}s")
    columns = frozenset(fields[word] for word in hidden)
    return SavedView(name, filter, key, sort.startswith("-"), grouped, metric, columns)
