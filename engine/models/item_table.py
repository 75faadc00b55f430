"""The item table: how item vectors enter the backbone and score its output (docs/method.md A.4 steps 4-5)."""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.errors import UserError
from engine.models.spectral import SpectralAttention, spectrum

_TINY = 1e-6  # a row shorter than this share of the mean row has no direction of its own


def initial_table(
    settings: spec.Table, n_items: int, width: int, z: npt.NDArray[np.float32] | None, generator: torch.Generator
) -> tuple[Tensor, int]:
    """The initial rows, and how many of them had no direction.

    ID tables [n, width] are normal with standard deviation `id_sd`. Of LLM vectors or the rows of a trained ID
    table Z ([n, width]; any number of columns before an adapter), a row of zeros (an item exactly at the
    mean) has no direction that normalisation could keep: it gets a random one at the mean norm.
    `row_length` gives the whole table its root mean square row length by one constant (docs/method.md H.1); vectors
    under an adapter stay as long as they are, since it makes the rows (`ItemTable`).
    `rescale` multiplies it so that the mean row norm is 1, as it is under normalisation, with the disparity kept
    (docs/method.md D.3).
    """
    if isinstance(settings.init, spec.RandomRows):
        rows, bare = torch.randn(n_items, width, generator=generator) * settings.init.id_sd, 0
    else:
        if z is None or len(z) != n_items:
            raise ValueError(f"needs vectors of {n_items} items, not {None if z is None else len(z)}")
        if z.shape[1] != width and not isinstance(settings.inject, spec.ADAPTERS):
            raise UserError(
                f"vectors of {z.shape[1]} columns do not fit backbone.width={width}: reduce them, "
                "or set table.inject=linear"
            )
        rows = torch.tensor(z)
        norms = rows.norm(dim=1)
        lost = norms <= _TINY * norms.mean()
        bare = int(lost.sum())
        mean = norms.mean() if norms.mean() > 0 else torch.tensor(1.0)
        rows[lost] = F.normalize(torch.randn(bare, rows.shape[1], generator=generator), dim=1) * mean
    if isinstance(settings.inject, spec.MapAdapter) and settings.inject.unit_rows:
        rows = F.normalize(rows, dim=1) * row_length(rows)
    if settings.rescale:
        rows = rows / rows.norm(dim=1).mean()
    length = None if isinstance(settings.inject, spec.ADAPTERS) else wanted_length(settings, width)
    return (rows if length is None else rows * (length / row_length(rows))), bare


def row_length(rows: Tensor) -> float:
    """Root mean square length of rows [n, D]."""
    return math.sqrt(float(rows.double().square().sum()) / len(rows))


def wanted_length(settings: spec.Table, width: int) -> float | None:
    """The row length that is asked for; None where rows stay as they come."""
    if settings.row_length == "as-it-comes":
        return None
    if isinstance(settings.row_length, float):
        return settings.row_length
    return None if isinstance(settings.init, spec.RandomRows) else spec.ID_SD * math.sqrt(width)


class ItemTable(nn.Module):
    """Rows E [n, d] from initial rows Z [n, D], trained or frozen, with what is trained beside them.

    initialise: E = Z, trained      linear, mlp: E = adapter(Z), Z frozen, D may differ from d
    frozen:     E = Z               spectral: the same, with an adapter over Z's spectrum (SpecTran-like)
                                    sum:   E = Z + ID, Z frozen
                                    split: as sum, the ID part in the last columns only (AlphaFuse)

    Where `row_length` gives the rows of linear and mlp their length, it is by one constant in the adapter's last map.
    """

    lengths: Tensor | None
    """[n, 1], to which rows are brought back behind each step; None where they are free."""

    def __init__(self, initial: Tensor, settings: spec.Table, width: int, bare: int = 0) -> None:
        """`bare` rows of `initial` had no direction of their own (see `initial_table`)."""
        super().__init__()
        self.bare = bare
        n_items, given = initial.shape
        inject = settings.inject
        if isinstance(inject, spec.SpectralAdapter):
            initial, log_shares = spectrum(initial)
        self.weight = nn.Parameter(initial.clone(), requires_grad=isinstance(inject, spec.Initialise))
        self.register_buffer("lengths", None, persistent=False)
        self.adapter: nn.Module | None = None
        self.ids: nn.Parameter | None = None
        match inject:
            case spec.LinearAdapter():
                self.adapter = nn.Linear(given, width)
            case spec.MLPAdapter():
                hidden = 2 * width if inject.hidden == "twice-width" else -(-given // 2)
                self.adapter = nn.Sequential(nn.Linear(given, hidden), nn.GELU(), nn.Linear(hidden, width))
            case spec.SpectralAdapter():
                self.adapter = SpectralAttention(log_shares, width)
            case spec.SumWithID():
                self.ids = nn.Parameter(torch.randn(n_items, width) * inject.id_sd)
            case spec.SplitWithID():
                columns = inject.id_dims or width // 2
                if columns > width:
                    raise UserError(f"table.inject.id_dims={columns} exceeds backbone.width={width}")
                self.ids = nn.Parameter(torch.randn(n_items, columns) * inject.id_sd)
            case spec.Initialise():
                if inject.keep_lengths:
                    self.lengths = self.weight.detach().norm(dim=1, keepdim=True)
            case spec.Frozen():
                pass
            case _:
                assert_never(inject)
        self._scale_adapter(wanted_length(settings, width) if isinstance(inject, spec.MapAdapter) else None)
        self.initial_length = row_length(self.rows().detach())
        self.freeze_epochs = inject.freeze_epochs if isinstance(inject, spec.Initialise) else 0
        self.unit_input = settings.normalize in ("input", "both")
        self.unit_scoring = settings.normalize in ("scoring", "both")
        self.input_scale: nn.Parameter | float = math.sqrt(width) if settings.input_scale == "sqrt-d" else 1.0
        if settings.input_scale == "trained":
            self.input_scale = nn.Parameter(torch.ones(()))

    @torch.no_grad()
    def _scale_adapter(self, length: float | None) -> None:
        """The last map of the adapter by one constant, so that the rows it makes have this root mean square length;
        nothing for none."""
        if length is None:
            return
        factor = length / row_length(self.rows())
        last = self.adapter[-1] if isinstance(self.adapter, nn.Sequential) else self.adapter
        assert isinstance(last, nn.Linear)
        last.weight.mul_(factor)
        last.bias.mul_(factor)

    def begin_epoch(self, epoch: int) -> None:
        """Keep the rows at Z in the first `freeze_epochs` epochs (numbered from 0), free them then."""
        if self.freeze_epochs:
            self.weight.requires_grad_(epoch >= self.freeze_epochs)

    @torch.no_grad()
    def restore_lengths(self) -> None:
        """Behind a step: rows as long as they were at the start, where that is asked for."""
        if self.lengths is not None:
            self.weight.mul_(self.lengths / self.weight.norm(dim=1, keepdim=True).clamp_min(1e-30))

    def rows(self) -> Tensor:
        """E [n, d], before any normalisation."""
        rows: Tensor = self.weight if self.adapter is None else self.adapter(self.weight)
        if self.ids is None:
            return rows
        return rows + F.pad(self.ids, (rows.shape[1] - self.ids.shape[1], 0))

    def forward(self) -> tuple[Tensor, Tensor]:
        """(rows that enter the backbone [n, d], rows that score [n, d]); unit rows are computed once."""
        rows = self.rows()
        unit = F.normalize(rows, dim=1) if self.unit_input or self.unit_scoring else rows
        entering = unit if self.unit_input else rows
        if not isinstance(self.input_scale, float) or self.input_scale != 1.0:
            entering = entering * self.input_scale
        return entering, (unit if self.unit_scoring else rows)
