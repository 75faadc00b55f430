"""The item table: how item vectors enter the backbone and score its output (docs/method.md A.4 steps 4-5)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.embeddings import rows as sizes
from engine.errors import UserError
from engine.models.adapters import Alignment, MixedWhitenings, SharedMap, ViewAttention, adapter_of
from engine.models.blocked import blocked
from engine.models.spectral import spectrum

_APART = (*spec.ADAPTERS, *spec.GUIDED)
"""Injections of which vectors, of any number of columns, are not rows themselves."""
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
    Large frozen vectors stay where they are (`stays_in_place`), but rows without a direction are written to them.
    `rescale` multiplies it so that the mean row norm is 1, as it is under normalisation, with the disparity kept
    (docs/method.md D.3).
    """
    if isinstance(settings.init, spec.RandomRows):
        rows, bare = torch.randn(n_items, width, generator=generator) * settings.init.id_sd, 0
    else:
        if z is None or len(z) != n_items:
            raise ValueError(f"needs vectors of {n_items} items, not {None if z is None else len(z)}")
        if z.shape[1] != width and not isinstance(settings.inject, _APART):
            raise UserError(
                f"vectors of {z.shape[1]} columns do not fit backbone.width={width}: reduce them, "
                "or set table.inject=linear"
            )
        rows = torch.from_numpy(z) if stays_in_place(settings.inject, z.size) else torch.tensor(z)
        norms = rows.norm(dim=1)
        lost = norms <= _TINY * norms.mean()
        bare = int(lost.sum())
        mean = norms.mean() if norms.mean() > 0 else torch.tensor(1.0)
        if bare:
            rows[lost] = F.normalize(torch.randn(bare, rows.shape[1], generator=generator), dim=1) * mean
    if isinstance(settings.inject, spec.MapAdapter) and settings.inject.unit_rows:
        rows = F.normalize(rows, dim=1) * row_length(rows)
    if settings.rescale:
        rows = rows / rows.norm(dim=1).mean()
    return (rows if isinstance(settings.inject, _APART) else at_wanted_length(rows, settings, width)), bare


def stays_in_place(inject: spec.Inject, numbers: int) -> bool:
    """Whether vectors of so many numbers are used where they are, mapped from a file most often, and are not copied or
    stored with the weights: they are frozen, and other runs read the same pages."""
    return isinstance(inject, spec.Frozen | spec.LinearAdapter | spec.MLPAdapter) and numbers > sizes.LARGE


def at_wanted_length(rows: Tensor, settings: spec.Table, width: int) -> Tensor:
    """Rows [n, D] by the one constant that gives their root mean square, or under `id-median` their median row, the
    length that is asked for."""
    length = wanted_length(settings, width)
    if length is None:
        return rows
    of_median = settings.row_length == "id-median"
    own = float(rows.double().norm(dim=1).quantile(0.5)) if of_median else row_length(rows)
    return rows * (length / own)


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


def principal_components(rows: Tensor, k: int) -> Tensor:
    """The scores [n, k] of rows [n, D] on their first k principal axes; of fewer columns, zeros behind them."""
    centred = rows.double() - rows.double().mean(0)
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :k]
    scores = centred @ axes
    return F.pad(scores, (0, k - scores.shape[1])).to(rows.dtype)


def _trained_ids(inject: spec.Inject, initial: Tensor, width: int) -> nn.Parameter | None:
    """Rows that are trained beside the vectors; None for an injection without."""
    if isinstance(inject, spec.DualViews):
        return nn.Parameter(principal_components(initial, width))
    if isinstance(inject, spec.SumWithID | spec.GuidedID):
        return nn.Parameter(torch.randn(len(initial), width) * inject.id_sd)
    if isinstance(inject, spec.SplitWithID):
        columns = inject.id_dims or width // 2
        if columns > width:
            raise UserError(f"table.inject.id_dims={columns} exceeds backbone.width={width}")
        return nn.Parameter(torch.randn(len(initial), columns) * inject.id_sd)
    return None


class ItemTable(nn.Module):
    """Rows E [n, d] from initial rows Z [n, D], trained or frozen, with what is trained beside them.

    initialise: E = Z, trained      linear, mlp: E = adapter(Z), Z frozen, D may differ from d
    frozen:     E = Z               spectral: the same, with an adapter over Z's spectrum (SpecTran-like)
                                    sum:   E = Z + ID, Z frozen
                                    split: as sum, the ID part in the last columns only (AlphaFuse)

    moe:        E = sum_k g_k (Z - b_k) W_k, gates g trained too (UniSRec)
    aligned:    E = W_2 W_1 Z, drawn to the rows of a trained ID table by `extra_loss` (LLMEmb)
    shared:     E = f(Z_1) + f(Z_2) for the halves of Z (WhitenRec+)
    attended:   E = [f(Z_1), f(Z_2)] enters, attention over the two scores (DWSRec)
    dual:       E = [W_2 W_1 Z, ID], ID started from principal components of Z (LLM-ESR)
    contrasted, reconstructing, disentangled: E = ID, and Z guides its training (RLMRec, DaRec; `graph/guides.py`)

    Where `row_length` gives the rows of such a map their length, it is by one constant in the adapter's last map.
    """

    weight: Tensor
    lengths: Tensor | None
    """[n, 1], to which rows are brought back behind each step; None where they are free."""

    def __init__(
        self, initial: Tensor, settings: spec.Table, width: int, bare: int = 0, reference: Tensor | None = None
    ) -> None:
        """`bare` rows of `initial` had no direction of their own (see `initial_table`); `reference` [n, d] are the rows
        that `aligned` draws its own to."""
        super().__init__()
        self.bare = bare
        self._width, given = width, initial.shape[1]
        inject = settings.inject
        log_shares = None
        if isinstance(inject, spec.SpectralAdapter):
            initial, log_shares = spectrum(initial)
        self.in_place = stays_in_place(inject, initial.numel())
        if self.in_place:
            self.register_buffer("weight", initial, persistent=False)
        else:
            self.weight = nn.Parameter(initial.clone(), requires_grad=isinstance(inject, spec.Initialise))
        self.register_buffer("lengths", None, persistent=False)
        self.adapter = adapter_of(inject, given, width, log_shares)
        self.ids = _trained_ids(inject, initial, width)
        self.attention = ViewAttention(width) if isinstance(inject, spec.AttendedViews) else None
        self.alignment: Alignment | None = None
        if isinstance(inject, spec.AlignedAdapter):
            if reference is None:
                raise ValueError("needs the rows of a trained ID table")
            self.alignment = Alignment(reference, inject.align_tau, inject.align_weight)
        if isinstance(inject, spec.Initialise) and inject.keep_lengths:
            self.lengths = self.weight.detach().norm(dim=1, keepdim=True)
        self.has_views = isinstance(inject, spec.ViewsAdapter)
        self.is_guided = isinstance(inject, spec.GuidedID)
        if self.is_guided and self.ids is not None and isinstance(settings.row_length, float):
            self.ids = nn.Parameter(self.ids.detach() * (settings.row_length / row_length(self.ids.detach())))
        self.train(False)  # lengths are those without noise
        self._scale_adapter(wanted_length(settings, width) if isinstance(inject, spec.MapAdapter) else None)
        rows = self.rows().detach()
        self.initial_length = row_length(rows.view(-1, width) if self.has_views else rows)
        self.train()
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
        if isinstance(self.adapter, MixedWhitenings | SharedMap):
            self.adapter.multiply(length / row_length(self.rows()) * (math.sqrt(2) if self.has_views else 1.0))
            return
        made = self.rows()
        if self.has_views and self.ids is not None:  # each view has the length
            self.ids.mul_(length / row_length(self.ids))
            made = made[:, : self.ids.shape[1]]
        factor = length / row_length(made)
        last = self.adapter[-1] if isinstance(self.adapter, nn.Sequential) else self.adapter
        assert isinstance(last, nn.Linear)
        last.weight.mul_(factor)
        last.bias.mul_(factor)

    @torch.no_grad()
    def keep_items(self, part: slice) -> list[str]:
        """Leave all rows but these away; the names of the parameters that had a row an item."""
        self.weight = nn.Parameter(self.weight[part].clone(), requires_grad=self.weight.requires_grad)
        if self.lengths is not None:
            self.lengths = self.lengths[part].clone()
        if self.ids is None:
            return ["weight"]
        self.ids = nn.Parameter(self.ids[part].clone(), requires_grad=self.ids.requires_grad)
        return ["weight", "ids"]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Frozen vectors are those that it was made with, whether or not a file holds them."""
        name = f"{prefix}weight"
        if self.in_place:
            state_dict.pop(name, None)
        elif not self.weight.requires_grad:
            state_dict.setdefault(name, self.weight.detach())
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def begin_epoch(self, epoch: int) -> None:
        """Keep the rows at Z in the first `freeze_epochs` epochs (numbered from 0), free them then."""
        if self.freeze_epochs:
            self.weight.requires_grad_(epoch >= self.freeze_epochs)

    @torch.no_grad()
    def restore_lengths(self) -> None:
        """Behind a step: rows as long as they were at the start, where that is asked for."""
        if self.lengths is not None:
            self.weight.mul_(self.lengths / self.weight.norm(dim=1, keepdim=True).clamp_min(1e-30))

    def rows(self, items: Tensor | None = None) -> Tensor:
        """E [n, d], before any normalisation; [n, 2 d] of views. Of `items` alone where they are named, of a table that
        is trained rows and nothing else, whose gradient is then sparse, or large frozen ones under their adapter."""
        if items is not None:
            given = F.embedding(items, self.weight, sparse=self.weight.requires_grad)
            made: Tensor = given if self.adapter is None else self.adapter(given)
            return made
        if self.in_place and isinstance(self.adapter, nn.Sequential):
            return blocked(self.adapter, self._width, self.weight)
        if self.is_guided and self.ids is not None:
            return self.ids
        rows: Tensor = self.weight if self.adapter is None else self.adapter(self.weight)
        if self.ids is None:
            return rows
        if self.has_views:
            return torch.cat([rows, self.ids], dim=1)
        return rows + F.pad(self.ids, (rows.shape[1] - self.ids.shape[1], 0))

    def forward(self, items: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(rows that enter the backbone [n, d], rows that score [n, d]), of all items or those named (`rows`); unit
        rows are computed once."""
        rows = self.rows(items)
        scoring = rows if self.attention is None else self.attention(rows)
        unit = F.normalize(scoring, dim=1) if self.unit_input or self.unit_scoring else scoring
        entering = unit if self.unit_input else rows
        if self.unit_input and self.has_views:
            entering = torch.cat([F.normalize(view, dim=1) for view in rows.chunk(2, dim=1)], dim=1)
        if not isinstance(self.input_scale, float) or self.input_scale != 1.0:
            entering = entering * self.input_scale
        return entering, (unit if self.unit_scoring else scoring)

    def extra_loss(self, scoring: Tensor, targets: Tensor) -> Tensor | None:
        """What the table adds to the loss of targets [N], by the rows that score, whose first d columns are its own;
        None where it adds nothing."""
        if self.alignment is None:
            return None
        added: Tensor = self.alignment(scoring[:, : self.alignment.reference.shape[1]], targets)
        return added
