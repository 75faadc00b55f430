"""Full ranking of the catalogue, and the cross-entropies that the curves show (docs/method.md C, D.4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.data import Sequences
from engine.data.cases import Cases
from engine.metrics.results import NO_TARGET
from engine.models.base import InnerProducts, Scorer, Trained

BLOCK = 512
"""Cases that are scored at once."""

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
    ranks, total = [], 0.0
    for first in range(0, len(cases), BLOCK):
        part = cases[first : first + BLOCK]
        scores = scorer.scores(part)
        device = scores.device
        target = torch.from_numpy(part.targets).to(device)[:, None]
        wanted = scores.gather(1, target)
        total += float((scores.logsumexp(1, keepdim=True) - wanted).sum(dtype=torch.float64))
        if mask_seen:
            leave_out_history(scores, part)
        scores.scatter_(1, target, -torch.inf)
        better = (~(scores < wanted)).sum(1)
        ranks.append((better + 1).clamp(max=scores.shape[1]).to(torch.int32).cpu().numpy())
    if not ranks:
        return np.zeros(0, dtype=np.int32), float("nan")
    return np.concatenate(ranks), total / len(cases)


def leave_out_history(scores: Tensor, cases: Cases) -> None:
    """Set the scores [B, n] of each case's earlier items to -inf."""
    row = torch.from_numpy(np.repeat(np.arange(len(cases)), np.diff(cases.history.offsets)))
    scores[row.to(scores.device), torch.from_numpy(cases.history.items).to(scores.device)] = -torch.inf


def per_user(cases: Cases, ranks: Ranks, n_users: int) -> Ranks:
    """[n_users] ranks by user index, -1 for users without a case."""
    full = np.full(n_users, NO_TARGET, dtype=np.int32)
    full[cases.users] = ranks
    return full


def popularity_cross_entropy(train: Sequences, n_items: int, targets: IntArray) -> float:
    """Mean of -log pi(target) for pi_i = (c_i + 1) / (sum c + n), c the counts in training histories."""
    counts = np.bincount(train.items, minlength=n_items) + 1.0
    return float(-np.log(counts[targets] / counts.sum()).mean()) if len(targets) else float("nan")
