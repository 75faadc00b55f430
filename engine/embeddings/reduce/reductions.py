"""Reductions of X [n x D] to k columns, as linear maps that also take items never seen in training.

A map is fitted on the prepared rows of the catalogue (`prepare`: centred, unit length) in up to four
steps (`fit`): reduce to k scores, turn their axes, a post step on the k scores (whitening and its
relatives), one constant for the scale. All of them are linear, so their product is one matrix, and all but the
picks by variance are functions of a few sums over the rows (`engine.embeddings.reduce.gram`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias, assert_never

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine import spec
from engine.embeddings.graph.laplacian import Laplacian
from engine.embeddings.reduce.discriminant import discriminants
from engine.embeddings.reduce.gram import GramSums, filtered, gram_sums
from engine.embeddings.reduce.post import post_step
from engine.embeddings.reduce.rec_pca import Reduction, rec_pca
from engine.embeddings.rows import PreparedRows, Vectors, spans
from engine.errors import UserError
from engine.files import write_bytes
from engine.spec.reductions import DrawnReduction

Array = npt.NDArray[np.float64]

EXACT = 1 << 25
"""Numbers of a catalogue (n D) up to which it is held in memory in float64 (256 MiB)."""

_FORMAT = 1
_FORMULA = "z = rows w - shift, rows = (x - mean) / |x - mean| if unit_rows else x - mean"


@dataclass(frozen=True)
class LinearMap:
    """From raw vectors to table rows: z = rows w - shift, where rows are x - mean, at unit length if `unit_rows`.

    mean:  [D], zeros where vectors are not centred
    w:     [D x k]
    shift: [k], zeros unless a post step centres the scores
    """

    mean: Array
    w: Array
    shift: Array
    unit_rows: bool

    def apply(self, x: npt.NDArray[np.floating]) -> Array:
        """Table rows [m x k] of raw vectors [m x D], seen before or not. Raises UserError for another D."""
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise UserError(f"this map takes vectors of {len(self.mean)} dimensions, not an array of shape {x.shape}")
        rows = x.astype(np.float64) - self.mean
        return self.of_rows(unit_rows(rows) if self.unit_rows else rows)

    def of_rows(self, rows: npt.NDArray[np.floating]) -> Array:
        """Table rows of prepared rows [m x D], multiplied in their own precision."""
        z: Array = rows @ self.w.astype(rows.dtype) - self.shift
        return z

    def tensors(self) -> dict[str, Array]:
        """What is stored, by name; `from_tensors` is the inverse."""
        return {
            "mean": self.mean,
            "w": np.ascontiguousarray(self.w),
            "shift": self.shift,
            "unit_rows": np.array([float(self.unit_rows)]),
        }

    @staticmethod
    def from_tensors(tensors: Mapping[str, Array]) -> LinearMap:
        """Raises KeyError where a tensor is missing."""
        return LinearMap(tensors["mean"], tensors["w"], tensors["shift"], bool(tensors["unit_rows"][0]))

    def save(self, path: Path) -> None:
        """Write a safetensors file (float64), whole or not at all. Raises UserError where it cannot be written."""
        about = {"format": _FORMAT, "formula": _FORMULA}
        write_bytes(path, save(self.tensors(), {"tfllmer.map": json.dumps(about)}))


def load_map(path: Path) -> LinearMap:
    """Read what `LinearMap.save` wrote. Raises UserError for any other file."""
    try:
        with safe_open(path, "np") as file:
            return LinearMap.from_tensors({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, KeyError):
        raise UserError(f"{path}: not a map; `tfllmer export map` writes them") from None


@dataclass(frozen=True)
class FittedTable:
    """A fitted map and the table it gives.

    map:       for raw vectors; on the catalogue's own it gives z, except where the graph filters rows (graph-pca)
    rows:      the prepared rows that z is made of
    retained:  share of the rows' sum of squares inside the k kept directions, before basis and post step
    reduction: what PCA, Rec-PCA or graph-PCA found; None for the others
    gram_sums: the sums over the rows that all of this comes from
    """

    map: LinearMap
    rows: PreparedRows
    retained: float
    reduction: Reduction | None
    gram_sums: GramSums

    @property
    def shape(self) -> tuple[int, int]:
        """(n, k)."""
        return self.gram_sums.n, int(self.map.w.shape[1])

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """z in order, as (which items, rows [m x k])."""
        for which, block in self.rows.blocks():
            yield which, self.map.of_rows(block.numpy())

    @cached_property
    def z(self) -> Array:
        """[n x k], held in memory."""
        z = np.empty(self.shape)
        for which, block in self.blocks():
            z[which] = block
        return z


def prepare(vectors: Vectors, settings: spec.Embedding) -> PreparedRows:
    """The rows of a catalogue [n x D], centred and at unit length as the settings say.

    A catalogue of at most `EXACT` numbers is held in memory and everything about it computed in float64. Of a larger
    one, two passes over the vectors find their mean (sums of blocks, added up in float64) and their lengths, and rows
    are made block by block in float32 whenever they are needed.
    """
    n, d = vectors.shape
    if n * d <= EXACT:
        x = vectors.array().astype(np.float64)
        mean = x.mean(axis=0) if settings.center else np.zeros(d)
        rows = x - mean
        exact = unit_rows(rows) if settings.pre_normalize else rows
        norms, lengths = np.linalg.norm(x, axis=1), np.linalg.norm(rows, axis=1)
        return PreparedRows(vectors, mean, settings.pre_normalize, norms, lengths, exact)
    total, norms, lengths = np.zeros(d), np.empty(n), np.empty(n)
    for which, block in vectors.blocks():
        total += block.sum(dim=0).numpy()
        norms[which] = block.norm(dim=1).numpy()
    mean = total / n if settings.center else np.zeros(d)
    for which, block in vectors.blocks():
        lengths[which] = block.sub_(torch.from_numpy(mean).float()).norm(dim=1).numpy()
    return PreparedRows(vectors, mean, settings.pre_normalize, norms, lengths, None)


def unit_rows(x: Array) -> Array:
    """Rows at length 1; a row of zeros stays zero."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    unit: Array = np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)
    return unit


def fit(
    rows: PreparedRows,
    k: int,
    settings: spec.Embedding,
    *,
    laplacian: Laplacian | None = None,
    popularity: npt.NDArray[np.int64] | None = None,
    classes: npt.NDArray[np.int64] | None = None,
    device: str = "cpu",
) -> FittedTable:
    """The map to k columns (all D without a reduction) that the settings describe, fitted on prepared rows.

    `laplacian` is L of the item graph (rec-pca, graph-pca); `popularity` [n] counts an item's training
    interactions (variance picks on the popular items); `classes` [n] numbers an item's class (lda); `device` multiplies
    the blocks of a large catalogue. Equal settings and input give equal maps. One pass over the rows finds their Gram
    sums, another the table.
    Raises UserError when k exceeds D, or where scores without variance are to be whitened without epsilon.
    """
    d = rows.shape[1]
    how = settings.reduce
    if isinstance(how, spec.NoReduction):
        k = d
    if k > d:
        raise UserError(f"cannot reduce vectors of {d} dimensions to {k}: set backbone.width to at most {d}")
    if isinstance(how, spec.GraphPCA) and laplacian is not None:
        rows = filtered(rows, laplacian, how.lambda_)
    sums = gram_sums(rows, laplacian if isinstance(how, spec.RecPCA) else None, device)
    reduction = None
    if isinstance(how, spec.PCA | spec.RecPCA | spec.GraphPCA):
        reduction = rec_pca(sums, k, how.lambda_ if isinstance(how, spec.RecPCA) else 0.0)
        w, retained = reduction.w, reduction.retained
    elif isinstance(how, spec.LDA):
        if classes is None:
            raise ValueError("discriminant analysis needs classes of the items")
        w = discriminants(rows, sums, k, classes)
        retained = _retained(sums, w)
    else:
        w = _directions(rows, sums, k, how, popularity)
        retained = _retained(sums, w)
    if isinstance(settings.basis, spec.RandomBasis):
        w = w @ random_rotation(k, generator(settings.basis.seed, "basis"))
    shift = np.zeros(k)
    if not isinstance(settings.post, spec.NoPost):
        centre = sums.mean @ w
        squares = w.T @ (sums.gram / sums.n) @ w
        rounding = k * np.finfo(np.float64).eps if rows.exact is not None else sums.precision
        after = post_step(
            squares - np.outer(centre, centre), sums.n, rounding * float(squares.diagonal().max()), settings.post
        )
        w, shift = w @ after, centre @ after
    if settings.scale is not None:
        now = math.sqrt(max(_mean_square(sums, w, shift), 0.0))
        constant = settings.scale / now if now > 0 else 1.0
        w, shift = w * constant, shift * constant
    linear_map = LinearMap(rows.mean, w, shift, rows.unit)
    return FittedTable(linear_map, rows, retained, reduction, sums)


def _mean_square(of: GramSums, w: Array, shift: Array) -> float:
    """The mean of |x w - shift|^2 over the rows x."""
    squares = float(np.einsum("dk,dk->", w, of.gram @ w)) / of.n
    return squares - 2 * float(of.mean @ w @ shift) + float(shift @ shift)


# ------------------------------------------------------------------------------------ reductions


_Direct: TypeAlias = (
    spec.Gaussian
    | spec.Orthogonal
    | spec.Autoencoder
    | spec.NoReduction
    | spec.Truncate
    | spec.Uniform
    | spec.Variance
    | spec.RandomSubset
)
"""Reductions that are no eigenproblem."""


def _directions(
    rows: PreparedRows, of: GramSums, k: int, how: _Direct, popularity: npt.NDArray[np.int64] | None
) -> Array:
    """w [D x k] of the reductions that are no eigenproblem."""
    d = rows.shape[1]
    match how:
        case spec.Gaussian():
            return _draw(how).standard_normal((d, k)) / math.sqrt(k)
        case spec.Orthogonal():
            return random_rotation(d, _draw(how), k) * math.sqrt(d / k)
        case spec.Autoencoder():
            return _autoencoder(of.gram, k, how.steps, _draw(how))
        case spec.NoReduction() | spec.Truncate():
            picked = np.arange(k)
        case spec.Uniform():
            picked = np.arange(k) * d // k
        case spec.Variance():
            picked = _most_variable(rows, k, how.popular_share, popularity)
        case spec.RandomSubset():
            picked = np.sort(_draw(how).choice(d, k, replace=False))
        case _:
            assert_never(how)
    w: Array = np.eye(d)[:, picked]
    return w


def _draw(how: DrawnReduction) -> np.random.Generator:
    return generator(how.seed, "reduce")


def _most_variable(
    rows: PreparedRows, k: int, share: float, popularity: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.int64]:
    """The k coordinates of largest variance over the most popular items, in their own order (ties: the earlier)."""
    n, d = rows.shape
    items = np.arange(n)
    if share < 1:
        if popularity is None:
            raise ValueError("variance on the popular items needs their popularity")
        items = np.sort(np.argsort(-popularity, kind="stable")[: math.ceil(share * n)])
    total, squares = np.zeros(d), np.zeros(d)
    for which in spans((len(items), d)):
        block = rows.take(items[which]).double().numpy()
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    variances = squares / len(items) - (total / len(items)) ** 2
    return np.sort(np.argsort(-variances, kind="stable")[:k])


def _autoencoder(gram: Array, k: int, steps: int, draw: np.random.Generator) -> Array:
    """Encoder W [D x k] of min_{W, V} ||X - X W V||^2, trained by Adam from a random start.

    The loss depends on X through its Gram matrix alone, so a step costs O(D^2 k), whatever n. Its optima
    span the PCA subspace; where the steps end near one, only the basis is the autoencoder's own.
    """
    d = len(gram)
    total = float(np.trace(gram))
    gram = gram * (d / total) if total > 0 else gram
    start = random_rotation(d, draw, k)
    weights = [start.copy(), start.T.copy()]
    first, second = ([np.zeros_like(part) for part in weights] for _ in range(2))
    for step in range(1, steps + 1):
        w, v = weights
        gw = gram @ w
        slopes = (gw @ (v @ v.T) - gram @ v.T, (w.T @ gw) @ v - gw.T)
        rate = 0.01 * (1 + math.cos(math.pi * (step - 1) / steps)) / 2
        for i, slope in enumerate(slopes):
            first[i] += 0.1 * (slope - first[i])
            second[i] += 0.001 * (slope**2 - second[i])
            size = np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8
            weights[i] -= rate * (first[i] / (1 - 0.9**step)) / size
    return weights[0]


def _retained(of: GramSums, w: Array) -> float:
    """||X Q||^2 / ||X||^2 with Q an orthonormal basis of the columns of w."""
    basis = np.linalg.qr(w[:, w.any(axis=0)])[0]
    total = float(np.trace(of.gram))
    return float(np.einsum("dk,dk->", basis, of.gram @ basis)) / total if total > 0 else 0.0


# ------------------------------------------------------------------------------------ chance


def generator(seed: int, use: str) -> np.random.Generator:
    """Random numbers for one use of a seed, independent of its other uses."""
    return np.random.default_rng([seed, *use.encode()])


def random_rotation(d: int, draw: np.random.Generator, k: int | None = None) -> Array:
    """k orthonormal columns [d x k] (k = d: an orthogonal matrix) from the uniform distribution."""
    return orthonormal(draw.standard_normal((d, d if k is None else k)))


def orthonormal(columns: Array) -> Array:
    """The orthonormal columns of a QR decomposition whose R has a positive diagonal. Only then are those of
    Gaussian columns distributed uniformly: LAPACK's own signs favour some directions."""
    q, r = np.linalg.qr(columns)
    turned: Array = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return turned
