"""The table of runs as plain data: which rows, in which order, folded how. No widget, no store."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from tfllmer_tui.tui.text import clean

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow

METRICS = ("ndcg@10", "hr@10", "mrr", "ndcg@5", "hr@5", "ndcg@20", "hr@20")
"""What runs are measured by; the first is the one that picks the best epoch."""
_UNNAMED = ("execution.", "note", "seed")
STATUS_ORDER = ("running", "stopping", "queued", "lost", "failed", "cancelled", "finished")


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (None for one value) of n values."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Group:
    """The runs of one configuration, one per seed (the newest) counted in its numbers: `valid` and `test` are of
    `metric`."""

    key: str
    runs: tuple[RunRow, ...]
    metric: str
    valid: Spread | None
    test: Spread | None
    train_ce: Spread | None

    @property
    def id(self) -> str:
        return f"group {self.key}"

    @property
    def first(self) -> RunRow:
        """The run that its words and its small curve are taken from: the newest."""
        return self.runs[0]

    @property
    def seeds(self) -> list[int]:
        return sorted({run.seed for run in self.runs})

    def missing(self, n: int) -> list[int]:
        """Seeds below n that no run of it has."""
        return sorted(set(range(n)) - set(self.seeds))


Entry: TypeAlias = "RunRow | Group"


@dataclass(frozen=True)
class View:
    """How the table is looked at. `only`: the ids that the filter lets through, None for all."""

    only: frozenset[str] | None = None
    sort: str = "created"
    descending: bool = True
    grouped: bool = False
    open: frozenset[str] = frozenset()
    """Keys of groups whose runs are listed below them."""
    metric: str = METRICS[0]


def arrange(rows: Iterable[RunRow], view: View) -> tuple[Entry, ...]:
    """Rows as the view wants them: filtered, sorted, folded. What a column lacks comes last."""
    shown = [row for row in rows if view.only is None or row.id in view.only]
    key = _sort_key(view)
    if not view.grouped:
        return tuple(_sorted(shown, key, view.descending))
    by_config = defaultdict(list)
    for row in sorted(shown, key=lambda row: row.id, reverse=True):
        by_config[row.config_hash].append(row)
    entries: list[Entry] = []
    groups = [group(config, runs, view.metric) for config, runs in by_config.items()]
    for entry in _sorted(groups, lambda g: _group_key(g, view.sort, key), view.descending):
        entries.append(entry if len(entry.runs) > 1 else entry.first)
        if entry.key in view.open and len(entry.runs) > 1:
            entries += sorted(entry.runs, key=SORT_KEYS["seed"])
    return tuple(entries)


def _sorted(entries: Iterable[Any], key: Callable[[Any], Any], descending: bool) -> list[Any]:
    known: list[tuple[Any, Any]] = []
    unknown: list[tuple[Any, Any]] = []
    for entry in entries:
        value = key(entry)
        missing = value is None or (isinstance(value, float) and math.isnan(value))
        (unknown if missing else known).append((value, entry))
    known.sort(key=lambda pair: pair[0], reverse=descending)
    return [entry for _, entry in (*known, *unknown)]


def _sort_key(view: View) -> Callable[[Any], Any]:
    if view.sort in ("valid", "test"):
        return lambda row: getattr(row, view.sort).get(view.metric)
    return SORT_KEYS.get(view.sort, SORT_KEYS["created"])


def group(config: str, runs: Sequence[RunRow], metric: str) -> Group:
    """Fold runs of one configuration, newest first."""
    newest: dict[int, RunRow] = {}
    for run in runs:
        if run.status == "finished":
            newest.setdefault(run.seed, run)
    counted = list(newest.values())
    return Group(
        key=config,
        runs=tuple(runs),
        metric=metric,
        valid=spread(run.valid.get(metric) for run in counted),
        test=spread(run.test.get(metric) for run in counted),
        train_ce=spread(run.train_ce for run in counted),
    )


def spread(values: Iterable[float | None]) -> Spread | None:
    """Of the values that are there."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


def _group_key(entry: Group, sort: str, key: Callable[[Any], Any]) -> Any:
    folded: Mapping[str, Spread | None] = {"valid": entry.valid, "test": entry.test, "train_ce": entry.train_ce}
    if sort in folded:
        value = folded[sort]
        return None if value is None else value.mean
    return len(entry.runs) if sort == "seed" else key(entry.first)


SORT_KEYS: dict[str, Callable[[Any], Any]] = {
    "status": lambda row: (STATUS_ORDER.index(row.status) if row.status in STATUS_ORDER else 99, row.id),
    "id": lambda row: row.id,
    "created": lambda row: row.id,
    "dataset": lambda row: (row.dataset, row.arm, row.backbone, row.seed),
    "backbone": lambda row: (row.backbone, row.arm, row.seed),
    "arm": lambda row: (row.arm, row.backbone, row.seed),
    "seed": lambda row: (row.seed, row.id),
    "epoch": lambda row: row.epoch,
    "left": lambda row: row.ends_at,
    "train_ce": lambda row: row.train_ce,
    "study": lambda row: row.study,
    "time": lambda row: (row.ended or math.nan) - row.started if row.started else None,
}
"""What the other columns are sorted by; ids are ULIDs, which sort by time."""


def value_of(entry: Entry, name: str, metric: str = METRICS[0]) -> float | None:
    """Train_ce of a run, or a metric, valid or test; of a group the mean of what it was folded by."""
    if isinstance(entry, Group):
        folded = getattr(entry, name)
        return None if folded is None else folded.mean
    return entry.train_ce if name == "train_ce" else getattr(entry, name).get(metric)


def names(rows: Sequence[RunRow], *, seeds: bool = True) -> list[str]:
    """What tells these runs apart, as short as possible; without `seeds` they stand for their configurations."""
    parts = [
        [row.arm.removeprefix("tf-llmer/"), row.backbone, row.dataset, f"seed {row.seed}" if seeds else "", ""]
        for row in rows
    ]
    changes = [
        {f"{k.rpartition('.')[2]}={v}" for k, v in row.overrides.items() if not k.startswith(_UNNAMED)} for row in rows
    ]
    shared = set.intersection(*changes) if changes else set()
    for part, own in zip(parts, changes, strict=True):
        part[4] = " ".join(sorted(own - shared))
    differ = [i for i in range(5) if len({part[i] for part in parts}) > 1] or [0]
    return [clean(" ".join(part[i] for i in differ if part[i])) for part in parts]
