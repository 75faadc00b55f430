"""Curvature on a fixed probe while a model trains (docs/method.md F.7 points 1 and 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.geometry.curvature.conditioning import EFFECTIVE, FLAT, conditioning
from engine.geometry.table.rows import Array

NAMES = (
    "kappa",
    "kappa_effective",
    "kept",
    "kappa_sample",
    "lambda_1",
    "trace",
    "effective_rank",
    "flat_gradient",
)
_PER_SAMPLE = 4e9
"""Multiplications that the condition numbers of single samples may cost at most (but for `_LEAST` samples)."""
_LEAST = 8
_CELLS = 1 << 24
"""Probabilities held at once (128 MiB)."""


def samples_apart(prefixes: int, n_items: int, width: int) -> int:
    """How many prefixes get a Hessian of their own: all, unless the catalogue makes that dear."""
    affordable = int(_PER_SAMPLE / (n_items * width**2))
    return min(prefixes, max(_LEAST, affordable))


def probe_curvature(h: Tensor, rows: Tensor, targets: Tensor, width: int, tau: float = 1.0) -> dict[str, float]:
    """Of representations h [B, c] (divided by tau already) and scoring rows [n, c]; c = width, with a bias one more.

    kappa            of the mean over B of H = tau^-2 E^T (diag p - p p^T) E, E the first `width` columns of rows
    kappa_effective  of the same, over eigenvalues above 1e-6 lambda_1; kept: how many
    kappa_sample     median over the samples' own H (`samples_apart` of them, evenly spaced), effective as above
    lambda_1, trace, effective_rank  of the mean H
    flat_gradient    share of |grad_h|^2 in eigenvectors of the mean H with lambda_k < .01 lambda_1, mean over B;
                     grad_h = E^T (p - 1_target) / tau

    float64 throughout. kappa is infinite where the smallest eigenvalue is zero to rounding; all is NaN where a
    number that goes in is not finite.
    """
    rows, h = rows.detach().double(), h.detach().double()
    if not (rows.isfinite().all() and h.isfinite().all()):
        return dict.fromkeys(NAMES, float("nan"))
    table = rows[:, :width].contiguous()
    n, count = len(rows), len(h)
    apart = np.linspace(0, count - 1, samples_apart(count, n, width)).round().astype(int).tolist()
    mean_p = torch.zeros(n, dtype=torch.float64, device=rows.device)
    centres, kappas = [], []
    block = max(1, _CELLS // n)
    for first in range(0, count, block):
        p = (h[first : first + block] @ rows.T).softmax(1)
        mean_p += p.sum(0)
        mu = p @ table
        centres.append(mu)
        for s in apart:
            if first <= s < first + len(p):
                single = (table * p[s - first, :, None]).T @ table - torch.outer(mu[s - first], mu[s - first])
                kappas.append(_effective(_numpy(single)))
    mu = torch.cat(centres)
    mean = _numpy((table * (mean_p / count)[:, None]).T @ table - mu.T @ mu / count) / tau**2
    slopes = _numpy((mu - table[targets]) / tau)
    values = conditioning(mean)
    return {
        "kappa": values["kappa"] if values["kappa"] is not None else float("inf"),
        "kappa_effective": values["kappa_effective"] if values["kept"] else float("nan"),
        "kept": float(values["kept"]),
        "kappa_sample": float(np.median(kappas)),
        "lambda_1": values["lambda_1"],
        "trace": values["trace"],
        "effective_rank": values["effective_rank"] if values["kept"] else float("nan"),
        "flat_gradient": flat_share(mean, slopes),
    }


def flat_share(hessian: Array, gradients: Array) -> float:
    """Mean over gradients g [B x d] of sum over flat v_k of (v_k.g)^2 / |g|^2; gradients of zero are left out."""
    values, vectors = np.linalg.eigh(hessian)
    along = (gradients @ vectors) ** 2
    total = along.sum(axis=1)
    shares = along[:, values < FLAT * values[-1]].sum(axis=1)[total > 0] / total[total > 0]
    return float(shares.mean()) if len(shares) else float("nan")


def _effective(hessian: Array) -> float:
    values = np.linalg.eigvalsh(hessian)
    effective: Array = values[values > EFFECTIVE * values[-1]]
    return float(values[-1] / effective[0]) if len(effective) else float("nan")


def _numpy(tensor: Tensor) -> Array:
    array: np.ndarray[Any, np.dtype[np.float64]] = tensor.cpu().numpy()
    return array
