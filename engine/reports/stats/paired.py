"""The difference of two arms: between runs of equal seeds, and of no others (docs/statistics.md, "A difference")."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol, Self, TypeVar


class _Subtractable(Protocol):
    def __sub__(self, other: Self, /) -> Self: ...


_T = TypeVar("_T", bound=_Subtractable)


def shared_seeds(mine: Iterable[int], its: Iterable[int]) -> list[int]:
    """The seeds that both were trained with, rising."""
    return sorted(set(mine) & set(its))


def paired_differences(mine: Mapping[int, _T], its: Mapping[int, _T]) -> list[_T]:
    """Mine minus its, by seed: one number (or one per user) for each seed that both have, seeds rising."""
    return [mine[seed] - its[seed] for seed in shared_seeds(mine, its)]


def mean_difference(mine: Mapping[int, float], its: Mapping[int, float]) -> float | None:
    """The mean over the seeds that both have; None where they share none, or a difference is not a number."""
    differences = paired_differences(mine, its)
    mean = math.fsum(differences) / len(differences) if all(map(math.isfinite, differences)) and differences else None
    return mean
