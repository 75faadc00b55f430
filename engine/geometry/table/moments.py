"""First and second moments of rows: what norms aside all of angles and curvature is computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.geometry.table.rows import Array, Rows, mean_of


@dataclass(frozen=True)
class Moments:
    """Of rows e_i with weights p_i that add up to 1 (1/n each where none are given).

    count:      n, rows of zeros included
    mean:       [d] mu = sum_i p_i e_i
    covariance: [d x d] sum_i p_i (e_i - mu)(e_i - mu)^T
    norms:      [n]
    """

    count: int
    mean: Array
    covariance: Array
    norms: Array

    @property
    def second(self) -> Array:
        """[d x d] sum_i p_i e_i e_i^T."""
        second: Array = self.covariance + np.outer(self.mean, self.mean)
        return second


def moments(rows: Rows, p: Array | None = None) -> Moments:
    """Two passes over the rows (the second about the mean, for the digits' sake), one where they are of unit
    length; `p` [n] adds up to 1."""
    n, d = len(rows), rows.width
    weights = np.full(n, 1 / max(1, n)) if p is None else p
    if rows.unit:
        return _in_one_pass(rows, weights)
    mean = mean_of(rows) if p is None else _weighted_mean(rows, weights)
    covariance, norms = np.zeros((d, d)), np.zeros(n)
    for first, block in rows.blocks():
        part = slice(first, first + len(block))
        norms[part] = np.linalg.norm(block, axis=1)
        about = (block - mean) * np.sqrt(weights[part])[:, None]
        covariance += about.T @ about
    return Moments(n, mean, covariance, norms)


def _in_one_pass(rows: Rows, p: Array) -> Moments:
    mean, second, norms = np.zeros(rows.width), np.zeros((rows.width, rows.width)), np.zeros(len(rows))
    for first, block in rows.blocks():
        part = slice(first, first + len(block))
        norms[part] = np.linalg.norm(block, axis=1)
        mean += p[part] @ block
        weighted = block * np.sqrt(p[part])[:, None]
        second += weighted.T @ weighted
    return Moments(len(rows), mean, second - np.outer(mean, mean), norms)


def about_mean(rows: Rows, of_rows: Moments) -> tuple[Rows, Moments]:
    """The rows about their mean with their moments, by one pass for the norms."""
    centred = Rows(rows.source, of_rows.mean)
    norms = np.concatenate([np.linalg.norm(block, axis=1) for _, block in centred.blocks()])
    return centred, Moments(of_rows.count, np.zeros(rows.width), of_rows.covariance, norms)


def _weighted_mean(rows: Rows, p: Array) -> Array:
    mean = np.zeros(rows.width)
    for first, block in rows.blocks():
        mean += p[first : first + len(block)] @ block
    return mean
