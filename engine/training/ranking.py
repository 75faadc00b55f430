"""Full ranking of the catalogue, and the cross-entropies that the curves show (docs/method.md C, D.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.data import Sequences
from engine.data.cases import Cases
from engine.metrics.results import NO_TARGET
from engine.models.base import InnerProducts, Scorer, Trained
from engine.models.transfer import sent
from engine.training.softmax import LN_2, LOG2_E, bounded

BLOCK = 512
"""Cases whose queries are made at once, runs counted as one."""

_LEAST_ROWS, _CPU_CELLS, _GPU_CELLS = 64, 1 << 18, 1 << 26  # of a block of scores: it is used while it is in the cache
_MOST_CELLS = 1 << 24  # but 64 MB of float32 are the most, for catalogues of millions

IntArray = npt.NDArray[np.int64]
Ranks = npt.NDArray[np.int32]


@contextmanager
def evaluating(model: Trained) -> Iterator[InnerProducts]:
    """The model's scorer, without dropout and gradients; its mode comes back."""
    was_training = model.training
    model.train(False)
    with torch.no_grad():
        yield model.scorer()
    model.train(was_training)


def evaluate(scorer: Scorer, cases: Cases, mask_seen: bool) -> tuple[Ranks, float]:
    """Rank of every case's target among all items (1 = best), and the mean cross-entropy of its scores in nats.

    Ties count against the target, scores that are not numbers too. With `mask_seen` the items of the
    history are left out, the target never. The cross-entropy is over the whole catalogue either way.
    """
    return together([ranked(scorer, cases, mask_seen)])


class Ranked(NamedTuple):
    """Ranks of cases, and what blocks of them cost: sums of cross-entropies in powers of two, float64."""

    ranks: Ranks
    costs: Tensor


def together(ranked: Sequence[Ranked]) -> tuple[Ranks, float]:
    """Ranks and mean cross-entropy of cases that were ranked piece by piece, in their order."""
    ranks = np.concatenate([np.zeros(0, dtype=np.int32), *(each.ranks for each in ranked)])
    if not len(ranks):
        return ranks, float("nan")
    return ranks, LN_2 * float(torch.cat([each.costs for each in ranked]).sum()) / len(ranks)


def ranked(scorer: Scorer, cases: Cases, mask_seen: bool) -> Ranked:
    """See `evaluate`."""
    ranks, costs = [], []
    for part, scores, small in scored(scorer, cases):
        n_items = scores.shape[1]
        target = sent(part.targets, scores.device)[:, None]
        wanted = scores.gather(1, target)
        spare = torch.empty_like(scores)
        costs.append((_log2_sums(scores, spare, small) - wanted).sum(dtype=torch.float64))
        if mask_seen:
            leave_out_history(scores, part)
        scores.scatter_(1, target, -torch.inf)
        worse = torch.lt(scores, wanted, out=spare).sum(1, dtype=_counts_in(spare))  # no pass to convert in float32
        ranks.append((n_items + 1 - worse).clamp(max=n_items).to(torch.int32))
    if not ranks:
        return Ranked(np.zeros(0, dtype=np.int32), torch.zeros(0, dtype=torch.float64))
    return Ranked(torch.cat(ranks).cpu().numpy(), torch.stack(costs).cpu())


def scored(scorer: Scorer, cases: Cases) -> Iterator[tuple[Cases, Tensor, bool]]:
    """The cases block by block, each with its scores [b, n] times log2(e), which the caller may overwrite, and whether
    it is known that no score is larger than `softmax.SAFE_LOG2`."""
    for part in cases.blocks(BLOCK):
        if not isinstance(scorer, InnerProducts):  # its scores are made in one go
            yield part, scorer.scores(part) * LOG2_E, False
            continue
        queries = scorer.queries(part) * LOG2_E
        small = bounded(queries, scorer.items)
        rows = rows_at_once(queries.device, len(scorer.items))
        for start in range(0, len(part), rows):
            yield part[start : start + rows], queries[start : start + rows] @ scorer.items.T, small


def rows_at_once(device: torch.device, n_items: int) -> int:
    """Cases that are scored at once."""
    if device.type != "cpu":
        return max(1, _GPU_CELLS // n_items)
    return max(1, min(max(_LEAST_ROWS, _CPU_CELLS // n_items), _MOST_CELLS // n_items))


def _counts_in(scores: Tensor) -> torch.dtype:
    """A type in which a count of items is exact: float32 holds whole numbers up to 2^24."""
    return torch.float64 if scores.shape[1] > 1 << 24 else torch.promote_types(scores.dtype, torch.float32)


def _log2_sums(scores: Tensor, spare: Tensor, small: bool) -> Tensor:
    """[b, 1] log2 of the sum of 2^score, computed in `spare`."""
    if small:
        return torch.exp2(scores, out=spare).sum(1, keepdim=True).log2()
    top = scores.amax(1, keepdim=True)
    return torch.sub(scores, top, out=spare).exp2_().sum(1, keepdim=True).log2() + top


def leave_out_history(scores: Tensor, cases: Cases) -> None:
    """Set the scores [B, n] of each case's earlier items to -inf."""
    row = np.repeat(np.arange(len(cases)) * scores.shape[1], np.diff(cases.history.offsets))
    scores.view(-1).index_fill_(0, sent(row + cases.history.items, scores.device), -torch.inf)


def per_user(cases: Cases, ranks: Ranks, n_users: int) -> Ranks:
    """[n_users] ranks by user index, -1 for users without a case."""
    full = np.full(n_users, NO_TARGET, dtype=np.int32)
    full[cases.users] = ranks
    return full


def popularity_cross_entropy(train: Sequences, n_items: int, targets: IntArray) -> float:
    """Mean of -log pi(target) for pi_i = (c_i + 1) / (sum c + n), c the counts in training histories."""
    counts = np.bincount(train.items, minlength=n_items) + 1.0
    return float(-np.log(counts[targets] / counts.sum()).mean()) if len(targets) else float("nan")
