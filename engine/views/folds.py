"""Seeds of one configuration folded: mean and spread of the newest finished run of each specification."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from engine.records import RunStatus


class Foldable(Protocol):
    """What is folded: a run in a list. Ids sort by time."""

    @property
    def id(self) -> str: ...
    @property
    def config_hash(self) -> str: ...
    @property
    def spec_hash(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def seed(self) -> int: ...


R = TypeVar("R", bound=Foldable)


@dataclass(frozen=True)
class Spread:
    """A number over seeds: mean, sample standard deviation (None for one seed), and how many had it."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Fold(Generic[R]):
    """The runs of one configuration, in the order of the list, and those that are counted, by seed: finished ones,
    the newest of each specification, so that a repeated run shrinks no spread. `spreads` is of measured numbers over
    the counted runs, None where none has one."""

    runs: tuple[R, ...]
    counted: tuple[R, ...]
    spreads: Mapping[str, Spread | None]

    @property
    def first(self) -> R:
        """Its first run in the list."""
        return self.runs[0]

    @property
    def statuses(self) -> dict[str, int]:
        """How many of its runs have each status."""
        return dict(sorted(Counter(str(run.status) for run in self.runs).items()))


def fold_seeds(runs: Iterable[R], measures: Mapping[str, Callable[[R], float | None]]) -> list[Fold[R]]:
    """One fold per configuration, in the order in which they appear."""
    by_config: dict[str, list[R]] = defaultdict(list)
    for run in runs:
        by_config[run.config_hash].append(run)
    return [fold(members, measures) for members in by_config.values()]


def fold(runs: Sequence[R], measures: Mapping[str, Callable[[R], float | None]]) -> Fold[R]:
    """The runs of one configuration."""
    finished = sorted((run for run in runs if run.status == RunStatus.FINISHED), key=lambda run: run.id)
    newest = {run.spec_hash: run for run in finished}
    counted = tuple(sorted(newest.values(), key=lambda run: (run.seed, run.id)))
    return Fold(tuple(runs), counted, {name: spread(map(measure, counted)) for name, measure in measures.items()})


def spread(values: Iterable[float | None]) -> Spread | None:
    """Of the values that are there and finite."""
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    if not numbers:
        return None
    return Spread(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None, len(numbers))
