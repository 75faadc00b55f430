"""What Rec-PCA gives up for smoothness, and where: told before any training (docs/method.md F.6)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.embeddings.reduce.gram import GramSums
from engine.embeddings.reduce.rec_pca import WHOLE, Reduction, rec_pca

GRID = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Values of lambda whose trade-off is shown."""
WIDE_GRID = (0.0, 0.5, 1.0, 2.0)
"""Those for more than `WHOLE` dimensions, where an eigenproblem costs as much as a pass over the rows."""
KEPT = 0.5
"""The suggested lambda keeps at least this share of the variance that PCA keeps."""


def trade_off(of: GramSums, k: int, lambda_: float, chosen: Reduction) -> dict[str, Any]:
    """Rec-PCA with `lambda_` against plain PCA of the same rows, and the same for a grid of other lambdas. JSON:

    variance, variation          V = tr(Z^T Z) and T = tr(Z^T L Z) of the k columns Z of `chosen`
    pca_variance, pca_variation  V0 and T0, those of plain PCA
    variance_lost, most_lost     V0 - V and its bound lambda (T0 - T)
    angle_mean, angle_max        of the k principal angles between both subspaces, in degrees
    angles_over_1                how many of them exceed one degree: 0 and Rec-PCA is PCA
    sweep                        for each lambda of the grid: lambda, variance_share V / V0, variation, tv_ratio T / V,
                                 positive (eigenvalues) and angle_mean
    suggested_lambda             the largest of the grid, up from 0, before the first that leaves fewer than k positive
                                 eigenvalues or less than half of V0 (V falls as lambda grows). Our rule, a place to
                                 start from: what is best for ranking only the validation split can say.

    One eigenproblem for each lambda; the rows are not read.
    """
    if of.roughness is None:
        raise ValueError("there is no trade-off without a graph")
    pca = rec_pca(of, k)
    angles = principal_angles(pca.w, chosen.w)
    sweep: list[dict[str, Any]] = []
    for value in GRID if len(of.gram) <= WHOLE else WIDE_GRID:
        reduction = chosen if value == lambda_ else pca if value == 0 else rec_pca(of, k, value)
        sweep.append(
            {
                "lambda": value,
                "variance_share": reduction.variance / pca.variance if pca.variance > 0 else 0.0,
                "variation": reduction.variation,
                "tv_ratio": reduction.tv_ratio,
                "positive": reduction.positive,
                "angle_mean": float(principal_angles(pca.w, reduction.w).mean()),
            }
        )
    return {
        "variance": chosen.variance,
        "variation": chosen.variation,
        "pca_variance": pca.variance,
        "pca_variation": pca.variation,
        "variance_lost": pca.variance - chosen.variance,
        "most_lost": lambda_ * ((pca.variation or 0.0) - (chosen.variation or 0.0)),
        "angle_mean": float(angles.mean()),
        "angle_max": float(angles.max()),
        "angles_over_1": int((angles > 1).sum()),
        "sweep": sweep,
        "suggested_lambda": _suggested(sweep, k),
    }


def principal_angles(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The k principal angles between two subspaces in degrees, rising; a and b [D x k] have orthonormal columns.

    Small angles from their sines, as their cosines are 1 to rounding.
    """
    cosines = np.linalg.svd(a.T @ b, compute_uv=False).clip(0, 1)
    sines = np.linalg.svd(b - a @ (a.T @ b), compute_uv=False)[::-1].clip(0, 1)
    angles: npt.NDArray[np.float64] = np.degrees(np.where(cosines > 0.7, np.arcsin(sines), np.arccos(cosines)))
    return angles


def _suggested(sweep: list[dict[str, Any]], k: int) -> float:
    suggested = 0.0
    for point in sweep:
        if point["positive"] < k or point["variance_share"] < KEPT:
            break
        suggested = point["lambda"]
    return suggested
