"""Adapters that make rows of frozen vectors, beside those that torch has (docs/method.md B.2)."""

from __future__ import annotations

from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import spec
from engine.models.dropout import Dropout
from engine.models.spectral import SpectralAttention

_LEAST_NOISE = 0.01
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "none": nn.Identity,
}


def two_layers(given: int, hidden: int, width: int, activation: str) -> nn.Sequential:
    """W_2 a(W_1 x + b_1) + b_2."""
    return nn.Sequential(nn.Linear(given, hidden), _ACTIVATIONS[activation](), nn.Linear(hidden, width))


def adapter_of(inject: spec.Inject, given: int, width: int, log_shares: Tensor | None) -> nn.Module | None:
    """The map of D = `given` columns to rows; None where vectors are the rows. `log_shares` are those of a spectrum."""
    adapter: nn.Module | None = None
    match inject:
        case spec.LinearAdapter():
            adapter = nn.Linear(given, width)
        case spec.MLPAdapter():
            hidden = {"twice-width": 2 * width, "half-input": -(-given // 2), "width": width}[inject.hidden]
            adapter = two_layers(given, hidden, width, inject.activation)
        case spec.SpectralAdapter():
            if log_shares is None:
                raise ValueError("needs the shares of a spectrum")
            adapter = SpectralAttention(log_shares, width)
        case spec.MoEAdapter():
            adapter = MixedWhitenings(inject, given, width)
        case spec.SharedAdapter() | spec.AttendedViews():
            adapter = SharedMap(given, width, added=isinstance(inject, spec.SharedAdapter))
        case spec.AlignedAdapter() | spec.DualViews():
            adapter = two_layers(given, -(-given // 2), width, "none")
        case spec.Initialise() | spec.Frozen() | spec.SumWithID() | spec.SplitWithID():
            pass
        case spec.ContrastedID() | spec.ReconstructingID() | spec.DisentangledID():
            pass  # the graph family makes what guides the table
        case _:
            assert_never(inject)
    return adapter


class MixedWhitenings(nn.Module):
    """sum_k g_k (drop(x) - b_k) W_k with gates g = softmax(x G + noise) (UniSRec; Hou et al., KDD 2022).

    While training the noise is Gaussian with standard deviations softplus(x N) + .01. G, N and b_k start at zero, W_k
    normal with standard deviation .02, as in the authors' code.
    """

    def __init__(self, settings: spec.MoEAdapter, given: int, width: int) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(settings.experts, given, width) * 0.02)
        self.centres = nn.Parameter(torch.zeros(settings.experts, given))
        self.gates = nn.Parameter(torch.zeros(given, settings.experts))
        self.noise = nn.Parameter(torch.zeros(given, settings.experts)) if settings.gate_noise else None
        self.drop = Dropout(settings.vector_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[n, D] -> [n, d]."""
        logits = x @ self.gates
        if self.noise is not None and self.training:
            logits = logits + torch.randn_like(logits) * (F.softplus(x @ self.noise) + _LEAST_NOISE)
        gates = logits.softmax(1)
        rows = torch.zeros(len(x), self.maps.shape[2], dtype=x.dtype, device=x.device)
        for number, (centre, weight) in enumerate(zip(self.centres, self.maps, strict=True)):
            rows = rows + gates[:, number, None] * ((self.drop(x) - centre) @ weight)
        return rows

    @torch.no_grad()
    def multiply(self, factor: float) -> None:
        """Make the rows so many times as long."""
        self.maps.mul_(factor)


class SharedMap(nn.Module):
    """Both halves of the vectors under one map W_2 relu(W_1 x + b_1) + b_2: WhitenRec+ adds the rows up, the views of
    DWSRec stay side by side."""

    def __init__(self, given: int, width: int, *, added: bool) -> None:
        super().__init__()
        self.map, self.added = two_layers(given // 2, width, width, "relu"), added

    def forward(self, x: Tensor) -> Tensor:
        """[n, 2 D] -> [n, d], or [n, 2 d] of views."""
        first, second = (self.map(half) for half in x.chunk(2, dim=1))
        return first + second if self.added else torch.cat([first, second], dim=1)

    @torch.no_grad()
    def multiply(self, factor: float) -> None:
        """Make the rows so many times as long."""
        for part in self.map[-1].parameters():
            part.mul_(factor)


class Alignment(nn.Module):
    """How far rows x_i are from those r_i of a trained table (LLMEmb, RAT): with targets t = softmax((x x^T + r r^T)
    tau / 2) the mean of the cross-entropies of softmax(r x^T / tau) by rows and by columns."""

    reference: Tensor

    def __init__(self, reference: Tensor, tau: float, weight: float) -> None:
        super().__init__()
        self.register_buffer("reference", reference)
        self.tau, self.weight = tau, weight

    def forward(self, rows: Tensor, items: Tensor) -> Tensor:
        """`weight` times it, for the rows [n, d] of some items [N], each counted once."""
        items = items.unique()
        x, r = rows.index_select(0, items), self.reference.index_select(0, items)
        targets = ((x @ x.T + r @ r.T) * (self.tau / 2)).softmax(1)
        logits = r @ x.T / self.tau
        costs = targets * logits.log_softmax(1) + targets.T * logits.T.log_softmax(1)
        return costs.sum(1).mean() * (-self.weight / 2)


class ViewAttention(nn.Module):
    """One vector of two views: sum_v softmax_v(<a, x_v W>) x_v (DWSRec)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width) * 0.02)
        self.readout = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, views: Tensor) -> Tensor:
        """[N, 2 d] -> [N, d]."""
        both = torch.stack(views.chunk(2, dim=1))
        shares = (both @ self.weight @ self.readout).softmax(0)
        mixed: Tensor = (both * shares[:, :, None]).sum(0)
        return mixed
