"""Full ranking of the catalogue, and the cross-entropies that the curves show (docs/method.md C, D.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.data import Sequences
from engine.data.windows import gather, tails
from engine.models.sequential.recommender import Recommender

CUTOFFS = (5, 10, 20)
_BATCH = 512
_NO_TARGET = -1

IntArray = npt.NDArray[np.int64]
Ranks = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Cases:
    """Histories and the item that follows each.

    users:   [B] which user each case belongs to
    items:   [T] the last items of each history, as many as the backbone sees, case after case
    lengths: [B] of them
    targets: [B]
    seen:    all items of each history, to be left out of the ranking
    """

    users: IntArray
    items: IntArray
    lengths: IntArray
    targets: IntArray
    seen: Sequences


def held_out(histories: Sequences, targets: IntArray, length: int) -> Cases:
    """Cases of the users that have a target (>= 0) and any history; histories cut to `length` items."""
    users = np.flatnonzero((targets >= 0) & (np.diff(histories.offsets) > 0))
    items, lengths = tails(histories, users, length)
    sizes = np.diff(histories.offsets)[users]
    seen = Sequences(histories.items[gather(histories.offsets[users], sizes)], np.concatenate([[0], np.cumsum(sizes)]))
    return Cases(users, items, lengths, targets[users], seen)


def training_probe(train: Sequences, size: int, length: int) -> Cases:
    """A fixed sample of training positions, each with the history before it, cut to `length` items.

    The sample depends on the data and `size` alone, so arms and seeds are measured on the same positions.
    """
    sizes = np.diff(train.offsets)
    owner = np.repeat(np.arange(len(train)), np.maximum(sizes - 1, 0))
    place = gather(np.ones(len(train), dtype=np.int64), np.maximum(sizes - 1, 0))  # 1 .. size - 1 per user
    chosen = np.sort(np.random.default_rng(0).permutation(len(owner))[:size])
    users, place = owner[chosen], place[chosen]
    ends = train.offsets[users] + place
    lengths = np.minimum(place, length)
    none_seen = Sequences(np.zeros(0, dtype=np.int64), np.zeros(len(users) + 1, dtype=np.int64))
    return Cases(users, train.items[gather(ends - lengths, lengths)], lengths, train.items[ends], none_seen)


@torch.no_grad()
def evaluate(model: Recommender, cases: Cases, mask_seen: bool) -> tuple[Ranks, float]:
    """Rank of every case's target among all items (1 = best), and the mean cross-entropy in nats.

    Ties count against the target, scores that are not numbers too. With `mask_seen` the items of the
    history are left out, the target never. The cross-entropy is over the whole catalogue either way.
    """
    device = model.table.weight.device
    was_training = model.training
    model.eval()
    input_rows, scoring_rows = model.tables()
    ranks, total = [], 0.0
    starts = np.cumsum(cases.lengths) - cases.lengths
    for first in range(0, len(cases.users), _BATCH):
        part = slice(first, first + _BATCH)
        lengths = cases.lengths[part]
        begin = int(starts[first])
        items = torch.from_numpy(cases.items[begin : begin + int(lengths.sum())]).to(device)
        h = model.after(input_rows, items, torch.from_numpy(lengths))
        scores = h @ scoring_rows.T
        target = torch.from_numpy(cases.targets[part]).to(device)[:, None]
        wanted = scores.gather(1, target)
        total += float((scores.logsumexp(1, keepdim=True) - wanted).sum(dtype=torch.float64))
        if mask_seen:
            row, item = _seen_cells(cases.seen, part)
            scores[row.to(device), item.to(device)] = -torch.inf
        scores.scatter_(1, target, -torch.inf)
        better = (~(scores < wanted)).sum(1)
        ranks.append((better + 1).clamp(max=scores.shape[1]).to(torch.int32).cpu().numpy())
    model.train(was_training)
    if not ranks:
        return np.zeros(0, dtype=np.int32), float("nan")
    return np.concatenate(ranks), total / len(cases.users)


def _seen_cells(seen: Sequences, part: slice) -> tuple[Tensor, Tensor]:
    offsets = seen.offsets[part.start : part.stop + 1]
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return torch.from_numpy(row), torch.from_numpy(seen.items[offsets[0] : offsets[-1]])


def per_user(cases: Cases, ranks: Ranks, n_users: int) -> Ranks:
    """[n_users] ranks by user index, -1 for users without a case."""
    full = np.full(n_users, _NO_TARGET, dtype=np.int32)
    full[cases.users] = ranks
    return full


def metrics(ranks: Ranks) -> dict[str, float]:
    """HR@k, NDCG@k (one relevant item: 1 / log2(rank + 1)) for k in 5, 10, 20, and MRR over all ranks."""
    r = ranks.astype(np.float64)
    values: dict[str, float] = {}
    for k in CUTOFFS:
        values[f"hr@{k}"] = float((r <= k).mean()) if len(r) else 0.0
        values[f"ndcg@{k}"] = float(np.where(r <= k, 1.0 / np.log2(r + 1.0), 0.0).mean()) if len(r) else 0.0
    values["mrr"] = float((1.0 / r).mean()) if len(r) else 0.0
    return values


def popularity_cross_entropy(train: Sequences, n_items: int, targets: IntArray) -> float:
    """Mean of -log pi(target) for pi_i = (c_i + 1) / (sum c + n), c the counts in training histories."""
    counts = np.bincount(train.items, minlength=n_items) + 1.0
    return float(-np.log(counts[targets] / counts.sum()).mean()) if len(targets) else float("nan")
