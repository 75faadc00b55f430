"""Words, numbers and marks as every page writes them.

Text that comes from data (names, reasons) goes through `plain`: it is never read as markup, and
control characters in it do not reach the terminal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from rich.text import Text

from engine.views.words import printable
from tfllmer_tui.view.chart import COLORS, FloatArray

STATUS = {
    "queued": ("·", "bright_black"),
    "running": ("●", COLORS[0]),
    "stopping": ("◌", COLORS[0]),
    "finished": ("✓", COLORS[2]),
    "failed": ("✗", COLORS[4]),
    "cancelled": ("■", COLORS[1]),
    "lost": ("?", COLORS[3]),
}
"""Mark and colour of each status, and of a running one that was asked to stop; the marks differ, so that
the colour is not needed."""

_BARS = "▁▂▃▄▅▆▇█"


def plain(text: object, style: str = "") -> Text:
    """Text from data as it is: no markup, on one line, control and direction characters shown as �."""
    return Text(printable(str(text)), style=style)


def status_text(status: str, *, word: bool = True) -> Text:
    """`✓ finished`, or the mark alone."""
    mark, color = STATUS.get(status, ("?", ""))
    return plain(f"{mark} {status}" if word else mark, color)


def epoch_text(done: float, epochs: int) -> str:
    """`epoch 3/40`; `no epochs` where none are asked for, as of a model that is fitted in one go."""
    return f"epoch {math.floor(done)}/{epochs}" if epochs else "no epochs"


def sparkline(values: Sequence[float] | FloatArray, width: int) -> str:
    """The values' shape in at most `width` characters: the mean of each stretch, lowest to highest;
    a stretch without a finite value is a space."""
    y = np.asarray(values, dtype=np.float64)
    if width < 1 or not len(y):
        return ""
    y = np.where(np.abs(y) <= 1e300, y, np.nan)
    means = np.array([part[np.isfinite(part)].mean() if np.isfinite(part).any() else np.nan for part in _cut(y, width)])
    good = np.isfinite(means)
    if not good.any():
        return " " * len(means)
    lo, hi = means[good].min(), means[good].max()
    scaled = (means - lo) / (hi - lo) if hi > lo else np.where(good, 0.5, np.nan)
    return "".join(
        _BARS[min(int(share * len(_BARS)), len(_BARS) - 1)] if math.isfinite(share) else " "
        for share in scaled.tolist()
    )


def _cut(y: FloatArray, pieces: int) -> list[FloatArray]:
    return np.array_split(y, min(pieces, len(y)))


def duration(seconds: float | None) -> str:
    """`42 s`, `3:05`, `1:02:09`; a dash where it is not known."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return "–"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, seconds_left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds_left:02}" if hours else f"{minutes}:{seconds_left:02}"


def number(value: float | None, digits: int = 4) -> str:
    """A number with a fixed count of decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def count(value: float | None) -> str:
    """A whole number with its thousands apart: `41,200`."""
    return "–" if value is None or not math.isfinite(value) else f"{value:,.0f}"


def short_ids(ids: Sequence[str], shortest: int = 8) -> list[str]:
    """The ids cut to the fewest characters (at least `shortest`) that tell all of them apart."""
    length = shortest
    while len({i[:length] for i in ids}) < len(set(ids)):
        length += 1
    return [i[:length] for i in ids]
