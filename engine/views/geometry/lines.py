"""The table of geometry: every quantity that any column has, and which differences matter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from engine.views.geometry.quantities import SECTIONS, Change
from engine.views.geometry.reading import GeometrySubject

FACTOR, STEP = 1.25, 0.05
"""What counts as a difference that matters: a quarter more, or a twentieth of a scale from 0 to 1."""


@dataclass(frozen=True)
class GeometryLine:
    """A line of the table. A heading has no values; a note has `reads` alone."""

    id: str
    name: str
    values: tuple[float | str | None, ...] = ()
    change: Change = "factor"
    reads: str = ""

    @property
    def base(self) -> int:
        """Place of the column that the others are compared with: the first that has a value."""
        return next((place for place, value in enumerate(self.values) if value is not None), 0)

    @property
    def matters(self) -> bool:
        """Whether any column differs from the first by as much as counts."""
        base = self.values[self.base] if self.values else None
        return any(value is not None and differs(value, base, self.change) for value in self.values)


def lines(subjects: Sequence[GeometrySubject], *, only_differences: bool = False) -> tuple[GeometryLine, ...]:
    """Every quantity that any subject has, section by section; what no subject has is a note of how to get it."""
    geometry_lines: list[GeometryLine] = []
    recorded = any("norms.mean" in subject.measured.numbers for subject in subjects)
    for section in SECTIONS:
        if section.of_table and not recorded:
            continue
        own = []
        for line in section.lines:
            values = tuple(subject.measured.numbers.get(line.path) for subject in subjects)
            if any(value is not None for value in values):
                own.append(GeometryLine(f"{section.title} {line.name}", line.name, values, line.change, line.reads))
        if not own and not section.lacking:
            continue
        if only_differences and own:
            own = [line for line in own if line.matters]
            if not own:
                continue
        geometry_lines.append(GeometryLine(section.title, section.title))
        geometry_lines += own or [GeometryLine(f"{section.title} none", "–", reads=section.lacking)]
    return tuple(geometry_lines)


def differs(value: float | str | None, first: float | str | None, change: Change) -> bool:
    """Whether the difference is one that matters."""
    if not _comparable(value) or not _comparable(first):
        return value != first
    if change != "difference" and value > 0 and first > 0:
        return max(value / first, first / value) >= FACTOR
    return abs(value - first) >= STEP


def difference(value: float | str | None, first: float | str | None, change: Change) -> str:
    """`×0.31` or `+0.052`; nothing where there is no number to compare."""
    if not _comparable(value) or not _comparable(first):
        return ""
    if change != "difference" and value > 0 and first > 0:
        ratio = value / first
        text = f"{ratio:.2g}" if 0.01 <= ratio < 99.5 else f"{ratio:.0e}".replace("e+0", "e").replace("e-0", "e-")
        return "=" if text == "1" else f"×{text}"
    text = f"{value - first:+.3f}" if abs(value - first) < 100 else f"{value - first:+.0f}"
    return "=" if float(text) == 0 else text


def _comparable(value: float | str | None) -> TypeGuard[float]:
    return isinstance(value, float) and math.isfinite(value)
