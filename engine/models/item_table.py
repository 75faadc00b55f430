"""The item table: how item vectors enter the backbone and score its output (METHOD.md A.4 steps 4-5)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.spec import Table

_TINY = 1e-6  # a row shorter than this share of the mean row has no direction of its own


def initial_table(
    settings: Table, n_items: int, width: int, z: npt.NDArray[np.float32] | None, generator: torch.Generator
) -> tuple[Tensor, int]:
    """The initial rows [n, width], and how many of them had no direction.

    ID tables are normal with standard deviation `id_sd`. Of reduced LLM vectors Z [n, width], a row of
    zeros (an item exactly at the mean) has no direction that normalisation could keep: it gets a random
    one at the mean norm. `rescale` multiplies the whole table by one constant so that the mean row norm
    is 1, as it is under normalisation, with the disparity kept (METHOD.md D.3).
    """
    if settings.init == "id":
        rows, bare = torch.randn(n_items, width, generator=generator) * settings.id_sd, 0
    else:
        if z is None or z.shape != (n_items, width):
            raise ValueError(f"needs vectors of shape {(n_items, width)}, not {None if z is None else z.shape}")
        rows = torch.tensor(z)
        norms = rows.norm(dim=1)
        lost = norms <= _TINY * norms.mean()
        bare = int(lost.sum())
        mean = norms.mean() if norms.mean() > 0 else torch.tensor(1.0)
        rows[lost] = F.normalize(torch.randn(bare, width, generator=generator), dim=1) * mean
    if settings.rescale:
        rows = rows / rows.norm(dim=1).mean()
    return rows, bare


class ItemTable(nn.Module):
    """E [n, d], trained or frozen, read as it is or with unit rows."""

    def __init__(self, initial: Tensor, settings: Table) -> None:
        super().__init__()
        self.weight = nn.Parameter(initial.clone(), requires_grad=settings.inject == "initialise")
        self.unit_input = settings.normalize in ("input", "both")
        self.unit_scoring = settings.normalize in ("scoring", "both")

    def forward(self) -> tuple[Tensor, Tensor]:
        """(rows that enter the backbone [n, d], rows that score [n, d]); unit rows are computed once."""
        unit = F.normalize(self.weight, dim=1) if self.unit_input or self.unit_scoring else self.weight
        return (unit if self.unit_input else self.weight), (unit if self.unit_scoring else self.weight)
