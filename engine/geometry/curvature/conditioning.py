"""Curvature of the softmax cross-entropy at the sequence representation (docs/method.md F.1, F.2).

    H = tau^-2 E^T (diag p - p p^T) E = tau^-2 Cov_{i ~ p}(e_i)

At uniform p it is the covariance of the table's rows: initial training is governed by the table alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.geometry.table.rows import Array

EFFECTIVE = 1e-6
"""Eigenvalues above this share of the largest count for the effective condition number."""
FLAT = 1e-2
"""Directions whose eigenvalue is below this share of the largest are called flat."""


def softmax_hessian(table: Array, p: Array, tau: float = 1.0) -> Array:
    """H [d x d] for E [n x d] and p [n] that adds up to 1. The label does not enter."""
    about = table - p @ table
    hessian: Array = (about * p[:, None]).T @ about / tau**2
    return hessian


def conditioning(hessian: Array) -> dict[str, Any]:
    """Of a positive semi-definite matrix [d x d] with eigenvalues l_1 >= ... >= l_d:

    kappa            l_1 / l_d; None where l_d is zero to rounding
    kappa_effective  l_1 over the smallest eigenvalue above 1e-6 l_1; kept: how many are above
    kappa_half       l_1 over the median eigenvalue
    dims_999         size of the smallest set of eigenvalues with 99.9 % of the trace
    lambda_1, trace, effective_rank exp(-sum q log q) with q = l / trace, stable_rank trace / l_1
    spectrum         at most 64 evenly spaced eigenvalues as shares of l_1, falling
    """
    values = np.maximum(np.linalg.eigvalsh((hessian + hessian.T) / 2)[::-1], 0.0)
    first, trace = float(values[0]), float(values.sum())
    if first <= 0:
        names = ("kappa", "kappa_effective", "kappa_half", "effective_rank", "stable_rank")
        return dict.fromkeys(names) | {"kept": 0, "dims_999": 0, "lambda_1": 0.0, "trace": 0.0, "spectrum": []}
    effective = values[values > EFFECTIVE * first]
    share = values[values > 0] / trace
    middle = float(np.median(values))
    at = np.linspace(0, len(values) - 1, min(64, len(values))).round().astype(int)
    return {
        "kappa": condition_number(values),
        "kappa_effective": first / float(effective[-1]),
        "kept": len(effective),
        "kappa_half": first / middle if middle > 0 else None,
        "dims_999": int(np.searchsorted(np.cumsum(values), 0.999 * trace) + 1),
        "lambda_1": first,
        "trace": trace,
        "effective_rank": float(np.exp(-(share * np.log(share)).sum())),
        "stable_rank": trace / first,
        "spectrum": [float(value) for value in values[at] / first],
    }


def condition_number(values: npt.NDArray[np.floating]) -> float | None:
    """Largest over smallest of eigenvalues in any order; None where the smallest is zero to rounding."""
    first, last = float(values.max()), float(values.min())
    return first / last if last > len(values) * np.finfo(np.float64).eps * first else None
