"""What a drawing is made of: curves, lines and marks as they are given, the grid of characters they become."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len

from tfllmer_tui.view.chart.reduce import FloatArray

BLANK, AXIS, LABEL, REFERENCE, SERIES = 0, 1, 2, 3, 4
"""Inks: what a character belongs to. SERIES + i is series i."""


@dataclass(frozen=True)
class ChartSeries:
    """A named curve: x and y [n] of equal length; y that is not finite leaves a gap.

    high:  with it the area between y and high is shown, as a loose pattern (a spread over seeds)
    faint: drawn below all others (the raw curve behind a smoothed one)
    dash:  0 solid, 1 dashed, 2 dotted, 3 dash-dot; by its place among the series when left out
    """

    name: str
    x: FloatArray
    y: FloatArray
    high: FloatArray | None = None
    faint: bool = False
    dash: int | None = None

    @property
    def in_legend(self) -> bool:
        return bool(self.name) and not self.faint and self.high is None


@dataclass(frozen=True)
class ReferenceLine:
    """A horizontal line to compare with. Where it is too far away to show beside the curves, an arrow
    at the edge says where it is."""

    name: str
    y: float


@dataclass(frozen=True)
class Mark:
    """Something that happened at x to series number `series`: a character on the lowest row."""

    x: float
    char: str
    series: int


@dataclass(frozen=True)
class Frame:
    """Where the curves are in a picture, and which numbers its edges stand for (log10 of them on a log axis)."""

    top: int
    left: int
    rows: int
    columns: int
    x: tuple[float, float]
    y: tuple[float, float]
    log_x: bool = False
    log_y: bool = False

    def x_at(self, column: float) -> float:
        """The x in the middle of a column of characters, counted from the picture's left edge."""
        lo, hi = self.x
        at = lo + (hi - lo) * (column - self.left + 0.5) / max(self.columns, 1)
        return 10.0**at if self.log_x else at

    def column_of(self, x: float) -> int | None:
        """The column of characters that holds x; None where it is out of sight."""
        lo, hi = self.x
        at = (math.log10(x) if x > 0 else math.nan) if self.log_x else x
        if not lo <= at <= hi:
            return None
        return self.left + min(int((at - lo) / (hi - lo) * self.columns), self.columns - 1)


@dataclass(frozen=True)
class Picture:
    """A grid of characters.

    chars: [height, width] one character each, "" behind a character that is two columns wide
    inks:  [height, width] what each belongs to: BLANK, AXIS, LABEL, REFERENCE or SERIES + i
    clipped: whether a curve is in part out of sight
    """

    chars: npt.NDArray[np.str_]
    inks: npt.NDArray[np.int64]
    frame: Frame
    clipped: bool = False

    def runs(self, row: int) -> list[tuple[str, int]]:
        """One row as pieces of text of one ink each."""
        inks = self.inks[row]
        starts = [0, *(np.flatnonzero(np.diff(inks)) + 1).tolist(), len(inks)]
        return [("".join(self.chars[row, a:b]), int(inks[a])) for a, b in pairwise(starts) if a < b]

    def __str__(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self.chars)


@dataclass
class Canvas:
    chars: npt.NDArray[np.str_]
    inks: npt.NDArray[np.int64]

    def write(self, row: int, column: int, text: str, ink: int) -> int:
        """Write from `column` on, cut at the right edge; returns the column behind it."""
        for char in text:
            wide = cell_len(char)
            if not char.isprintable() or wide == 0:
                char, wide = "?", 1  # noqa: PLW2901
            if column + wide > self.chars.shape[1]:
                break
            self.chars[row, column : column + wide] = [char, ""][:wide]
            self.inks[row, column : column + wide] = ink
            column += wide
        return column
