"""Metrics per user from the ranks that a run keeps, at any cut-off, for all items or for groups of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.errors import UserError

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int32]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

HEAD_SHARE = 0.2
NO_TARGET = -1


def load_ranks(file: Path) -> dict[str, IntArray]:
    """Ranks (1 = best, -1 = no target) `valid` and `test`, int32 [users]. Raises UserError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found: Mapping[str, Any] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file}: no ranks can be read: {error}; run the experiment again") from None
    return {name: np.asarray(ranks, dtype=np.int32) for name, ranks in found.items()}


def per_user(ranks: IntArray, measure: str) -> FloatArray:
    """The measure for every user, float64 [users], nan for users without a target.

    One relevant item: hr@k = [r <= k], ndcg@k = [r <= k] / log2(r + 1), mrr = 1 / r. Any k >= 1.
    """
    r = np.where(ranks == NO_TARGET, np.nan, ranks.astype(np.float64))
    if measure == "mrr":
        return 1.0 / r
    found = re.fullmatch(r"(hr|ndcg)@([1-9]\d*)", measure)
    if found is None:
        raise ValueError(f"no measure {measure!r}")
    gain = np.ones_like(r) if found[1] == "hr" else 1.0 / np.log2(r + 1.0)
    return np.where(np.isnan(r), np.nan, np.where(r <= int(found[2]), gain, 0.0))


def user_groups(split_parquet: Path, items_parquet: Path, split: str) -> dict[str, BoolArray]:
    """Users with a target, parted in two ways. bool [users] each; users without a target are in no group.

    head, tail   by the popularity of the target: among the most popular fifth of the items (interactions in training;
                 ties by item id), or not
    short, long  by the user's interactions before the test target: at most the median of those with a target, or more

    Raises UserError where a file cannot be read.
    """
    import polars as pl

    try:
        users = pl.read_parquet(split_parquet, columns=[f"{split}_item_id", "history"])
        items = pl.read_parquet(items_parquet, columns=["item_id", "popularity"])
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{split_parquet}: no split can be read: {str(error).splitlines()[0]}") from None
    targets = users.to_series(0)
    by_popularity = items.sort("popularity", "item_id", descending=[True, False])["item_id"]
    top = by_popularity.head(max(1, round(HEAD_SHARE * len(by_popularity))))
    has_target = targets.is_not_null().to_numpy()
    head = targets.is_in(top.implode()).fill_null(False).to_numpy()
    lengths = users["history"].to_numpy()
    short = lengths <= (np.median(lengths[has_target]) if has_target.any() else 0)
    parts = {"head": head, "tail": ~head, "short": short, "long": ~short}
    return {name: part & has_target for name, part in parts.items()}
