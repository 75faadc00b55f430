"""Moments of Adam for rows of a table that have had a gradient, and for no others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_LEAST = 1024  # rows that room is made for at once


class RowMoments:
    """Adam on each row of a table [n, d] by itself: a row's moments and its count of steps are those of the steps in
    which it had a gradient.

    Where every row has one in each step that is Adam. Where a row has none, Adam lets its moments decay and moves it on
    by them, and the lazy form does neither; and the bias of the moments is corrected by the row's own count of steps.
    Time and memory go with the rows that had gradients, but for 4 bytes for each of the n.
    """

    def __init__(self, table: Tensor) -> None:
        self._slots = torch.full((len(table),), -1, dtype=torch.int32, device=table.device)
        self._rows = torch.zeros(0, dtype=torch.int64, device=table.device)
        self._steps = torch.zeros(0, dtype=torch.int64, device=table.device)
        self._first, self._second = (table.new_zeros(0, table.shape[1]) for _ in range(2))
        self._count = 0

    def step(self, table: Tensor, gradient: Tensor, *, lr: float, betas: tuple[float, float], eps: float) -> None:
        """One step on the table in place, by a sparse gradient of its rows."""
        gradient = gradient.coalesce()
        rows, slopes = gradient.indices()[0], gradient.values()
        slots = self._slots_of(rows)
        steps = self._steps[slots] + 1
        first = self._first[slots].lerp_(slopes, 1 - betas[0])
        second = self._second[slots].mul_(betas[1]).addcmul_(slopes, slopes, value=1 - betas[1])
        self._steps[slots], self._first[slots], self._second[slots] = steps, first, second
        corrections = [(1 - beta ** steps.double()).to(table.dtype)[:, None] for beta in betas]
        size = second.div_(corrections[1]).sqrt_().add_(eps)
        table[rows] -= first.div_(corrections[0]).div_(size).mul_(lr)

    def _slots_of(self, rows: Tensor) -> Tensor:
        """Where the moments of the rows are, with room for those that are new."""
        new = rows[self._slots[rows] < 0]
        wanted = self._count + len(new)
        if wanted > len(self._rows):
            more = max(wanted, 2 * len(self._rows), _LEAST) - len(self._rows)
            self._rows, self._steps = (torch.cat([old, old.new_zeros(more)]) for old in (self._rows, self._steps))
            width = self._first.shape[1]
            self._first, self._second = (
                torch.cat([old, old.new_zeros(more, width)]) for old in (self._first, self._second)
            )
        self._rows[self._count : wanted] = new
        self._slots[new] = torch.arange(self._count, wanted, dtype=torch.int32, device=rows.device)
        self._count = wanted
        return self._slots[rows].long()

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: the rows that had gradients, and of each its steps and moments."""
        kept = {"rows": self._rows, "steps": self._steps, "exp_avg": self._first, "exp_avg_sq": self._second}
        return {name: tensor[: self._count] for name, tensor in kept.items()}

    def load(self, kept: Mapping[str, Tensor]) -> None:
        """What `tensors` gave, in the place of what is here."""
        device = self._slots.device
        self._rows, self._steps = kept["rows"].to(device).clone(), kept["steps"].to(device).clone()
        self._first, self._second = (kept[name].to(device).clone() for name in ("exp_avg", "exp_avg_sq"))
        self._count = len(self._rows)
        self._slots.fill_(-1)
        self._slots[self._rows] = torch.arange(self._count, dtype=torch.int32, device=device)
