"""What is read from a curve that is measured once an epoch: how far it fell, and the area under it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise


def fall(curve: Mapping[int, float], epochs: int) -> float | None:
    """By how much the curve, by epoch, fell over its last `epochs` epochs; None where it is shorter, or was not
    measured that long before its end."""
    last = max(curve, default=0)
    before = curve.get(last - epochs)
    return None if before is None or last == 0 else before - curve[last]


def mean_level(points: Iterable[tuple[int, float]]) -> float | None:
    """The area under the curve from its first to its last epoch, by trapezoids, over the epochs between; None where
    there are none. `points`: (epoch, value), ascending."""
    curve = list(points)
    epochs = curve[-1][0] - curve[0][0] if curve else 0
    if epochs <= 0:
        return None
    return sum((b - a) * (u + v) / 2 for (a, u), (b, v) in pairwise(curve)) / epochs
