"""Times from decimal text to int64, exactly; no float is involved."""

from __future__ import annotations

import numpy as np
import polars as pl

from engine.data.arrays import IntArray

_DECIMAL = r"^\s*([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?\s*$"
_MAX_DIGITS = 18


def parse_times(text: pl.Series) -> IntArray | int:
    """Decimal numbers ('874965478', '8.74e8', '1700000000.25') as int64, in their order.

    Whole numbers keep their unit. Where some are fractional, all are multiplied by the smallest
    power of ten that makes every one of them whole, so that order and ties are exactly those of the
    text. Returns the index of the first text that is no such number or needs more than 18 digits."""
    whole = text.cast(pl.Int64, strict=False)
    if not whole.null_count():
        return whole.to_numpy()
    return _scaled(text)


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
    long = np.flatnonzero((digits != 0) & (parts["size"].to_numpy() + power > _MAX_DIGITS))
    if len(long):
        return int(long[0])
    scaled: IntArray = digits * 10**power
    return np.where((parts["sign"] == "-").to_numpy(), -scaled, scaled)
