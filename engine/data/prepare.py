"""From the file's rows to the interactions that count: order, rating threshold, repeats, k-core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from engine import spec
from engine.data.arrays import BoolArray, IntArray
from engine.data.atomic import Log
from engine.errors import UserError

_FEW = 1_000_000
"""Rows that numpy sorts: it takes five times as long as polars, but less than the import of polars, which a generated
data set needs for nothing else."""


@dataclass(frozen=True)
class Interactions:
    """One entry per interaction, sorted by user, then part of a given split, then time; ties keep the file's order."""

    users: IntArray
    items: IntArray
    times: IntArray | None
    ratings: npt.NDArray[np.float64] | None
    parts: IntArray | None = None

    def __len__(self) -> int:
        return len(self.users)

    def take(self, which: IntArray | BoolArray) -> Interactions:
        """The chosen interactions: indices in their order, or a mask."""
        return Interactions(
            self.users[which],
            self.items[which],
            None if self.times is None else self.times[which],
            None if self.ratings is None else self.ratings[which],
            None if self.parts is None else self.parts[which],
        )


def in_order(log: Log) -> Interactions:
    """Sorted by user, then by what there is of part and time; ties in the order of the file. Stable."""
    rows = Interactions(log.users, log.items, log.times, log.ratings, log.parts)
    keys = {"user": log.users, "part": log.parts, "time": log.times}
    known = {name: key for name, key in keys.items() if key is not None}
    if len(rows) < _FEW:
        return rows.take(np.lexsort(tuple(reversed(known.values()))))
    order = pl.DataFrame(known).select(pl.arg_sort_by(*known, maintain_order=True)).to_series()
    return rows.take(order.to_numpy().astype(np.int64))


def times_are_positions(rows: Interactions) -> bool:
    """True where every user's times are exactly 1..n or 0..n-1: an order, not a clock.

    `rows` are all interactions of the file (a filter would leave gaps), sorted, at least one."""
    if rows.times is None:
        return False
    first = np.flatnonzero(np.diff(rows.users, prepend=-1))
    counts = np.diff(first, append=len(rows))
    start = rows.times[first]
    steps = np.arange(len(rows)) - np.repeat(first - start, counts)
    return bool(np.isin(start, (0, 1)).all() and np.array_equal(rows.times, steps))


def filtered(rows: Interactions, data: spec.Data, name: str) -> Interactions:
    """Rating threshold, then repeats, then k-core. Raises UserError where nothing is left."""
    if data.rating_min is not None:
        if rows.ratings is None:
            raise UserError(f"data.rating_min={data.rating_min:g}: {name} has no field rating; unset data.rating_min")
        remaining = rows.take(rows.ratings >= data.rating_min)
        if not len(remaining):
            raise UserError(
                f"data.rating_min={data.rating_min:g} leaves none of {name}'s {len(rows)} interactions "
                f"(highest rating {rows.ratings.max():g}); lower it"
            )
        rows = remaining
    if data.repeats == "first":
        rows = rows.take(first_of_pairs(rows.users, rows.items))
    if data.k_core:
        remaining = rows.take(k_core(rows.users, rows.items, data.k_core))
        if not len(remaining):
            raise UserError(
                f"data.k_core={data.k_core} leaves none of {name}'s {len(rows)} interactions: no group of users and "
                f"items has {data.k_core} each; lower it"
            )
        rows = remaining
    return rows


def first_of_pairs(users: IntArray, items: IntArray) -> BoolArray:
    """Mask of the first interaction of every (user, item) pair."""
    _, first = np.unique(users * (items.max(initial=0) + 1) + items, return_index=True)
    mask = np.zeros(len(users), dtype=np.bool_)
    mask[first] = True
    return mask


def k_core(users: IntArray, items: IntArray, k: int) -> BoolArray:
    """Mask of the largest set of interactions in which every user and every item has at least k.

    Users and items with fewer are dropped again and again until none is left to drop."""
    alive = np.arange(len(users))
    while True:
        u, i = users[alive], items[alive]
        enough = (np.bincount(u) >= k)[u] & (np.bincount(i) >= k)[i]
        if enough.all():
            mask = np.zeros(len(users), dtype=np.bool_)
            mask[alive] = True
            return mask
        alive = alive[enough]
