"""Dropout whose mask costs little on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_STEPS = 1 << 16


class Dropout(nn.Module):
    """While training, each number is 0 with probability p and otherwise divided by the share that is kept.

    torch draws a 32-bit number for every element on a CPU, one after another. Here 16 bits decide on an element, so
    that p is a multiple of 2^-16, and four elements share a draw; the generator is torch's own either way.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._dropped = round(p * _STEPS)

    def forward(self, x: Tensor) -> Tensor:
        """As x, of any shape."""
        if not self.training or self._dropped == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.int16)[: x.numel()] >= self._dropped - _STEPS // 2
        return x * kept.to(x.dtype).mul_(_STEPS / (_STEPS - self._dropped)).view_as(x)
