"""Linear discriminant analysis: directions that tell classes of items apart (docs/method.md B.2, LLM2X)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.embeddings.reduce.gram import GramSums
from engine.embeddings.rows import Array, PreparedRows


def discriminants(rows: PreparedRows, of: GramSums, k: int, classes: npt.NDArray[np.int64]) -> Array:
    """w [D x k] that maximises tr((w^T S_w w)^-1 w^T S_b w) over the prepared rows [n x D], of `classes` [n] from 0 on.

    S_w is the covariance within classes, S_b that of their means, each weighed by its size. Scores have the unit matrix
    for covariance within classes; the most telling direction comes first, and its entries add up to
    0 or more. Directions without variance within classes are left out. C classes have at most C - 1 directions; the
    columns behind are zeros.
    """
    n, d = rows.shape
    sizes = np.bincount(classes)
    means = np.zeros((len(sizes), d))
    for which, block in rows.blocks():
        np.add.at(means, classes[which], block.numpy())
    means /= np.maximum(sizes, 1)[:, None]
    weighted = means * sizes[:, None]
    within = (of.gram - means.T @ weighted) / max(1, n - len(sizes))
    spread, axes = np.linalg.eigh(within)
    kept = spread > max(of.precision * n, 1e-12) * max(float(spread[-1]), 0.0)
    whitening = axes[:, kept] / np.sqrt(spread[kept])
    centred = (means - of.mean) * np.sqrt(sizes)[:, None] @ whitening
    telling, turned = np.linalg.eigh(centred.T @ centred / max(1, len(sizes) - 1))
    most = min(k, len(sizes) - 1, int((telling > 1e-12 * max(float(telling[-1]), 0.0)).sum())) if len(telling) else 0
    found = whitening @ turned[:, ::-1][:, :most]
    w = np.zeros((d, k))
    w[:, :most] = found * np.where(found.sum(axis=0) < 0, -1.0, 1.0)
    return w
