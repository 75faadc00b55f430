"""Where the marks of an axis are, and what is written beside them."""

from __future__ import annotations

import math

import numpy as np

from tfllmer_tui.view.chart.reduce import FloatArray


def nice_ticks(lo: float, hi: float, most: int) -> tuple[FloatArray, float]:
    """Multiples of 1, 2 or 5 times a power of ten within [lo, hi], at most `most` of them (but try for
    one), and their distance."""
    span = (hi - lo) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(span))
    for factor in (1, 2, 5, 10, 20, 50):
        step = factor * power
        first, last = math.ceil(lo / step - 1e-9), math.floor(hi / step + 1e-9)
        if last - first + 1 <= max(most, 1):
            break
    return np.arange(first, last + 1, dtype=np.float64) * step, step


def tick_labels(ticks: FloatArray, step: float) -> list[str]:
    """Short labels that tell neighbouring ticks apart: 5.4, 20k, 1.5e+09."""
    largest = float(np.max(np.abs(ticks), initial=0))
    if largest >= 1e6 or (0 < largest < 1e-3):
        digits = max(0, math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9))
        return [
            f"{tick:.{min(digits, 9)}e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e") for tick in ticks
        ]
    if largest >= 1e4 and step >= 100:
        decimals = 0 if step >= 1000 else 1
        return [f"{tick / 1000:.{decimals}f}k" if tick else "0" for tick in ticks]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{tick + 0.0:.{decimals}f}" for tick in ticks]


def log_ticks(lo: float, hi: float, most: int) -> tuple[FloatArray, list[str]]:
    """Positions (log10) and labels: powers of ten, or round numbers where the range holds less than two."""
    powers = np.arange(math.ceil(lo - 1e-9), math.floor(hi + 1e-9) + 1)
    if len(powers) >= 2:
        powers = powers[:: -(-len(powers) // max(most, 1))]
        return powers.astype(np.float64), [f"{10.0**p:g}" if -4 <= p <= 5 else f"1e{p}" for p in powers.tolist()]
    ticks, step = nice_ticks(10**lo, 10**hi, most)
    ticks = ticks[ticks > 0]
    return np.log10(ticks), tick_labels(ticks, step)
