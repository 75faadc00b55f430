"""What a stored JSON value is, if it is that: readers that give None, or nothing, where it is something else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_MOST = 1 << 63


def number(value: object) -> float | None:
    """A finite number as a float; None for anything else, also for true and false."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    return float(value) if type(value) is int and -_MOST <= value < _MOST else None


def whole(value: object) -> int | None:
    """A whole number, also where it was written as 3.0."""
    if type(value) is int:
        return value if -_MOST <= value < _MOST else None
    return int(value) if type(value) is float and value.is_integer() and abs(value) < _MOST else None


def text(value: object) -> str | None:
    """A string."""
    return value if isinstance(value, str) else None


def flag(value: object) -> bool | None:
    """True or false."""
    return value if isinstance(value, bool) else None


def mapping(value: object) -> Mapping[str, Any]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """An array; an empty one for anything else."""
    return value if isinstance(value, list | tuple) else ()


def all_finite(values: Sequence[Any]) -> bool:
    """Whether all are floats and finite: quick, for lists of thousands of runs."""
    return set(map(type, values)) <= {float} and math.isfinite(sum(values))


def wholes(value: object) -> tuple[int, ...] | None:
    """An array of whole numbers; None where a member is none, or it is no array."""
    values = sequence(value)
    if set(map(type, values)) == {int} and max(values) < _MOST and min(values) >= -_MOST:
        return tuple(values)
    return None


def numbers(value: object) -> dict[str, float]:
    """The members of an object that are finite numbers."""
    return {name: known for name, each in mapping(value).items() if (known := number(each)) is not None}


def texts(value: object) -> tuple[str, ...]:
    """The members of an array that are strings."""
    return tuple(each for each in sequence(value) if isinstance(each, str))
