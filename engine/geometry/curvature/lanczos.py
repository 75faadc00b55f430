"""Lanczos with full re-orthogonalisation, and stochastic Lanczos quadrature (docs/method.md F.7 point 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.geometry.table.rows import Array

Product = Callable[[Tensor], Tensor]
"""v [m] -> A v for a symmetric A."""


@dataclass(frozen=True)
class Ritz:
    """Nodes and weights [steps] of one start: sum_k w_k f(theta_k) = v^T f(A) v for a unit v, exact for
    polynomials of degree 2 steps - 1."""

    nodes: Array
    weights: Array


def lanczos(product: Product, start: Tensor, steps: int) -> Ritz:
    """At most `steps` steps from start [m]; fewer where the Krylov space ends."""
    size = len(start)
    steps = min(steps, size)
    basis = torch.zeros((steps, size), dtype=start.dtype, device=start.device)
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    v = start / start.norm()
    scale = 0.0
    for k in range(steps):
        basis[k] = v
        w = product(v)
        diagonal.append(float(v @ w))
        for _ in range(2):  # twice is enough
            w = w - basis[: k + 1].T @ (basis[: k + 1] @ w)
        beta = float(w.norm())
        scale = max(scale, abs(diagonal[-1]), beta)
        if beta <= 1e-12 * scale or k == steps - 1:
            break
        off_diagonal.append(beta)
        v = w / beta
    count = len(diagonal)
    off = off_diagonal[: count - 1]
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return Ritz(values, vectors[0] ** 2)


@dataclass(frozen=True)
class Quadrature:
    """The spectral density of a symmetric A [m x m], from random starts."""

    probes: list[Ritz]
    size: int

    @property
    def largest(self) -> float:
        return float(max(ritz.nodes.max() for ritz in self.probes))

    @property
    def smallest(self) -> float:
        """Of the nodes: the bottom edge is not reliable."""
        return float(min(ritz.nodes.min() for ritz in self.probes))

    def mean(self, of: Callable[[Array], Array]) -> tuple[float, float]:
        """Mean of f over the eigenvalues, and its standard error over the probes."""
        each = np.array([float(ritz.weights @ of(ritz.nodes)) for ritz in self.probes])
        error = float(each.std(ddof=1)) / len(each) ** 0.5 if len(each) > 1 else float("nan")
        return float(each.mean()), error


Steps = tuple[int, int]
"""Lanczos steps from the first start, for the sake of the top edge, and from each of the others, for the density."""


def quadrature(product: Product, size: int, *, steps: Steps, probes: int, like: Tensor, seed: int = 0) -> Quadrature:
    """`probes` starts of random signs, drawn apart from training's random numbers; `like` gives type and device."""
    draw = np.random.default_rng(seed)
    starts = [torch.from_numpy(draw.choice([-1.0, 1.0], size)).to(like) for _ in range(probes)]
    return Quadrature([lanczos(product, start, steps[min(n, 1)]) for n, start in enumerate(starts)], size)
