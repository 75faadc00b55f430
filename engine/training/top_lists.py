"""The items that a model recommends: the best scores of each row, in an order that is the same every time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

NO_ITEM = -1


def best_items(scores: Tensor, k: int) -> npt.NDArray[np.int32]:
    """Indices of the k highest scores of each row, best first, equal ones in the order of the catalogue: int32 [B, k].

    scores: [B, n]. -inf leaves an item out, a score that is not a number too; -1 where none is left.
    """
    scores = scores.masked_fill(scores.isnan(), -torch.inf)
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
