"""JGCF: a low and a middle band by Jacobi polynomials (Guo et al., KDD 2023; docs/method.md B.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine import spec
from engine.models.bipartite import Links


class JGCFPropagation(nn.Module):
    """low = 1 / (K + 1) sum_k P_k^(a, b)(A_hat) E_0, k = 0..K, and mid = tanh(alpha E_0 - low), over users and
    items; the rows that meet are low beside mid. Nothing of it is trained."""

    def __init__(self, settings: spec.JGCF) -> None:
        super().__init__()
        self.layers, self.a, self.b, self.alpha = settings.layers, settings.a, settings.b, settings.alpha

    def propagate(self, links: Links, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `Propagation`."""
        sizes = [len(users), len(items)]
        initial = torch.cat([users, items])
        before, now, total = torch.zeros_like(initial), initial, initial
        for k in range(1, self.layers + 1):
            users, items = now.split(sizes)
            near = torch.cat([links.to_users(items), links.to_items(users)])
            of_near, of_now, of_before = recurrence(k, self.a, self.b)
            before, now = now, of_near * near + of_now * now + of_before * before
            total = total + now
        low = total / (self.layers + 1)
        users, items = torch.cat([low, torch.tanh(self.alpha * initial - low)], dim=1).split(sizes)
        return users, items


def recurrence(k: int, a: float, b: float) -> tuple[float, float, float]:
    """(x, y, z) of P_k(t) = (x t + y) P_{k-1}(t) + z P_{k-2}(t), the Jacobi polynomials of a, b > -1; P_0 = 1."""
    if k == 1:
        return (a + b + 2) / 2, (a - b) / 2, 0.0
    double = 2 * k + a + b
    scale = 2 * k * (k + a + b)
    return (
        double * (double - 1) / scale,
        (double - 1) * (a * a - b * b) / (scale * (double - 2)),
        -2 * (k + a - 1) * (k + b - 1) * double / (scale * (double - 2)),
    )
