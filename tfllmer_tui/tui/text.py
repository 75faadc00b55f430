"""Numbers and words as the screens write them."""

from __future__ import annotations

import math
import re
from functools import lru_cache

from tfllmer_tui.view.text import plain

TITLES = {
    "train_ce": "train CE",
    "valid_ce": "valid CE",
    "loss": "batch loss",
    "targets_per_s": "targets/s",
    "device.load": "device load",
    "device.memory_gib": "memory, GiB",
    "epoch": "epoch",
    "curvature.kappa_effective": "κ of the mean H",
    "curvature.kappa_sample": "median κ of single prefixes",
}


@lru_cache(4096)
def clean(text: str) -> str:
    """Text from data without what would steer the terminal."""
    return text if text.isprintable() else plain(text).plain


def metric_title(name: str) -> str:
    """`valid.ndcg@10` as people write it: `valid NDCG@10`."""
    if name in TITLES:
        return TITLES[name]
    split, dot, rest = name.partition(".")
    if not dot:
        return clean(name)
    known = re.fullmatch(r"(ndcg|hr)@\d+|mrr", rest)
    return f"{split} {rest.upper() if known else clean(rest)}"


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


def number(value: float | None, digits: int = 4) -> str:
    """Four decimals as the CLI has them; a dash where there is none, the word where it is not finite."""
    if value is None:
        return "–"
    return f"{value:.{digits}f}" if math.isfinite(value) else str(value)


def difference(value: float, base: float, digits: int = 4) -> str:
    """With its sign."""
    return f"{value - base:+.{digits}f}"
