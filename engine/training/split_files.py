"""The tables of users and items that ranks are read with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine import spec
from engine.data import Dataset, Split
from engine.files import make_folder, replacing


def write_split(folder: Path, experiment: spec.Experiment, dataset: Dataset, split: Split) -> dict[str, Path]:
    """Users with their held-out items and items with their popularity, once per prepared data set."""
    import polars as pl  # starts threads, so it is not imported before a fork

    key = spec.data_hash(experiment.data)
    users, items = folder / f"{key}.parquet", folder / f"{key}.items.parquet"
    if not (users.exists() and items.exists()):
        make_folder(folder)
        ids = np.array([*dataset.item_ids, None], dtype=object)  # index -1 is None
        history = np.diff(split.test_history.offsets)
        popularity = np.bincount(split.train.items, minlength=len(dataset.item_ids))
        _write_parquet(
            pl.DataFrame(
                {
                    "user_id": dataset.user_ids,
                    "valid_item_id": pl.Series(ids[split.valid].tolist(), dtype=pl.String),
                    "test_item_id": pl.Series(ids[split.test].tolist(), dtype=pl.String),
                    "history": history,
                }
            ),
            users,
        )
        _write_parquet(pl.DataFrame({"item_id": dataset.item_ids, "popularity": popularity}), items)
    return {"split": users, "items": items}


def _write_parquet(table: Any, path: Path) -> None:
    with replacing(path) as beside:
        table.write_parquet(beside)
