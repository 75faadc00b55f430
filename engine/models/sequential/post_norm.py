"""Post-norm parts that FMLP-Rec and BSARec share: the input layer and the feed-forward layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.dropout import Dropout
from engine.models.sequential.layout import Layout


class Residual(nn.Module):
    """norm(x + drop(change)): what every post-norm layer ends with."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.drop = nn.LayerNorm(width), Dropout(dropout)

    def forward(self, x: Tensor, change: Tensor, used: Tensor | None = None, total: int = 0) -> Tensor:
        """[T, d] both; or [N, d] both, the rows `used` [N] of `total`."""
        dropped = self.drop(change) if used is None else self.drop.of_rows(change, used, total)
        out: Tensor = self.norm(x + dropped)
        return out


class FeedForward(nn.Module):
    """norm(x + drop(W2 gelu(W1 x + b1) + b2))."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.widen, self.narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.residual = Residual(width, dropout)

    def forward(self, x: Tensor, used: Tensor | None, total: int) -> Tensor:
        """[T, d], or [N, d] at the rows `used` of `total`."""
        out: Tensor = self.residual(x, self.narrow(F.gelu(self.widen(x))), used, total)
        return out


class PositionedInput(nn.Module):
    """drop(norm(items + positions)), positions counted from the window's end: the last item is always at 0."""

    def __init__(self, max_length: int, width: int, dropout: float) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(max_length, width))
        self.norm, self.drop = nn.LayerNorm(width), Dropout(dropout)

    def forward(self, vectors: Tensor, layout: Layout) -> Tensor:
        """[T, d] -> [T, d]."""
        out: Tensor = self.drop(self.norm(vectors + F.embedding(layout.from_end(), self.positions)))
        return out


def small_weights(module: nn.Module) -> None:
    """Normal with sd .02 for matrices, positions and filters, zero for biases of linear layers, as all authors
    of this line of models do."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, PositionedInput):
            nn.init.normal_(part.positions, std=0.02)
