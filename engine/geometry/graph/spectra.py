"""The spectrum of the normalised Laplacian L = I - A_hat of an item graph, and where a table's energy lies in it.

Only items with edges take part (n of them); eigenvalues are in [0, 2], small ones are smooth. Small graphs
are decomposed exactly. Larger ones through the kernel polynomial method (Weisse et al. 2006): Chebyshev moments
of A_hat give the distribution of eigenvalues (random signs as probes) and of a table's energy over them,
with a resolution of about pi / moments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import linalg

from engine.embeddings.graph.cooccurrence import Matrix
from engine.embeddings.graph.laplacian import laplacian
from engine.geometry.table.rows import Array, IntArray

EXACT_ITEMS = 2500
_PROBES = 10
_PRINCIPAL, _MIXED = 16, 8
"""Columns that stand for a wide table in a large graph: its principal ones, and random combinations of the others."""
_LARGE = 5_000_000
"""Entries from which on it is done in float32, with half the moments and columns."""
_GRID = np.linspace(0.0, 2.0, 2001)


class Spectrum(Protocol):
    """Eigenvalues of L and, for tables, their energy by eigenvalue."""

    @property
    def method(self) -> str:
        """How it was computed, for a person."""

    @property
    def dtype(self) -> npt.DTypeLike:
        """Of the tables that it works on."""

    def below(self, values: Array) -> Array:
        """Share of eigenvalues at most each value [m]."""

    def energy(self, table: Array, shares: Array) -> Array:
        """Share of |Z|^2 in the eigenvectors of the lowest `shares` [m] of the eigenvalues."""


@dataclass(frozen=True)
class ExactSpectrum:
    """eigenvalues [n] rising and eigenvectors [n x n] of L."""

    values: Array
    vectors: Array

    @property
    def method(self) -> str:
        return "exact"

    @property
    def dtype(self) -> npt.DTypeLike:
        return np.float64

    def below(self, values: Array) -> Array:
        result: Array = np.searchsorted(self.values, values + 1e-9, "right") / len(self.values)
        return result

    def energy(self, table: Array, shares: Array) -> Array:
        by_vector = ((self.vectors.T @ table) ** 2).sum(axis=1)
        ends = np.concatenate([[0.0], np.cumsum(by_vector)])
        result: Array = np.interp(shares * len(by_vector), np.arange(len(ends)), ends) / max(ends[-1], 1e-300)
        return result


@dataclass(frozen=True)
class PolynomialSpectrum:
    """links: A_hat [n x n]; density: [m] Chebyshev moments of its eigenvalues, mean 1."""

    links: Matrix
    density: Array
    seed: int

    @property
    def method(self) -> str:
        return f"kernel polynomials, {len(self.density)} moments, {_PROBES} probes"

    @property
    def dtype(self) -> npt.DTypeLike:
        return self.links.dtype

    def below(self, values: Array) -> Array:
        return _share_below(self.density, values)

    def energy(self, table: Array, shares: Array) -> Array:
        principal, mixed = (_PRINCIPAL, _MIXED) if self.links.nnz <= _LARGE else (_PRINCIPAL // 2, _MIXED // 2)
        if table.shape[1] > principal + mixed:
            table = _narrow(table, principal, mixed, np.random.default_rng(self.seed))
        of_table = chebyshev_moments(self.links, table, len(self.density))
        return _share_below(of_table, quantiles(self, shares))


def _narrow(table: Array, principal: int, mixed: int, draw: np.random.Generator) -> Array:
    """Fewer columns with nearly the same tr(Y^T B Y) for any B: an unbiased estimate (as in Hutch++)."""
    axes = np.linalg.eigh(table.T @ table)[1][:, ::-1]
    signs = draw.choice([-1.0, 1.0], (table.shape[1] - principal, mixed)) / np.sqrt(mixed)
    mixture = np.concatenate([axes[:, :principal], axes[:, principal:] @ signs], axis=1)
    narrow: Array = table @ mixture.astype(table.dtype)
    return narrow


def connected(adjacency: Matrix) -> IntArray:
    """Items that have edges."""
    return np.flatnonzero(np.diff(adjacency.indptr)).astype(np.int64)


def normalised_links(adjacency: Matrix) -> Matrix:
    """A_hat among the items that have edges [n x n]; in float32 where it is large."""
    links, linked = laplacian(adjacency).links, connected(adjacency)
    number = np.zeros(adjacency.shape[0], links.indices.dtype)
    number[linked] = np.arange(len(linked))  # rows that go are empty, so the entries stay as they are
    ends = np.append(links.indptr[linked], links.indptr[-1])
    data = links.data if links.nnz <= _LARGE else links.data.astype(np.float32)
    return Matrix((data, number[links.indices], ends), shape=(len(linked), len(linked)))


def spectrum(links: Matrix, seed: int = 0, exact_items: int = EXACT_ITEMS) -> Spectrum:
    """Of L = I - A_hat for A_hat [n x n] without empty rows."""
    n = links.shape[0]
    if n <= exact_items:
        values, vectors = np.linalg.eigh(np.eye(n) - links.toarray())
        return ExactSpectrum(np.clip(values, 0.0, 2.0), vectors)
    probes = np.random.default_rng(seed).choice([-1.0, 1.0], (n, _PROBES))
    return PolynomialSpectrum(links, chebyshev_moments(links, probes, moments_for(links)), seed)


def moments_for(links: Matrix) -> int:
    """How many moments are affordable."""
    return 120 if links.nnz <= _LARGE else 50


def chebyshev_moments(links: Matrix, table: Array, count: int) -> Array:
    """mu_m = tr(Y^T T_m(A_hat) Y) / tr(Y^T Y), m = 0..count-1, by count / 2 sparse products."""
    columns = max(1, (1 << 23) // max(1, len(table)))
    mu = np.zeros(count)
    for left in range(0, table.shape[1], columns):
        mu += _traces(links, np.ascontiguousarray(table[:, left : left + columns], dtype=links.data.dtype), count)
    return mu / mu[0] if mu[0] > 0 else mu


def _traces(links: Matrix, table: npt.NDArray[np.floating], count: int) -> Array:
    """tr(Y^T T_m(A_hat) Y); 2 T_m T_m = T_2m + T_0 and 2 T_m T_m+1 = T_2m+1 + T_1 halve the products."""
    before, now = table, links @ table
    mu = np.zeros(count + 2)
    mu[0], mu[1] = float(np.vdot(table, table)), float(np.vdot(table, now))
    for m in range(1, (count + 1) // 2):
        mu[2 * m] = 2 * float(np.vdot(now, now)) - mu[0]
        following = links @ now
        following *= 2
        following -= before
        mu[2 * m + 1] = 2 * float(np.vdot(now, following)) - mu[1]
        before, now = now, following
    return mu[:count]


def _share_below(mu: Array, values: Array) -> Array:
    """Mass at eigenvalues of L at most each value, from moments with Jackson's damping (never negative)."""
    count = len(mu)
    m = np.arange(count)
    angle = np.pi / (count + 1)
    damping = ((count - m + 1) * np.cos(m * angle) + np.sin(m * angle) / np.tan(angle)) / (count + 1)
    theta = np.arccos(np.clip(1.0 - values, -1.0, 1.0))
    waves = np.sin(np.outer(theta, m[1:])) / m[1:]
    share: Array = (theta * mu[0] + 2 * waves @ (damping * mu)[1:]) / np.pi
    return np.clip(share, 0.0, 1.0)


def quantiles(of: Spectrum, shares: Array) -> Array:
    """The eigenvalue below which each share [m] of all lies, to .001."""
    result: Array = np.interp(shares, np.maximum.accumulate(of.below(_GRID)), _GRID)
    return result


def wasserstein(one: Spectrum, other: Spectrum) -> float:
    """Wasserstein-1 distance of the two distributions of eigenvalues, at a resolution of .001."""
    apart: Array = np.abs(one.below(_GRID) - other.below(_GRID))
    return float(2.0 * apart.mean())


def leading(links: Matrix, count: int) -> tuple[Array, Array]:
    """The `count` smallest eigenvalues of L, rising, and their eigenvectors [n x count]; Lanczos from a fixed start."""
    n = links.shape[0]
    if n <= max(64, 3 * count):
        values, vectors = np.linalg.eigh(np.eye(n) - links.toarray())
        return values[:count], vectors[:, :count]
    start = np.random.default_rng(0).standard_normal(n).astype(links.dtype)
    tolerance = 1e-6 if links.nnz <= _LARGE else 1e-3
    values, vectors = linalg.eigsh(links, k=count, which="LA", v0=start, tol=tolerance)
    order = np.argsort(-values)
    return 1.0 - values[order], vectors[:, order]


def overlap(one: Array, other: Array) -> float:
    """|U^T V|_F^2 / q of two orthonormal bases [n x q]: 1 for the same space, q / n by chance."""
    q: int = one.shape[1]
    return float(np.square(one.T @ other).sum()) / q
