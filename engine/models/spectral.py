"""A SpecTran-like adapter: attention over the whole spectrum of the vectors (docs/method.md B.2).

SpecTran (Cui et al., arXiv 2601.21986) adapts LLM vectors by attention over all of their spectral components,
with a learnable position encoding built from singular values. The equations here are our reading, not the paper's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from engine.errors import UserError

_POSITION = 16  # width m of positions and queries
_FLAT = 1e-10  # a component with less than this share of the largest variance is rounding


def spectrum(z: Tensor) -> tuple[Tensor, Tensor]:
    """Standardised principal scores A [n, r] of rows Z [n, D], and log(sigma_j / sigma_1) [r], from 0 falling.

    With Z - mean = U diag(sigma) V^T, A = sqrt(n) U over the r components that have any variance: its columns
    have mean 0 and variance 1. Raises UserError where all rows are equal.
    """
    rows = z.double()
    rows = rows - rows.mean(0)
    values, axes = torch.linalg.eigh(rows.T @ rows)
    values, axes = values.flip(0), axes.flip(1)
    is_kept = values > _FLAT * values[0]
    if not values[0] > 0 or not is_kept.any():
        raise UserError("table.inject=spectral: all item vectors are equal, so they have no spectrum; use others")
    values, axes = values[is_kept], axes[:, is_kept]
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    scores = rows @ (axes * largest.sign() * (len(rows) / values).sqrt())
    return scores.float(), (values / values[0]).log().float() / 2


class SpectralAttention(nn.Module):
    """Standardised scores A [n, r] -> E [n, d]. Column c of E attends over the r components:

        h_ic = sum_j w_cj (o_c . v_j) a_ij,   w_c = softmax_j(q_c . p_j / sqrt(m) + beta log(sigma_j / sigma_1))
        E = h + FFN(h)

    p_j = position(log(sigma_j / sigma_1)) in R^m is the learned encoding of a component's place in the
    spectrum, q_c the query of a column, v_j in R^d the value vector of a component and o_c what a column reads
    from it, which carries the sign. beta starts at 1: components then weigh like their singular values, as in
    PCA. h starts with rows of root mean square length 1, whatever the spectrum.

    All weights are shared by the items: a step costs n r d and stores nothing of size n x r x d.
    """

    log_shares: Tensor

    def __init__(self, log_shares: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("log_shares", log_shares)
        self.position = nn.Sequential(nn.Linear(1, _POSITION), nn.GELU(), nn.Linear(_POSITION, _POSITION))
        self.beta = nn.Parameter(torch.ones(()))
        self.queries = nn.Parameter(torch.randn(width, _POSITION))
        self.values = nn.Parameter(torch.randn(len(log_shares), width))
        self.readout = nn.Parameter(torch.randn(width, width))
        with torch.no_grad():
            self.readout.div_(self.weights().norm())  # A's columns are uncorrelated and of variance 1
        self.feed_forward = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def attention(self) -> Tensor:
        """w [d, r]; rows add up to 1."""
        positions = self.position(self.log_shares[:, None])
        return torch.softmax(self.queries @ positions.T / math.sqrt(_POSITION) + self.beta * self.log_shares, dim=1)

    def weights(self) -> Tensor:
        """[d, r], what the scores are multiplied with."""
        return self.attention() * (self.readout @ self.values.T)

    def forward(self, scores: Tensor) -> Tensor:
        mixed = scores @ self.weights().T
        adapted: Tensor = mixed + self.feed_forward(mixed)
        return adapted
