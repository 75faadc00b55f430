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
        out: Tensor = x * self._factors(x.numel(), x).view_as(x)
        return out

    def of_rows(self, x: Tensor, rows: Tensor, total: int) -> Tensor:
        """x [N, d] as the rows `rows` [N] of a whole [total, d] would leave: on a CPU the mask is drawn for the whole,
        which costs little, so that random numbers do not depend on which rows were computed."""
        if not self.training or self._dropped == 0 or x.device.type != "cpu":
            return self.forward(x)
        return x * self._factors(total * x.shape[1], x).view(total, -1).index_select(0, rows)

    def _factors(self, count: int, like: Tensor) -> Tensor:
        """[count] what numbers are multiplied with, of the type of `like`. The comparison writes that type itself: as
        truth values, to be converted, it takes nine times as long."""
        draws = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]
        kept = torch.empty(count, dtype=like.dtype)
        torch.ge(draws, self._dropped - _STEPS // 2, out=kept)
        return kept.mul_(_STEPS / (_STEPS - self._dropped))
