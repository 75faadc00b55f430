"""Counterfactual tables: one property of Z changed, the others kept (METHOD.md D.1 rows 12-14; our reading)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.embeddings.reductions import generator, orthonormal, random_rotation, unit_rows
from engine.spec import Embedding

Array = npt.NDArray[np.float64]


def controlled(z: Array, settings: Embedding) -> Array:
    """The table [n x k] that takes the place of z [n x k]; drawn from `settings.seed`, the same each time.

    unit-norms:       rows at length 1. Directions kept.
    shuffled-norms:   the norms dealt out anew among the rows. Directions and the set of norms kept.
    lognormal-norms:  norms exp(norm_sd g_i) / their mean, g of mean 0 and standard deviation 1 exactly, the
                      same g for every norm_sd. Directions kept, mean norm 1; norm_sd 0 is unit-norms.
    permuted-items:   whole rows, norms included, dealt out anew among the items. The set of rows kept, and
                      with it norms, angles, mean, spectrum and the curvature at uniform p.
    spectrum-matched: 1 mean^T + U S V^T with U random, for z = 1 mean^T + U_z S V^T. Mean, covariance, the
                      singular values of z and of centred z kept; no item's norm or direction.
    rotation:         z Q, Q uniform among the orthogonal matrices. The Gram matrix z z^T kept.

    A row of zeros has no direction: it stays zero and takes no part where norms are set or dealt out.
    """
    draw = generator(settings.seed, settings.control)
    match settings.control:
        case "none":
            made = z
        case "unit-norms":
            made = unit_rows(z)
        case "shuffled-norms":
            norms = np.linalg.norm(z, axis=1)
            norms[norms > 0] = draw.permutation(norms[norms > 0])
            made = unit_rows(z) * norms[:, None]
        case "lognormal-norms":
            made = unit_rows(z) * _lognormal(z, settings.norm_sd, draw)[:, None]
        case "permuted-items":
            made = z[draw.permutation(len(z))]
        case "spectrum-matched":
            made = _spectrum_matched(z, draw)
        case "rotation":
            made = z @ random_rotation(z.shape[1], draw)
    return made


def _lognormal(z: Array, sd: float, draw: np.random.Generator) -> Array:
    """Norms [n] of mean 1 over the rows that are not zero."""
    there = np.linalg.norm(z, axis=1) > 0
    g = draw.standard_normal(int(there.sum()))
    g -= g.mean() if len(g) else 0.0
    g /= g.std() if len(g) > 1 else 1.0
    norms = np.zeros(len(z))
    norms[there] = np.exp(sd * g)
    norms[there] /= norms[there].mean() if len(g) else 1.0
    return norms


def _spectrum_matched(z: Array, draw: np.random.Generator) -> Array:
    mean = z.mean(axis=0)
    _, singular, axes = np.linalg.svd(z - mean, full_matrices=False)
    rank = min(len(z) - 1, len(singular))  # centred rows: the direction of all ones is taken
    random = draw.standard_normal((len(z), rank))
    left = orthonormal(random - random.mean(axis=0))
    matched: Array = mean + (left * singular[:rank]) @ axes[:rank]
    return matched
