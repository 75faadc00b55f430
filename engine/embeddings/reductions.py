"""Reductions of X [n x D] to k columns, as linear maps that also take items never seen in training.

A map is fitted on the prepared rows of the catalogue (`prepare`: centred, unit length) in up to four
steps (`fit`): reduce to k scores, turn their axes, a post step on the k scores (whitening and its
relatives), one constant for the scale. All of them are linear, so their product is one matrix.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from scipy import linalg

from engine.embeddings.laplacian import Laplacian
from engine.embeddings.reduce import fix_signs, rec_pca
from engine.spec import Embedding, UserError

Array = npt.NDArray[np.float64]

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

    def of_rows(self, rows: Array) -> Array:
        """Table rows of prepared rows [m x D]."""
        z: Array = rows @ self.w - self.shift
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
        """Write a safetensors file (float64), whole or not at all."""
        about = {"format": _FORMAT, "formula": _FORMULA}
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            beside.write_bytes(save(self.tensors(), {"tfllmer.map": json.dumps(about)}))
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def load_map(path: Path) -> LinearMap:
    """Read what `LinearMap.save` wrote. Raises UserError for any other file."""
    try:
        with safe_open(path, "np") as file:
            return LinearMap.from_tensors({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, KeyError):
        raise UserError(f"{path}: not a map; `tfllmer export map` writes them") from None


@dataclass(frozen=True)
class Fitted:
    """A fitted map and the table it gives.

    map:      for raw vectors; on the catalogue's own it gives z, except where the graph filters rows (graph-pca)
    z:        [n x k]
    retained: share of the rows' sum of squares inside the k kept directions, before basis and post step
    tv_ratio: tr(Z^T L Z) / tr(Z^T Z) of the reduced rows (Rec-PCA only)
    positive: number of positive eigenvalues (PCA kinds only): fewer than k and lambda is too large
    """

    map: LinearMap
    z: Array
    retained: float
    tv_ratio: float | None
    positive: int | None


def prepare(x: Array, settings: Embedding) -> tuple[Array, Array]:
    """(mean [D], rows [n x D]): centred and at unit length, as the settings say. x is not changed."""
    mean = x.mean(axis=0) if settings.center else np.zeros(x.shape[1])
    rows = x - mean
    return mean, unit_rows(rows) if settings.pre_normalize else rows


def unit_rows(x: Array) -> Array:
    """Rows at length 1; a row of zeros stays zero."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    unit: Array = np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)
    return unit


def fit(
    mean: Array,
    rows: Array,
    k: int,
    settings: Embedding,
    *,
    laplacian: Laplacian | None = None,
    popularity: npt.NDArray[np.int64] | None = None,
) -> Fitted:
    """The map to k columns that the settings describe, fitted on prepared rows [n x D] with their mean [D].

    `laplacian` is L of the item graph (rec-pca, graph-pca); `popularity` [n] counts an item's training
    interactions (variance picks on the popular items). Equal settings and input give equal maps.
    Raises UserError when k exceeds D, or where scores without variance are to be whitened without epsilon.
    """
    d = rows.shape[1]
    if k > d:
        raise UserError(f"cannot reduce vectors of {d} dimensions to {k}: set backbone.width to at most {d}")
    if settings.reduce == "graph-pca" and laplacian is not None:
        rows = rows - settings.lambda_ * laplacian.product(rows)
    tv_ratio = positive = None
    if settings.reduce in ("pca", "rec-pca", "graph-pca"):
        reduction = rec_pca(rows, k, laplacian if settings.reduce == "rec-pca" else None, settings.lambda_)
        w, retained = reduction.w, reduction.retained
        tv_ratio, positive = reduction.tv_ratio, reduction.positive
    else:
        w = _directions(rows, k, settings, popularity)
        retained = _retained(rows, w)
    if settings.basis == "random":
        w = w @ random_rotation(k, generator(settings.seed, "basis"))
    shift = np.zeros(k)
    if settings.post != "none":
        scores = rows @ w
        centre = scores.mean(axis=0)
        after = _post(scores - centre, settings)
        w, shift = w @ after, centre @ after
    made = LinearMap(mean, w, shift, settings.pre_normalize)
    z = made.of_rows(rows)
    if settings.scale is not None:
        now = math.sqrt(float((z**2).sum()) / len(z))
        constant = settings.scale / now if now > 0 else 1.0
        made = LinearMap(mean, w * constant, shift * constant, settings.pre_normalize)
        z = made.of_rows(rows)
    return Fitted(made, z, retained, tv_ratio, positive)


# ------------------------------------------------------------------------------------ reductions


def _directions(rows: Array, k: int, settings: Embedding, popularity: npt.NDArray[np.int64] | None) -> Array:
    """w [D x k] of the reductions that are no eigenproblem."""
    d = rows.shape[1]
    draw = generator(settings.seed, "reduce")
    match settings.reduce:
        case "gaussian":
            return draw.standard_normal((d, k)) / math.sqrt(k)
        case "orthogonal":
            return random_rotation(d, draw, k) * math.sqrt(d / k)
        case "autoencoder":
            return _autoencoder(rows, k, settings.ae_steps, draw)
        case "truncate":
            picked = np.arange(k)
        case "uniform":
            picked = np.arange(k) * d // k
        case "variance":
            picked = _most_variable(rows, k, settings.popular_share, popularity)
        case "random-subset":
            picked = np.sort(draw.choice(d, k, replace=False))
        case _:
            raise ValueError(f"no such reduction: {settings.reduce}")
    w: Array = np.eye(d)[:, picked]
    return w


def _most_variable(
    rows: Array, k: int, share: float, popularity: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.int64]:
    """The k coordinates of largest variance over the most popular items, in their own order (ties: the earlier)."""
    if share < 1:
        if popularity is None:
            raise ValueError("variance on the popular items needs their popularity")
        rows = rows[np.argsort(-popularity, kind="stable")[: math.ceil(share * len(rows))]]
    return np.sort(np.argsort(-rows.var(axis=0), kind="stable")[:k])


def _autoencoder(rows: Array, k: int, steps: int, draw: np.random.Generator) -> Array:
    """Encoder W [D x k] of min_{W, V} ||X - X W V||^2, trained by Adam from a random start.

    The loss depends on X through its Gram matrix alone, so a step costs O(D^2 k), whatever n. Its optima
    span the PCA subspace; where the steps end near one, only the basis is the autoencoder's own.
    """
    d = rows.shape[1]
    gram = rows.T @ rows
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


def _retained(rows: Array, w: Array) -> float:
    """||X Q||^2 / ||X||^2 with Q an orthonormal basis of the columns of w."""
    basis = np.linalg.qr(w)[0]
    total = float((rows**2).sum())
    return float(((rows @ basis) ** 2).sum()) / total if total > 0 else 0.0


# ------------------------------------------------------------------------------------ post steps


def _post(centred: Array, settings: Embedding) -> Array:
    """The matrix P [k x k] that centred scores [n x k] are multiplied with.

    With S the covariance (1/n) plus epsilon tr(S)/k on its diagonal and S = U diag(s) U^T, s falling:
    whiten U s^-1/2; zca U s^-1/2 U^T; cholesky L^-T with S = L L^T; batch-norm diag(S)^-1/2; group-whiten
    zca of each group's block; ace U (n s + lambda)^-1/2 without epsilon, which makes the table
    U' diag(sqrt(sigma^2 / (sigma^2 + lambda))) for the scores' singular value decomposition U' diag(sigma) V^T.
    """
    n, k = centred.shape
    covariance = centred.T @ centred / n
    if settings.post == "ace":
        values, vectors = _falling(covariance)
        shrunk: Array = vectors / np.sqrt(n * np.maximum(values, 0) + settings.shrinkage)
        return shrunk
    covariance += settings.epsilon * np.trace(covariance) / k * np.eye(k)
    match settings.post:
        case "whiten":
            values, vectors = _falling(covariance)
            whitened: Array = vectors * _inverse_roots(values)
            return whitened
        case "zca":
            return _zca(covariance)
        case "cholesky":
            _inverse_roots(_falling(covariance)[0])
            lower = linalg.cholesky(covariance, lower=True)
            return np.asarray(linalg.solve_triangular(lower, np.eye(k), lower=True).T)
        case "batch-norm":
            return np.diag(_inverse_roots(np.diag(covariance)))
        case "group-whiten":
            size = k // settings.groups
            blocks = [covariance[i : i + size, i : i + size] for i in range(0, k, size)]
            return np.asarray(linalg.block_diag(*(_zca(block) for block in blocks)))
    raise ValueError(f"no such post step: {settings.post}")


def _falling(covariance: Array) -> tuple[Array, Array]:
    values, vectors = linalg.eigh(covariance)
    return values[::-1], fix_signs(vectors[:, ::-1])


def _zca(covariance: Array) -> Array:
    values, vectors = _falling(covariance)
    root: Array = (vectors * _inverse_roots(values)) @ vectors.T
    return root


def _inverse_roots(variances: Array) -> Array:
    """1 / sqrt; raises UserError where there is no variance (to rounding)."""
    floor = len(variances) * np.finfo(np.float64).eps * float(variances.max(initial=0.0))
    flat = int((variances <= floor).sum())
    if flat:
        raise UserError(
            f"{flat} of {len(variances)} reduced columns have no variance to whiten: set embedding.epsilon above 0 "
            "or backbone.width lower"
        )
    inverse: Array = variances**-0.5
    return inverse


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
