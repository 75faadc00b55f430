"""Post steps: what is done to the scores of a reduction, a k x k matrix of covariances (docs/method.md B.2, D.1)."""

from __future__ import annotations

from typing import assert_never

import numpy as np
import numpy.typing as npt
from scipy import linalg

from engine import spec
from engine.embeddings.reduce.rec_pca import fix_signs
from engine.errors import UserError

Array = npt.NDArray[np.float64]


def post_step(covariance: Array, n: int, rounding: float, post: spec.WhiteningPost | spec.ACE) -> Array:
    """The matrix P [k x k], two-views [k x 2k], that the centred scores of n items are multiplied with.

    With S their covariance (1/n) plus epsilon tr(S)/k on its diagonal and S = U diag(s) U^T, s falling:
    whiten U s^-1/2; zca U s^-1/2 U^T; cholesky L^-T with S = L L^T; batch-norm diag(S)^-1/2; group-whiten
    zca of each group's block; two-views zca beside group-whiten; ace U (n s + lambda)^-1/2 without epsilon, which
    makes the table U' diag(sqrt(sigma^2 / (sigma^2 + lambda))) for the scores' singular value decomposition
    U' diag(sigma) V^T.
    Variances of at most `rounding` are none: with too small an epsilon they cannot be made 1, a UserError.
    """
    k = len(covariance)
    if isinstance(post, spec.ACE):
        values, vectors = _falling(covariance)
        shrunk: Array = vectors / np.sqrt(n * np.maximum(values, 0) + post.shrinkage)
        return shrunk
    if isinstance(post, spec.InGroups) and k % post.groups:
        raise UserError(f"embedding.post.groups={post.groups} does not divide the {k} columns of the table")

    def inverse_roots(variances: Array) -> Array:
        flat = int((variances <= rounding).sum())
        if flat:
            raise UserError(
                f"{flat} of {k} reduced columns have no variance to whiten: set embedding.post.epsilon above "
                f"{post.epsilon:g} or backbone.width lower"
            )
        return np.asarray(variances**-0.5)

    def zca(block: Array) -> Array:
        values, vectors = _falling(block)
        return np.asarray((vectors * inverse_roots(values)) @ vectors.T)

    def zca_in_groups(groups: int) -> Array:
        size = k // groups
        blocks = [covariance[i : i + size, i : i + size] for i in range(0, k, size)]
        return np.asarray(linalg.block_diag(*(zca(block) for block in blocks)))

    covariance = covariance + post.epsilon * np.trace(covariance) / k * np.eye(k)
    match post:
        case spec.Whiten():
            values, vectors = _falling(covariance)
            whitened: Array = vectors * inverse_roots(values)
            return whitened
        case spec.ZCA():
            return zca(covariance)
        case spec.Cholesky():
            inverse_roots(_falling(covariance)[0])
            lower = linalg.cholesky(covariance, lower=True)
            return np.asarray(linalg.solve_triangular(lower, np.eye(k), lower=True).T)
        case spec.BatchNorm():
            return np.diag(inverse_roots(np.diag(covariance)))
        case spec.GroupWhiten() | spec.TwoViews():
            grouped = zca_in_groups(post.groups)
            return grouped if isinstance(post, spec.GroupWhiten) else np.hstack([zca(covariance), grouped])
        case _:
            assert_never(post)


def _falling(covariance: Array) -> tuple[Array, Array]:
    values, vectors = linalg.eigh(covariance)
    return values[::-1], fix_signs(vectors[:, ::-1])
