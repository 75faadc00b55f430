"""Times from decimal text to int64, exactly; no float is involved."""

from __future__ import annotations

import numpy as np
import polars as pl

from engine.data.arrays import IntArray

_DECIMAL = r"^\s*([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?\s*$"
_ISO = (
    r"(?i)^\s*(\d{4}[-/]\d{1,2}[-/]\d{1,2})"
    r"(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([+-]\d{2}))?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?\s*$"
)
_ZONE = r"(?i)(?:Z|UTC|GMT|:\d{2}(?:[.,]\d+)?\s*[+-]\d{2}(?::?\d{2})?)\s*$"
_MAX_DIGITS = 18
_MAX = 2**63 - 1024
CLOCK = 10**8
"""Seconds of 1973: times of any unit that are not below may be clock times."""
_MOST = 0.5
"""The share of clock times that makes a field one of clock times."""
_MAX_SECONDS = 9_000_000_000
"""Beyond it nanoseconds leave int64."""


def parse_times(text: pl.Series) -> IntArray | int:
    """Decimal numbers ('874965478', '8.74e8', '1700000000.25') or ISO dates as int64, in their order.

    Whole numbers keep their unit. Where some are fractional, all are multiplied by the smallest
    power of ten that makes every one of them whole, so that order and ties are exactly those of the
    text. Returns the index of the first text that is neither or leaves int64."""
    whole = text.cast(pl.Int64, strict=False)
    if not whole.null_count():
        return whole.to_numpy()
    scaled = _scaled(text)
    if not isinstance(scaled, int):
        return scaled
    dates = _dates(text)
    return max(scaled, dates) if isinstance(dates, int) else dates


def mixed_kinds(text: pl.Series) -> tuple[int, int] | None:
    """The places of two times whose order depends on how one reads them; None where there are none. Of numbers: the
    lowest and the highest of clock times that cannot be in one unit, as seconds and milliseconds are, or a 0 or -1
    among clock times, which stands for a missing one. Of dates: one with and one without a time of day, or a zone."""
    numbers = text.cast(pl.Float64, strict=False)
    if not len(numbers):
        return None
    if numbers.null_count():
        has_part = text.to_frame("text").select(
            clock=pl.col("text").str.contains(":", literal=True), zone=pl.col("text").str.contains(_ZONE)
        )
        for part in has_part.iter_columns():
            if part.n_unique() > 1:
                return int((part != part[0]).arg_true()[0]), 0
        return None
    low, high = numbers.arg_min(), numbers.arg_max()
    if low is None or high is None:
        return None
    are_units = numbers[low] > CLOCK and numbers[high] > 100 * numbers[low]
    is_missing = numbers[low] in (0, -1) and int((numbers > CLOCK).sum()) > _MOST * len(numbers)
    return (low, high) if are_units or is_missing else None


def _dates(text: pl.Series) -> IntArray | int:
    """ISO dates and times as seconds since 1970 in UTC, or nanoseconds where some have fractions of a second."""
    names = ("date", "hour", "minute", "second", "fraction", "zone_hours", "zone")
    parts = text.to_frame("text").select(
        pl.col("text").str.extract(_ISO, n + 1).alias(name) for n, name in enumerate(names)
    )
    zone = pl.coalesce(pl.col("zone").str.replace(":", "", literal=True), pl.col("zone_hours") + "00")
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    offset = sign * (zone.str.slice(1, 2).cast(pl.Int64, strict=False) * 3600
                     + zone.str.slice(3, 2).cast(pl.Int64, strict=False) * 60)  # fmt: skip
    number = {name: pl.col(name).cast(pl.Int64, strict=False).fill_null(0) for name in names[1:4]}
    date = pl.col("date").str.replace_all("/", "-", literal=True)
    columns = parts.select(
        days=date.str.to_date("%Y-%m-%d", strict=False).cast(pl.Int64),
        seconds=number["hour"] * 3600 + number["minute"] * 60 + number["second"] - offset.fill_null(0),
        nano=pl.col("fraction").fill_null("").str.pad_end(9, "0").cast(pl.Int64),
        wrong=(number["hour"] > 23) | (number["minute"] > 59) | (number["second"] > 60),
    )
    bad = (columns["days"].is_null() | columns["wrong"]).arg_true()
    if len(bad):
        return int(bad[0])
    seconds: IntArray = (columns["days"] * 86400 + columns["seconds"]).to_numpy()
    nano: IntArray = columns["nano"].to_numpy()
    if not nano.any():
        return seconds
    too_far = np.flatnonzero(np.abs(seconds) > _MAX_SECONDS)
    return int(too_far[0]) if len(too_far) else seconds * 10**9 + nano


def _scaled(text: pl.Series) -> IntArray | int:
    # value = sign * digits * 10^power, with digits free of trailing zeros
    parts = (
        text.to_frame("text")
        .select(
            sign=pl.col("text").str.extract(_DECIMAL, 1),
            whole=pl.col("text").str.extract(_DECIMAL, 2),
            fraction=pl.col("text").str.extract(_DECIMAL, 3).fill_null(""),
            exponent=pl.col("text").str.extract(_DECIMAL, 4).fill_null("0").cast(pl.Int64, strict=False),
        )
        .with_columns(all=pl.col("whole") + pl.col("fraction"))
        .with_columns(digits=pl.col("all").str.strip_chars_end("0"))
        .select(
            "sign",
            empty=(pl.col("all") == "").fill_null(True),
            digits=pl.col("digits").replace("", "0").cast(pl.Int64, strict=False),
            size=pl.col("digits").str.strip_chars_start("0").str.len_bytes().cast(pl.Int64),
            power=pl.col("exponent")
            - pl.col("fraction").str.len_bytes().cast(pl.Int64)
            + (pl.col("all").str.len_bytes() - pl.col("digits").str.len_bytes()).cast(pl.Int64),
        )
    )
    bad = (parts["empty"] | parts["digits"].is_null() | parts["power"].is_null()).arg_true()
    if len(bad):
        return int(bad[0])
    digits = parts["digits"].to_numpy()
    power = np.where(digits == 0, 0, parts["power"].to_numpy())
    power = power - min(0, int(power.min(initial=0)))
    size = digits.astype(np.float64) * 10.0 ** np.minimum(power, _MAX_DIGITS)
    long = np.flatnonzero((power > _MAX_DIGITS) | (size > _MAX))
    if len(long):
        return int(long[0])
    scaled: IntArray = digits * 10**power
    return np.where((parts["sign"] == "-").to_numpy(), -scaled, scaled)
