"""Lists of runs with chosen columns, configurations folded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.store import Store, list_values
from engine.store.core.documents import document
from engine.store.queries.filter_fields import Field
from engine.store.queries.filters import field_named
from engine.views.folds import Fold, fold_seeds
from engine.views.selection import finished_seeds


@dataclass(frozen=True)
class ListedRun:
    """A run of a list with the fields that were asked for, by name."""

    id: str
    config_hash: str
    spec_hash: str
    status: str
    seed: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class ListedFold:
    """A configuration in a list: who it is (`about`), and per column a Spread where the column is measured, else what
    the counted runs agree on; None where there is neither."""

    about: Mapping[str, Any]
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    """The runs that are counted, in the order of `seeds`."""
    statuses: Mapping[str, int]
    values: Mapping[str, Any]
    of_seeds: int = 0
    """Finished seeds of the configuration that there are, with those that a filter leaves out."""

    @property
    def is_part(self) -> bool:
        return len(set(self.seeds)) < self.of_seeds


_KEYS = ("config_hash", "spec_hash", "status", "seed")
_ABOUT = ("method", "ablation", "arm", "dataset", "backbone", "embedding", "overrides")


def folded_runs(store: Store, columns: Sequence[Field], sort: str = "", **asked: Any) -> list[ListedFold]:
    """The runs that `list_values` gives for `asked`, folded; in the order of the means where the first key of `sort`
    is measured (- for descending), else as the runs are. Raises UserError for an unknown field."""
    key = sort.split(",", maxsplit=1)[0].strip()
    by = [field_named(key.removeprefix("-"), "--sort")] if key else []
    read = {field.name: field for field in (*(field_named(n, "--columns") for n in (*_KEYS, *_ABOUT)), *columns, *by)}
    listed = [
        _listed(run, dict(zip(read, values, strict=True)))
        for run, *values in list_values(store, list(read.values()), **asked)
    ]
    measured = {field.name for field in (*columns, *by) if field.measured}
    folds = fold_seeds(listed, {name: _value_of(name) for name in measured})
    if by and by[0].measured:
        name, sign = by[0].name, -1 if key.startswith("-") else 1
        folds.sort(key=lambda fold: math.inf if (own := fold.spreads[name]) is None else sign * own.mean)
    seeds = finished_seeds(store, trashed=bool(asked.get("trashed")))
    names = [field.name for field in columns]
    return [_columns(each, names, measured, seeds.get(each.first.config_hash, 0)) for each in folds]


def _listed(run: str, values: Mapping[str, Any]) -> ListedRun:
    return ListedRun(run, values["config_hash"], values["spec_hash"], values["status"], values["seed"], values)


def _value_of(name: str) -> Callable[[ListedRun], float | None]:
    def value(run: ListedRun) -> float | None:
        number: float | None = run.values[name]
        return number

    return value


def _columns(own: Fold[ListedRun], names: Sequence[str], measured: set[str], of_seeds: int) -> ListedFold:
    first = own.first
    about = {"config_hash": first.config_hash} | {name: first.values[name] for name in _ABOUT}
    return ListedFold(
        about=about | {"overrides": document(about["overrides"])},
        seeds=tuple(run.seed for run in own.counted),
        runs=tuple(run.id for run in own.counted),
        statuses=own.statuses,
        values={
            name: own.spreads[name] if name in measured else _agreed([run.values[name] for run in own.counted])
            for name in names
        },
        of_seeds=of_seeds,
    )


def _agreed(values: Sequence[Any]) -> Any:
    return values[0] if values and all(value == values[0] for value in values) else None
