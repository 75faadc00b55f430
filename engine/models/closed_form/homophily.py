"""How alike what a user has consumed is, and an item's audience: the share of linked pairs (docs/method.md B.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from engine.data.arrays import IntArray
from engine.models.closed_form.linear import entries, gram
from engine.models.singular import Floats

Linked: TypeAlias = Callable[[IntArray, IntArray], npt.NDArray[np.bool_]]

_BLOCK = 1 << 14  # pairs that are looked at together
_CELLS = 1 << 28  # up to so many entries, pairs of users are looked up in a matrix of what they share


def user_homophily(x: sparse.csr_array, pairs: int) -> Floats:
    """[users] the share of the pairs of a user's items that another user has consumed both of, for X [users, items].

    Users with more than `pairs` pairs are estimated from so many, drawn with replacement; those with fewer than two
    items have 0.
    """
    counts = gram(x)

    def linked(first: IntArray, second: IntArray) -> npt.NDArray[np.bool_]:
        return entries(counts, first, second) > 1  # the user itself is one who has consumed both

    return _shares(x, pairs, linked)


def item_homophily(x: sparse.csr_array, pairs: int) -> Floats:
    """[items] the share of the pairs of an item's users who have another item in common; as `user_homophily`."""
    degrees = np.asarray(x.sum(0)).ravel()
    if x.shape[0] ** 2 <= _CELLS or (degrees**2).sum() <= _CELLS:
        return user_homophily(x.T.tocsr(), pairs)

    def linked(first: IntArray, second: IntArray) -> npt.NDArray[np.bool_]:
        return np.asarray((x[first] * x[second]).sum(1)).ravel() > 1

    return _shares(x.T.tocsr(), pairs, linked)


def _shares(lists: sparse.csr_array, pairs: int, linked: Linked) -> Floats:
    """For each row the share of the pairs of its columns that are `linked`."""
    offsets, columns, generator = lists.indptr.astype(np.int64), lists.indices, np.random.default_rng(0)
    sizes = np.diff(offsets)
    possible = np.where(sizes * (sizes - 1) // 2 <= pairs, sizes * (sizes - 1) // 2, pairs)
    every = {int(size): np.triu_indices(size, 1) for size in np.unique(sizes[(possible < pairs) & (possible > 0)])}
    shares = np.zeros(len(sizes))
    for rows in np.split(np.arange(len(sizes)), np.flatnonzero(np.diff(np.cumsum(possible) // _BLOCK)) + 1):
        first: list[IntArray] = []
        second: list[IntArray] = []
        for row in rows[possible[rows] > 0]:
            size = int(sizes[row])
            if size in every:
                one, other = every[size]
            else:
                one = generator.integers(0, size, pairs)
                other = (one + generator.integers(1, size, pairs)) % size
            first.append(columns[offsets[row] + one])
            second.append(columns[offsets[row] + other])
        if first:
            owner = np.repeat(np.arange(len(rows)), possible[rows])
            hits = np.bincount(owner, linked(np.concatenate(first), np.concatenate(second)), len(rows))
            shares[rows] = hits / np.maximum(possible[rows], 1)
    return shares
