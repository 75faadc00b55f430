"""Counterfactual tables: one property of Z changed, the others kept (docs/method.md D.1 rows 12-14; our reading)."""

from __future__ import annotations

from typing import assert_never

import numpy as np
import numpy.typing as npt

from engine import spec
from engine.embeddings.clusters import spherical_kmeans
from engine.embeddings.reduce.rec_pca import fix_signs
from engine.embeddings.reduce.reductions import generator, orthonormal, random_rotation, unit_rows
from engine.errors import UserError
from engine.spec.controls import BorrowedControl, DrawnControl

Array = npt.NDArray[np.float64]


def controlled(  # noqa: PLR0911 (one for each kind)
    z: Array, control: spec.Control, id_table: npt.NDArray[np.floating] | None = None
) -> Array:
    """The table [n x k] that takes the place of z [n x k]; drawn from the control's seed, the same each time.
    `id_table` [n x k] are the rows of an ID table after training, for the controls that are named after it, which
    raise UserError without it.

    unit-norms:       rows at length 1. Directions kept.
    shuffled-norms:   the norms dealt out anew among the rows. Directions and the set of norms kept.
    lognormal-norms:  norms exp(norm_sd g_i) / their mean, g of mean 0 and standard deviation 1 exactly, the
                      same g for every norm_sd. Directions kept, mean norm 1; norm_sd 0 is unit-norms.
    permuted-items:   whole rows, norms included, dealt out anew among the items. The set of rows kept, and
                      with it norms, angles, mean, spectrum and the curvature at uniform p.
    cluster-permuted: whole rows exchanged among whole clusters of items (see `_other_clusters`). The set of rows
                      kept, as by permuted-items, and that neighbours of one cluster stay together.
    spectrum-matched: 1 mean^T + U S V^T with U random, for z = 1 mean^T + U_z S V^T. Mean, covariance, the
                      singular values of z and of centred z kept; no item's norm or direction.
    rotation:         z Q, Q uniform among the orthogonal matrices. The Gram matrix z z^T kept.
    id-norms:         the norms of the ID table's rows. Directions kept. Nothing is drawn.
    id-directions:    the directions of the ID table's rows. Norms kept. Nothing is drawn.

    A row of zeros has no direction: it stays zero and takes no part where norms are set or dealt out, or clusters
    exchanged.
    """
    match control:
        case spec.NoControl():
            return z
        case spec.UnitNorms():
            return unit_rows(z)
        case spec.ShuffledNorms():
            norms = np.linalg.norm(z, axis=1)
            norms[norms > 0] = _draw(control).permutation(norms[norms > 0])
            shuffled: Array = unit_rows(z) * norms[:, None]
            return shuffled
        case spec.LognormalNorms():
            scaled: Array = unit_rows(z) * _lognormal(z, control.norm_sd, _draw(control))[:, None]
            return scaled
        case spec.PermutedItems():
            dealt: Array = z[_draw(control).permutation(len(z))]
            return dealt
        case spec.ClusterPermuted():
            return _other_clusters(z, control.clusters, _draw(control))
        case spec.SpectrumMatched():
            return _spectrum_matched(z, _draw(control))
        case spec.Rotation():
            turned: Array = z @ random_rotation(z.shape[1], _draw(control))
            return turned
        case spec.IdNorms():
            return unit_rows(z) * _norms(_borrowed(id_table, control))
        case spec.IdDirections():
            return unit_rows(_borrowed(id_table, control)) * _norms(z)
        case _:
            assert_never(control)


def _draw(control: DrawnControl) -> np.random.Generator:
    return generator(control.seed, control.kind)


def _borrowed(id_table: npt.NDArray[np.floating] | None, control: BorrowedControl) -> Array:
    if id_table is None:
        raise UserError(f"embedding.control={control.kind} needs the ID table that a run trains first; start a run")
    return id_table.astype(np.float64)


def _norms(z: Array) -> Array:
    """[n x 1]."""
    return np.asarray(np.linalg.norm(z, axis=1, keepdims=True))


def _other_clusters(z: Array, clusters: int, draw: np.random.Generator) -> Array:
    """Rows exchanged so that the items of a cluster get rows of another cluster, or of a few others.

    The directions are clustered (spherical k-means). Items are listed cluster after cluster, the clusters in
    random order, those of one cluster along its first principal axis. The item at place t of the list gets
    the row of the item at place t + s (modulo the length), where s is the size of the list's first
    clusters together, as many of them as bring s nearest to half of the list. Hence

    - the rows are those of z, dealt out anew;
    - the list is moved in at most 2 K pieces for K clusters, each within one cluster of items and one of rows and
      in its order; clusters of equal size are moved whole;
    - no item keeps a row of its cluster unless a cluster is larger than s or than the rest of the list.
    """
    nonzero = np.flatnonzero(np.linalg.norm(z, axis=1) > 0)
    labels = spherical_kmeans(unit_rows(z[nonzero]), clusters, draw)
    members = [nonzero[labels == label] for label in draw.permutation(labels.max(initial=-1) + 1)]
    listed = np.concatenate([*(_along_axis(z, items) for items in members), nonzero[:0]])
    ends = np.cumsum([len(items) for items in members])
    shift = min(ends.tolist(), key=lambda end: abs(2 * end - len(listed)), default=0)
    permuted = z.copy()
    permuted[listed] = z[np.roll(listed, -shift)]
    return permuted


def _along_axis(z: Array, items: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The items by their place on the first principal axis of their rows."""
    centred = z[items] - z[items].mean(axis=0)
    axis = fix_signs(np.linalg.svd(centred, full_matrices=False)[2][:1].T)
    return items[np.argsort((centred @ axis)[:, 0], kind="stable")]


def _lognormal(z: Array, sd: float, draw: np.random.Generator) -> Array:
    """Norms [n] of mean 1 over the rows that are not zero."""
    is_nonzero = np.linalg.norm(z, axis=1) > 0
    g = draw.standard_normal(int(is_nonzero.sum()))
    g -= g.mean() if len(g) else 0.0
    g /= g.std() if len(g) > 1 else 1.0
    norms = np.zeros(len(z))
    norms[is_nonzero] = np.exp(sd * g)
    norms[is_nonzero] /= norms[is_nonzero].mean() if len(g) else 1.0
    return norms


def _spectrum_matched(z: Array, draw: np.random.Generator) -> Array:
    mean = z.mean(axis=0)
    _, singular, axes = np.linalg.svd(z - mean, full_matrices=False)
    rank = min(len(z) - 1, len(singular))  # centred rows: the direction of all ones is taken
    random = draw.standard_normal((len(z), rank))
    left = orthonormal(random - random.mean(axis=0))
    matched: Array = mean + (left * singular[:rank]) @ axes[:rank]
    return matched
