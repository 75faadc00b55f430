"""Sums over the edges of an item graph: exact where they are few enough, sampled with a stated error else."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.embeddings.graph.cooccurrence import Matrix
from engine.geometry.table.rows import Array, IntArray, Rows

_EXACT_PRODUCTS = 3e9
"""Entries of the graph times columns of the rows, up to which every edge is looked at."""
_SAMPLE = 200_000
_BLOCK = 1 << 13
_ROWS = 1 << 16
_ENTRIES = 1 << 22


@dataclass(frozen=True)
class Estimate:
    """A number, with its standard error where it was sampled."""

    value: float
    se: float | None = None


def link_energy(links: Matrix, rows: Rows, seed: int = 0) -> Estimate:
    """tr(Y^T S Y) = sum_ij S_ij y_i.y_j for S [n x n] non-negative and rows Y [n x d].

    Exact up to about 3e9 products; beyond, over 200,000 entries drawn in proportion to S_ij.
    """
    if links.nnz * rows.width <= _EXACT_PRODUCTS:
        return Estimate(_exact(links, rows))
    i, j = draw_entries(links, _SAMPLE, np.random.default_rng(seed), weighted=True)
    products = inner_products(rows, i, j)
    total = float(links.data.sum())
    return Estimate(total * float(products.mean()), total * float(products.std()) / math.sqrt(_SAMPLE))


def _exact(links: Matrix, rows: Rows) -> float:
    """Some columns at a time, so that memory stays small beside the graph."""
    total = 0.0
    columns = max(1, (1 << 24) // max(1, len(rows)))
    for left in range(0, rows.width, columns):
        y = rows.columns(slice(left, left + columns))
        for at in range(0, len(y), _ROWS):
            total += float(np.einsum("ij,ij->", Matrix(links[at : at + _ROWS]) @ y, y[at : at + _ROWS]))
    return total


def draw_entries(
    links: Matrix, size: int, draw: np.random.Generator, *, weighted: bool = False
) -> tuple[IntArray, IntArray]:
    """Row and column of `size` entries, drawn uniformly or in proportion to their values, with replacement."""
    entry = _weighted(links.data, size, draw) if weighted else draw.integers(links.nnz, size=size)
    entry.sort()
    row = np.searchsorted(links.indptr, entry, "right") - 1
    return row.astype(np.int64), links.indices[entry].astype(np.int64)


def _weighted(weights: Array, size: int, draw: np.random.Generator) -> IntArray:
    ends = np.cumsum(weights)
    places = np.searchsorted(ends, draw.random(size) * ends[-1], "right")
    entry: IntArray = np.minimum(places, len(weights) - 1).astype(np.int64)
    return entry


def inner_products(rows: Rows, i: IntArray, j: IntArray) -> Array:
    """y_i.y_j for pairs of indices [m]."""
    parts = [
        np.einsum("md,md->m", rows.take(i[at : at + _BLOCK]), rows.take(j[at : at + _BLOCK]))
        for at in range(0, len(i), _BLOCK)
    ]
    rows.source.let_go()
    return np.concatenate([*parts, np.empty(0)])


def row_spans(links: Matrix) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of rows of about `_ENTRIES` entries each."""
    block = links.indptr[:-1] // _ENTRIES
    cuts = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), links.shape[0]]
    yield from itertools.pairwise(cuts)
