"""The items that a model recommends to each user, in an order that is the same every time (docs/metrics.md)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.data import Sequences
from engine.data.cases import Cases
from engine.metrics import TOP, TopLists
from engine.models.base import Scorer
from engine.training.ranking import leave_out_history, scored

NO_ITEM = -1


def top_lists(scorer: Scorer, cases: Cases, mask_seen: bool, train: Sequences) -> TopLists:
    """The first TOP items of each user who has a case, with the items' interactions in training. With `mask_seen` the
    items of the history are left out, the target too where it is among them."""
    lists = np.full((len(train), TOP), NO_ITEM, dtype=np.int32)
    n_items = 0
    for part, scores, _ in scored(scorer, cases):
        n_items = scores.shape[1]
        if mask_seen:
            leave_out_history(scores, part)
        lists[part.users] = best_items(scores, TOP)
    return TopLists(lists, np.bincount(train.items, minlength=n_items))


def best_items(scores: Tensor, k: int) -> npt.NDArray[np.int32]:
    """Indices of the k highest scores of each row, best first, equal ones in the order of the catalogue: int32 [B, k].

    scores: [B, n]. -inf leaves an item out, a score that is not a number too; -1 where none is left.
    """
    scores = torch.where(scores.isnan(), -torch.inf, scores)
    kept = min(k, scores.shape[1])
    least = scores.topk(kept, dim=1).values[:, -1:]  # topk itself takes any of equal scores
    row, item = ((scores >= least) & (scores > -torch.inf)).nonzero(as_tuple=True)
    value = scores[row, item].cpu().numpy()
    rows, items = row.cpu().numpy(), item.cpu().numpy()
    order = np.lexsort((items, -value, rows))
    rows, items = rows[order], items[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    lists = np.full((len(scores), k), NO_ITEM, dtype=np.int32)
    lists[rows[place < k], place[place < k]] = items[place < k]
    return lists
