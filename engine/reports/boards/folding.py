"""Seeds of one configuration folded into one row: mean and spread of the newest finished run per specification."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Spread:
    """A number over seeds: mean, sample standard deviation (None for one seed), and how many had it."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Fold:
    """One configuration."""

    first: Row
    """Its first run in the list."""
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    """The runs that are counted, one per specification, in the order of `seeds`."""
    statuses: Mapping[str, int]
    """All its runs in the list, by status."""
    values: Mapping[str, Any]
    """Per measured name a Spread over the counted runs, per setting what they agree on; None where there is neither."""


def fold_seeds(rows: Sequence[Row], measured: Sequence[str], settings: Sequence[str] = ()) -> list[Fold]:
    """One fold per configuration, in the order in which they appear.

    A row has run, config_hash, spec_hash, status and seed, and the values of `measured` and `settings`. Only
    finished runs are counted, the newest (run ids sort by time) of each specification, so that a repeated run
    shrinks no spread.
    """
    by_config: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_config[row["config_hash"]].append(row)
    return [_fold(members, measured, settings) for members in by_config.values()]


def _fold(members: Sequence[Row], measured: Sequence[str], settings: Sequence[str]) -> Fold:
    finished = sorted((row for row in members if row["status"] == "finished"), key=lambda row: str(row["run"]))
    newest = {row["spec_hash"]: row for row in finished}
    counted = sorted(newest.values(), key=lambda row: (row["seed"], row["run"]))
    return Fold(
        first=members[0],
        seeds=tuple(row["seed"] for row in counted),
        runs=tuple(row["run"] for row in counted),
        statuses=dict(sorted(Counter(row["status"] for row in members).items())),
        values={name: _spread([row[name] for row in counted]) for name in measured}
        | {name: _agreed([row[name] for row in counted]) for name in settings},
    )


def _spread(values: Sequence[float | None]) -> Spread | None:
    numbers = [value for value in values if value is not None]
    if not numbers:
        return None
    return Spread(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None, len(numbers))


def _agreed(values: Sequence[Any]) -> Any:
    return values[0] if values and all(value == values[0] for value in values) else None
