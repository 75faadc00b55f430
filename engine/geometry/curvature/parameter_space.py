"""Curvature in the space of the parameters, and the other factor beside H (docs/method.md F.1 (2), F.7 points 4-5).

    Hess_theta l = J_z^T (diag p - p p^T) J_z + rest        z the scores: the first term is the Gauss-Newton matrix
    lambda_k(J^T H J) = theta_k lambda_k(H),  theta_k in [lambda_min(K), lambda_max(K)],  K = J J^T   (Ostrowski)

with J the Jacobian of the sequence representation h and H the softmax's curvature at it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.geometry.curvature.conditioning import conditioning, softmax_hessian
from engine.geometry.curvature.lanczos import Product, Quadrature, Steps, quadrature
from engine.geometry.table.rows import Array

_SMALL = 1e-3


def flat(parts: Sequence[Tensor | None], like: Sequence[Tensor]) -> Tensor:
    """Gradients as one vector, zeros where a parameter takes no part."""
    return torch.cat(
        [(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in zip(parts, like, strict=True)]
    ).detach()


def unflat(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Inverse of `flat`."""
    parts = torch.split(vector, [p.numel() for p in like])
    return [part.view_as(p) for part, p in zip(parts, like, strict=True)]


def hessian_product(loss: Tensor, parameters: Sequence[Tensor]) -> Product:
    """v -> (Hess l) v by differentiating <grad l, v>."""
    slopes = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
    used = [(s, i) for i, s in enumerate(slopes) if s is not None and s.requires_grad]

    def product(v: Tensor) -> Tensor:
        parts = unflat(v, parameters)
        along = torch.stack([(s * parts[i]).sum() for s, i in used]).sum()
        return flat(torch.autograd.grad(along, parameters, retain_graph=True, allow_unused=True), parameters)

    return product


def gauss_newton_product(scores: Tensor, parameters: Sequence[Tensor]) -> Product:
    """v -> J^T (diag p - p p^T) J v / B for scores [B, n], the mean over the batch of the softmax's curvature."""
    p = scores.detach().softmax(1)
    dummy = torch.zeros_like(scores, requires_grad=True)
    back = torch.autograd.grad(scores, parameters, dummy, create_graph=True, allow_unused=True)
    used = [(g, i) for i, g in enumerate(back) if g is not None]

    def product(v: Tensor) -> Tensor:
        parts = unflat(v, parameters)
        (forward,) = torch.autograd.grad([g for g, _ in used], dummy, [parts[i] for _, i in used], retain_graph=True)
        bent = p * (forward - (p * forward).sum(1, keepdim=True)) / len(p)
        return flat(torch.autograd.grad(scores, parameters, bent, retain_graph=True, allow_unused=True), parameters)

    return product


def parameter_curvature(
    scores: Callable[[], Tensor], targets: Tensor, parameters: Sequence[Tensor], *, steps: Steps, probes: int
) -> dict[str, Any]:
    """Spectra of the full Hessian and of the Gauss-Newton matrix of the mean cross-entropy of a fixed batch.

    `scores` gives [B, n] from the parameters, without randomness. The top edge is reliable, the bottom one is
    not: reported are lambda_1, the share of sum |lambda| that is negative, the share of eigenvalues below
    1e-3 lambda_1 in size, the trace, a coarse density, and |Hess - GGN|_F / |Hess|_F; standard errors are over
    the probes.
    """
    size = sum(p.numel() for p in parameters)
    full = hessian_product(F.cross_entropy(scores(), targets), parameters)
    newton = gauss_newton_product(scores(), parameters)
    like = parameters[0]
    values = {
        name: _described(quadrature(product, size, steps=steps, probes=probes, like=like))
        for name, product in (("hessian", full), ("gauss_newton", newton))
    }
    draw = np.random.default_rng(1)
    of_full = of_rest = 0.0
    for _ in range(probes):  # Hutchinson: E |A v|^2 = |A|_F^2
        v = torch.from_numpy(draw.choice([-1.0, 1.0], size)).to(like)
        one = full(v)
        of_full += float(one @ one)
        of_rest += float((one - newton(v)).square().sum())
    residual = math.sqrt(of_rest / of_full) if of_full > 0 else None
    return {
        "parameters": size,
        "batch": len(targets),
        "steps": list(steps),
        "probes": probes,
        "rest": residual,
    } | values


def _described(of: Quadrature) -> dict[str, Any]:
    top = of.largest
    trace, trace_se = of.mean(lambda x: x)
    size, _ = of.mean(np.abs)
    negative, _ = of.mean(lambda x: np.maximum(-x, 0))
    small, small_se = of.mean(lambda x: (np.abs(x) < _SMALL * top).astype(np.float64))
    edges = (-math.inf, -_SMALL, _SMALL, 0.01, 0.1, 1.0)

    def cell(low: float, high: float) -> Callable[[Array], Array]:
        return lambda x: ((x > low * top) & (x <= high * top * (1 + 1e-9))).astype(np.float64)

    density = [
        {"from": max(low, -1.0), "to": high, "share": of.mean(cell(low, high))[0]}
        for low, high in itertools.pairwise(edges)
    ]
    return {
        "lambda_1": top,
        "lowest_node": of.smallest,
        "trace": trace * of.size,
        "trace_se": trace_se * of.size,
        "negative_mass": negative / size if size > 0 else 0.0,
        "below_1e-3": small,
        "below_1e-3_se": small_se,
        "density": density,
    }


def other_factor(
    represent: Callable[[int], Tensor],
    table: Array,
    probabilities: Array,
    parameters: Sequence[Tensor],
    tau: float = 1.0,
) -> dict[str, Any]:
    """K = J J^T beside H for samples s, represent(s) -> h [d]: which of the two bends J^T H J.

    `table` [n x d], `probabilities` [s x n] as float64. J takes d vector-Jacobian products a sample. The nonzero
    eigenvalues of J^T H J are those of K^1/2 H K^1/2. Medians over the samples; condition numbers count
    eigenvalues above 1e-6 of the largest. `share_of_h`: log kappa(H) / (log kappa(H) + log kappa(K)); `inside` is
    the share of lambda_k(J^T H J) / lambda_k(H) that Ostrowski's interval holds (all, but for rounding).
    """
    each = []
    for s, p in enumerate(probabilities):
        h = represent(s)
        rows = []
        for k in range(len(h)):
            slopes = torch.autograd.grad(h[k], parameters, retain_graph=True, allow_unused=True)
            rows.append(flat(slopes, parameters).double())
        jacobian = torch.stack(rows)
        gram = (jacobian @ jacobian.T).cpu().numpy()
        each.append(_compared(softmax_hessian(table, p, tau), gram))
    names = ("kappa_h", "kappa_k", "kappa_jhj", "share_of_h", "inside")
    values: dict[str, Any] = {name: float(np.median([one[name] for one in each])) for name in names}
    return values | {"samples": len(each), "dominant": "H" if values["share_of_h"] > 0.5 else "JJ^T"}


def _compared(h: Array, k: Array) -> dict[str, float]:
    values, vectors = np.linalg.eigh(k)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    bent = np.linalg.eigvalsh(root @ h @ root)[::-1]
    plain = np.linalg.eigvalsh(h)[::-1]
    real = plain > 1e-6 * plain[0]
    ratio = bent[real] / plain[real]
    slack = 1e-6 * values[-1]
    is_within = (ratio >= values[0] - slack) & (ratio <= values[-1] + slack)
    of_h, of_k = (conditioning(matrix)["kappa_effective"] for matrix in (h, k))
    total = math.log(of_h) + math.log(of_k)
    return {
        "kappa_h": of_h,
        "kappa_k": of_k,
        "kappa_jhj": float(conditioning(root @ h @ root)["kappa_effective"]),
        "share_of_h": math.log(of_h) / total if total > 0 else 0.5,
        "inside": float(is_within.mean()),
    }
