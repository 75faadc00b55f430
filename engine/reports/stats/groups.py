"""Groups of users, by the popularity of their target and by the length of their history."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from engine.bounds import read_parquet
from engine.metrics.formulas import HEAD_SHARE

BoolArray: TypeAlias = npt.NDArray[np.bool_]


def user_groups(split_parquet: Path, items_parquet: Path, split: str) -> dict[str, BoolArray]:
    """Users with a target, parted in two ways. bool [users] each; users without a target are in no group.

    head, tail   by the popularity of the target: among the most popular fifth of the items (interactions in training;
                 ties by item id), or not
    short, long  by the user's interactions before the test target: at most the median of those with a target, or more

    Raises UserError where a file cannot be read.
    """
    words = f"{split_parquet}: no split can be read"
    users = read_parquet(split_parquet, words, [f"{split}_item_id", "history"])
    items = read_parquet(items_parquet, words, ["item_id", "popularity"])
    targets = users.to_series(0)
    by_popularity = items.sort("popularity", "item_id", descending=[True, False])["item_id"]
    top = by_popularity.head(max(1, round(HEAD_SHARE * len(by_popularity))))
    has_target = targets.is_not_null().to_numpy()
    head = targets.is_in(top.implode()).fill_null(False).to_numpy()
    lengths = users["history"].to_numpy()
    short = lengths <= (np.median(lengths[has_target]) if has_target.any() else 0)
    parts = {"head": head, "tail": ~head, "short": short, "long": ~short}
    return {name: part & has_target for name, part in parts.items()}
