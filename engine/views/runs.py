"""The table of runs: which rows, in which order, folded how; and what tells runs apart in few words."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.metrics import offered
from engine.records import RunStatus
from engine.reports.boards.leaderboard import setting
from engine.reports.stats.paired import mean_difference
from engine.views.folds import Fold, Spread, fold
from engine.views.words import printable

if TYPE_CHECKING:  # a screen shows before the store is imported
    from engine.store.queries.feed import RunRow

METRICS = tuple(metric.key for metric in offered() if metric.split == "valid")
"""What runs are measured by on both splits; the first is the one that picks the best epoch."""
_UNNAMED = ("execution.", "note", "seed")
STATUS_ORDER = ("running", "stopping", "queued", "lost", "failed", "cancelled", "finished")


@dataclass(frozen=True)
class RunGroup:
    """The runs of one configuration in the table, the newest first; `valid` and `test` are of `metric`, over the
    newest finished run of each seed."""

    key: str
    metric: str
    fold: Fold[RunRow]
    of_seeds: int
    """Seeds of its configuration, with those that a filter leaves out."""
    is_cut: bool = False
    """Whether a filter leaves out seeds that would count."""

    @property
    def id(self) -> str:
        return f"group {self.key}"

    @property
    def runs(self) -> tuple[RunRow, ...]:
        return self.fold.runs

    @property
    def first(self) -> RunRow:
        """The run that its words and its small curve are taken from: the newest."""
        return self.fold.first

    @property
    def valid(self) -> Spread | None:
        return self.fold.spreads["valid"]

    @property
    def test(self) -> Spread | None:
        return self.fold.spreads["test"]

    @property
    def train_ce(self) -> Spread | None:
        return self.fold.spreads["train_ce"]

    @property
    def seeds(self) -> list[int]:
        """Of all its runs, finished or not."""
        return sorted({run.seed for run in self.runs})

    @property
    def counted_text(self) -> str:
        """Over how many seeds its numbers are: `×3`, or `2 of 5` where not every seed counts."""
        counted = len({run.seed for run in self.fold.counted})
        return f"×{counted}" if counted == self.of_seeds else f"{counted} of {self.of_seeds}"


TableRow: TypeAlias = "RunRow | RunGroup"


@dataclass(frozen=True)
class RunView:
    """How the table is looked at. `only`: the ids that the filter lets through, None for all."""

    only: frozenset[str] | None = None
    sort: str = "created"
    descending: bool = True
    grouped: bool = False
    open: frozenset[str] = frozenset()
    """Keys of groups whose runs are listed below them."""
    metric: str = METRICS[0]


def arrange(rows: Iterable[RunRow], view: RunView) -> tuple[TableRow, ...]:
    """Rows as the view wants them: filtered, sorted, folded. What a column lacks comes last."""
    rows = list(rows)
    visible = [row for row in rows if view.only is None or row.id in view.only]
    key = _sort_key(view)
    if not view.grouped:
        return tuple(_sorted(visible, key, view.descending))
    whole = by_configuration(rows)
    table: list[TableRow] = []
    groups = [group(config, runs, view.metric, whole[config]) for config, runs in by_configuration(visible).items()]
    for each in _sorted(groups, lambda g: _group_key(g, view.sort, key), view.descending):
        is_group = len(whole[each.key]) > 1
        table.append(each if is_group else each.first)
        if each.key in view.open and is_group:
            table += sorted(each.runs, key=SORT_KEYS["seed"])
    return tuple(table)


def _sorted(rows: Iterable[Any], key: Callable[[Any], Any], descending: bool) -> list[Any]:
    known: list[tuple[Any, Any]] = []
    unknown: list[tuple[Any, Any]] = []
    for row in rows:
        value = key(row)
        missing = value is None or (isinstance(value, float) and math.isnan(value))
        (unknown if missing else known).append((value, row))
    known.sort(key=lambda pair: pair[0], reverse=descending)
    return [row for _, row in (*known, *unknown)]


def _sort_key(view: RunView) -> Callable[[Any], Any]:
    if view.sort in ("valid", "test"):
        return lambda row: getattr(row, view.sort).get(view.metric)
    return SORT_KEYS.get(view.sort, SORT_KEYS["created"])


def by_configuration(rows: Iterable[RunRow]) -> dict[str, list[RunRow]]:
    """Runs by their configuration, the newest first."""
    by_config = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id, reverse=True):
        by_config[row.config_hash].append(row)
    return by_config


def group(config: str, runs: Sequence[RunRow], metric: str, whole: Sequence[RunRow] = ()) -> RunGroup:
    """Fold runs of one configuration, newest first; `whole` is all of it where these runs are a part."""
    measures: dict[str, Callable[[RunRow], float | None]] = {
        "valid": lambda run: run.valid.get(metric),
        "test": lambda run: run.test.get(metric),
        "train_ce": lambda run: run.train_ce,
    }
    alike = [run for run in whole if run.removed == runs[0].removed]  # what is in the trash is a list of its own
    own, every = fold(runs, measures), fold(alike or runs, {})
    seeds = len({run.seed for run in every.runs})
    return RunGroup(config, metric, own, seeds, is_cut=len(own.counted) < len(every.counted))


def _group_key(own: RunGroup, sort: str, key: Callable[[Any], Any]) -> Any:
    spreads: Mapping[str, Spread | None] = own.fold.spreads
    if sort in spreads:
        value = spreads[sort]
        return None if value is None else value.mean
    return len(own.runs) if sort == "seed" else key(own.first)


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


def value_of(row: TableRow, name: str, metric: str = METRICS[0]) -> float | None:
    """Train_ce of a run, or a metric, valid or test; of a group the mean of what it was folded by."""
    if isinstance(row, RunGroup):
        own = row.fold.spreads[name]
        return None if own is None else own.mean
    return row.train_ce if name == "train_ce" else getattr(row, name).get(metric)


def difference_of(row: TableRow, base: TableRow, name: str, metric: str = METRICS[0]) -> float | None:
    """The row minus the baseline, over the seeds that both have; None where they share none."""
    return mean_difference(values_by_seed(row, name, metric), values_by_seed(base, name, metric))


def values_by_seed(row: TableRow, name: str, metric: str) -> dict[int, float]:
    """What `value_of` gives for each run that counts, by its seed, where it was measured."""
    runs = row.fold.counted if isinstance(row, RunGroup) else (row,)
    return {run.seed: value for run in runs if (value := value_of(run, name, metric)) is not None}


def missing_seeds(rows: Iterable[RunRow], config_hash: str, n: int) -> list[int]:
    """Seeds below n that the configuration has no run of, but for failed and cancelled ones."""
    unusable = (RunStatus.FAILED, RunStatus.CANCELLED)
    present = {row.seed for row in rows if row.config_hash == config_hash and row.status not in unusable}
    return sorted(set(range(n)) - present)


def names(rows: Sequence[RunRow], *, seeds: bool = True) -> list[str]:
    """What tells these runs apart, as short as possible; without `seeds` they stand for their configurations."""
    parts = [
        [row.arm.removeprefix("tf-llmer/"), row.backbone, row.dataset, f"seed {row.seed}" if seeds else "", ""]
        for row in rows
    ]
    changes = [
        {setting(k.rpartition(".")[2], v) for k, v in row.overrides.items() if not k.startswith(_UNNAMED)}
        for row in rows
    ]
    shared = set.intersection(*changes) if changes else set()
    for part, own in zip(parts, changes, strict=True):
        part[4] = " ".join(sorted(own - shared))
    differ = [i for i in range(5) if len({part[i] for part in parts}) > 1] or [0]
    return [printable(" ".join(part[i] for i in differ if part[i])) for part in parts]
