"""The figures of a prepared and split data set, as `tfllmer data show` prints them."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.data.arrays import BoolArray, IntArray
from engine.data.atomic import UNKNOWN_TEXT
from engine.data.dataset import Dataset
from engine.data.prepare import first_of_pairs
from engine.data.split import Split


def statistics(dataset: Dataset, split: Split) -> dict[str, Any]:
    """JSON-ready figures. `per_item` counts the catalogue's items that have any interaction;
    `repeated_pairs` and `tied_timestamps` count interactions that share (user, item) or (user,
    timestamp) with an earlier one, `copied_lines` those of the file that are exact copies of one;
    `test_ties` counts users whose test target shares its time with the interaction before it; shares
    lie in 0..1."""
    n_users, n_items, n = len(dataset.user_ids), len(dataset.item_ids), len(dataset.users)
    popularity = np.bincount(dataset.items, minlength=n_items)
    trained = np.bincount(split.train.items, minlength=n_items) > 0
    texts = zip(dataset.item_ids, dataset.item_text, strict=True)
    values: dict[str, Any] = {
        "name": dataset.name,
        "users": n_users,
        "items": n_items,
        "interactions": n,
        "interactions_in_file": dataset.n_file_interactions,
        "density": n / (n_users * n_items),
        "per_user": _summary(np.bincount(dataset.users, minlength=n_users)),
        "per_item": _summary(popularity[popularity > 0]),
        "items_in_file": dataset.n_item_rows,
        "cold_items": dataset.n_cold,
        "repeated_pairs": n - int(first_of_pairs(dataset.users, dataset.items).sum()),
        "copied_lines": dataset.n_copies,
        "order": dataset.order,
        "timestamps": _timestamps(dataset),
        "tied_timestamps": None if dataset.times is None else int(_ties(dataset).sum()),
        "text_coverage": sum(text not in (UNKNOWN_TEXT, item) for item, text in texts) / n_items,
        "train_interactions": len(split.train.items),
        "users_valid": int((split.valid >= 0).sum()),
        "users_test": int((split.test >= 0).sum()),
        "test_ties": None if dataset.times is None else _test_ties(dataset, split),
        "targets_untrained": sum(int((~trained[t[t >= 0]]).sum()) for t in (split.valid, split.test)),
        "split_checksum": split.checksum(),
    }
    if dataset.vectors is not None:
        values["vectors"] = vector_statistics(dataset.vectors[dataset.item_rows])
    return values


def vector_statistics(vectors: np.ndarray[Any, np.dtype[np.floating[Any]]]) -> dict[str, float]:
    """Rows' norms and angles [n x D]: standard deviation of the log norm as they are and about the
    mean vector (what centring leaves), and the mean cosine over all ordered pairs."""
    x = vectors.astype(np.float64)
    raw = np.linalg.norm(x, axis=1)
    centred = np.linalg.norm(x - x.mean(axis=0), axis=1)
    return {
        "dim": x.shape[1],
        "norm_sd": float(np.log(centred).std()),
        "norm_sd_raw": float(np.log(raw).std()),
        "mean_cosine": float(np.square((x / raw[:, None]).mean(axis=0)).sum()),
    }


def _summary(counts: IntArray) -> dict[str, float]:
    return {
        "min": int(counts.min()),
        "median": float(np.median(counts)),
        "mean": float(counts.mean()),
        "max": int(counts.max()),
    }


def _timestamps(dataset: Dataset) -> str:
    if dataset.times is None:
        return "none: the order of the file is the order; no temporal split"
    if dataset.positions:
        return "positions in each user's own sequence: an order, not a clock; no temporal split"
    return "clock times"


def _ties(dataset: Dataset) -> BoolArray:
    """Mask of interactions at the same time as the one before, of the same user."""
    assert dataset.times is not None
    same = np.zeros(len(dataset.users), dtype=np.bool_)
    same[1:] = (dataset.users[1:] == dataset.users[:-1]) & (dataset.times[1:] == dataset.times[:-1])
    return same


def _test_ties(dataset: Dataset, split: Split) -> int:
    last = np.cumsum(np.bincount(dataset.users, minlength=len(dataset.user_ids))) - 1
    return int(_ties(dataset)[last[split.test >= 0]].sum())
