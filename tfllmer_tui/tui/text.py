"""Numbers and words as the screens write them."""

from __future__ import annotations

import math
import re

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from engine.errors import UserError
from engine.metrics import parse_metric
from engine.views.words import printable

TITLES = {
    "valid_ce": "valid CE",
    "loss": "batch loss",
    "targets_per_s": "targets/s",
    "device.load": "device load",
    "device.memory_gib": "memory, GiB",
    "epoch": "epoch",
    "curvature.kappa_effective": "κ of the mean H",
    "curvature.kappa_sample": "median κ of single prefixes",
}


_METHOD = re.compile(r"(?<![\w./-])[\w-]+/(?=[\w-])")


def without_method(arm: str) -> str:
    """`…/no-norm` for `tf-llmer/no-norm`, where there is no room for the method."""
    return _METHOD.sub("…/", arm)


def metric_title(name: str) -> str:
    """The name of a series as people write it: `valid NDCG@10` for `valid.ndcg@10`."""
    if name in TITLES:
        return TITLES[name]
    try:
        return parse_metric(name).short
    except UserError:  # a series that is no metric
        return printable(name)


def span(seconds: float | None) -> str:
    """A length of time in at most six characters: `42s`, `3m05`, `1h02`, `3d04`."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return "–"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02}"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02}"


def difference(value: float, base: float, digits: int = 4) -> str:
    """With its sign."""
    return f"{value - base:+.{digits}f}"


class PrintableLines(LineFilter):
    """Every line of every widget on its way to the terminal: what would steer it is shown as �, and left out where the
    layout has counted no cell for it. Names are cleaned before that, where they are laid out; this is for the rest."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if all(segment.control or segment.text.isprintable() for segment in segments):
            return segments
        return [Segment(_of_cells(text) if not control else text, style, control) for text, style, control in segments]


def _of_cells(text: str) -> str:
    return "".join(c if (shown := printable(c)) == c else shown * cell_len(c) for c in text)
