"""What guides an ID table by LLM vectors that no score reads: RLMRec and DaRec (docs/method.md B.2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from engine import spec
from engine.models.transfer import sent

_ROUNDS = 10  # of k-means
_LOGITS = 1 << 27
"""Most logits of a contrast that are there at once: half a gigabyte, three times while gradients are found."""


@dataclass(frozen=True)
class GuidedRows:
    """What a guide compares: propagated rows of users [m, c] and of items [n, c], their vectors [m, D] and [n, D], and
    the batch's users [N], targets [N] and negatives [N, k]. masked: nodes, users first, whose initial rows were
    masked."""

    users: Tensor
    items: Tensor
    user_vectors: Tensor
    item_vectors: Tensor
    of: Tensor
    targets: Tensor
    negatives: Tensor | None
    masked: Tensor | None

    def nodes(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """(rows, vectors) of some nodes, users first."""
        rows, vectors = torch.cat([self.users, self.items]), torch.cat([self.user_vectors, self.item_vectors])
        return F.embedding(chosen, rows), F.embedding(chosen, vectors)


class Guide(nn.Module, ABC):
    """A term of the loss that draws propagated rows to vectors."""

    def mask(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Initial rows as they enter the propagation, and the nodes that were masked."""
        return users, items, None

    @abstractmethod
    def forward(self, rows: GuidedRows) -> Tensor:
        """What it adds to the loss of the batch."""


class VectorContrast(Guide):
    """RLMRec-Con: w times the cross-entropies of cosines over tau between propagated rows and
    vectors under one map, of a batch's users against all users, of targets and of negatives among themselves: of one
    negative a pair, as published, also where the loss draws several."""

    def __init__(self, settings: spec.ContrastedID, given: int, width: int) -> None:
        super().__init__()
        self.map = leaky_map(given, width)
        self.weight, self.tau = settings.guide_weight, settings.guide_tau

    def forward(self, rows: GuidedRows) -> Tensor:
        """See `Guide`."""
        items = self.map(rows.item_vectors)
        cost = among(F.embedding(rows.of, rows.users), self.map(rows.user_vectors), rows.of, self.tau)
        for chosen in [rows.targets] if rows.negatives is None else [rows.targets, rows.negatives[:, 0]]:
            places = torch.arange(len(chosen), device=chosen.device)
            cost = cost + among(F.embedding(chosen, rows.items), F.embedding(chosen, items), places, self.tau)
        return cost * self.weight


class Reconstruction(Guide):
    """RLMRec-Gen: some nodes start from one trained row in place of their own; w times the cross-entropy of cosines
    over tau between their propagated rows under a map and their vectors, among the masked."""

    def __init__(self, settings: spec.ReconstructingID, given: int, initial: int, width: int) -> None:
        super().__init__()
        self.map = leaky_map(width, given)
        self.token = nn.Parameter(torch.zeros(1, initial))
        self.share, self.weight, self.tau = settings.masked, settings.guide_weight, settings.guide_tau

    def mask(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """See `Guide`; drawn anew for each step of training."""
        if not self.training:
            return users, items, None
        total = len(users) + len(items)
        masked = sent(torch.randperm(total)[: max(1, int(total * self.share))], users.device)
        hidden = torch.zeros(total, 1, dtype=torch.bool, device=users.device)
        hidden[masked] = True
        rows = torch.where(hidden, self.token, torch.cat([users, items]))
        return rows[: len(users)], rows[len(users) :], masked

    def forward(self, rows: GuidedRows) -> Tensor:
        """See `Guide`; 0 where nothing is masked."""
        if rows.masked is None:
            return rows.users.new_zeros(())
        found, vectors = rows.nodes(rows.masked)
        places = torch.arange(len(vectors), device=vectors.device)
        return among(self.map(found), vectors, places, self.tau) * self.weight


class Disentanglement(Guide):
    """DaRec (Yang et al., ICDE 2025), our reading: rows and vectors each under a map to a specific part p and one to a
    shared part s, of unit length; w times the sum over both sides of mean <p, s>^2 and log mean e^(-2 |p_i - p_j|^2),
    and between the sides of the mean squared difference of the matrices of cosines <s_i, s_j> (global) and of matched
    centres of the shared parts (local). Of at most `sampled` users and items of the batch."""

    def __init__(self, settings: spec.DisentangledID, given: int, width: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(leaky_map(columns, width) for columns in (width, width, given, given))
        self.weight, self.sampled, self.centres = settings.guide_weight, settings.sampled, settings.centres

    def forward(self, rows: GuidedRows) -> Tensor:
        """See `Guide`."""
        chosen = torch.cat([rows.of.unique(), rows.targets.unique() + len(rows.users)])
        chosen = chosen[sent(torch.randperm(len(chosen))[: self.sampled], chosen.device)]
        both = rows.nodes(chosen)
        specific, shared = zip(*(self.parts(side, of) for side, of in enumerate(both)), strict=True)
        cost = sum(
            (apart(p, s) + uniformity(p) for p, s in zip(specific, shared, strict=True)), rows.users.new_zeros(())
        )
        similar = [s @ s.T for s in shared]
        cost = cost + (similar[0] - similar[1]).square().mean()
        whole: Tensor = cost + matched(*(centres_of(s, self.centres) for s in shared))
        return whole * self.weight

    def parts(self, side: int, of: Tensor) -> tuple[Tensor, Tensor]:
        """(specific, shared) of propagated rows (side 0) or of vectors (side 1)."""
        specific, shared = (F.normalize(self.maps[2 * side + part](of), dim=1) for part in range(2))
        return specific, shared


def among(found: Tensor, candidates: Tensor, own: Tensor, tau: float) -> Tensor:
    """Mean cross-entropy of softmax(cosines / tau) between rows [N, c] and candidates [M, c], of which `own` [N] are
    theirs. Rows in blocks of `_LOGITS`, whose logits are made again for their gradients, where there are more."""
    found, candidates = F.normalize(found, dim=1), F.normalize(candidates, dim=1)
    block = max(1, _LOGITS // len(candidates))
    if len(found) <= block:
        return _contrast(found, candidates, own, tau) / len(found)
    costs = (
        checkpoint(_contrast, part, candidates, of, tau, use_reentrant=False)
        for part, of in zip(found.split(block), own.split(block), strict=True)
    )
    return torch.stack(list(costs)).sum() / len(found)


def _contrast(found: Tensor, candidates: Tensor, own: Tensor, tau: float) -> Tensor:
    """As `among`, of unit rows, and their sum."""
    return F.cross_entropy(found @ candidates.T / tau, own, reduction="sum")


def apart(specific: Tensor, shared: Tensor) -> Tensor:
    """Mean <p_i, s_i>^2: 0 where the parts are orthogonal."""
    return (specific * shared).sum(1).square().mean()


def uniformity(rows: Tensor) -> Tensor:
    """log mean e^(-2 |x_i - x_j|^2) over i < j (Wang & Isola, ICML 2020); rows [N, d], N >= 2."""
    first, second = torch.triu_indices(len(rows), len(rows), 1, device=rows.device)
    squared = (2 - 2 * rows @ rows.T)[first, second]  # of unit rows
    return (-2 * squared).logsumexp(0) - torch.tensor(float(len(first)), device=rows.device).log()


def centres_of(rows: Tensor, k: int) -> Tensor:
    """Means [k', d] of k-means clusters of rows [N, d], k' <= k; which rows a cluster has is a constant. Starts at rows
    far from each other."""
    with torch.no_grad():
        start = [0]
        distances = torch.cdist(rows, rows[:1])[:, 0]
        while len(start) < min(k, len(rows)):
            start.append(int(distances.argmax()))
            distances = torch.minimum(distances, torch.cdist(rows, rows[start[-1:]])[:, 0])
        centres = rows[start]
        for _ in range(_ROUNDS):
            near = torch.cdist(rows, centres).argmin(1)
            centres = torch.stack(
                [rows[near == j].mean(0) if (near == j).any() else centres[j] for j in range(len(start))]
            )
        near = torch.cdist(rows, centres).argmin(1)
    return torch.stack([rows[near == j].mean(0) for j in near.unique().tolist()])


def matched(one: Tensor, other: Tensor) -> Tensor:
    """Mean squared distance of centres matched one to one, the nearest pair first; those left over count for
    nothing."""
    distances = (one[:, None] - other).square().sum(2)
    left = distances.detach().clone()
    costs = []
    for _ in range(min(len(one), len(other))):
        row, column = divmod(int(left.argmin()), left.shape[1])
        costs.append(distances[row, column])
        left[row], left[:, column] = float("inf"), float("inf")
    return torch.stack(costs).mean()


def leaky_map(given: int, width: int) -> nn.Sequential:
    """W_2 leaky(W_1 x + b_1) + b_2, halfway between both widths inside; Glorot's uniform entries."""
    inner = (given + width) // 2
    layers = nn.Sequential(nn.Linear(given, inner), nn.LeakyReLU(), nn.Linear(inner, width))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
    return layers


def guide_of(inject: spec.Guided, given: int, initial: int, width: int) -> Guide:
    """The guide of vectors [., given] for a table of `initial` columns whose propagated rows have `width`."""
    match inject:
        case spec.ContrastedID():
            return VectorContrast(inject, given, width)
        case spec.ReconstructingID():
            return Reconstruction(inject, given, initial, width)
        case spec.DisentangledID():
            return Disentanglement(inject, given, width)
        case _:
            assert_never(inject)
