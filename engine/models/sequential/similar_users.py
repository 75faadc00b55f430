"""What similar users teach: LLM-ESR's retrieval-based self-distillation (docs/method.md B.2)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.arrays import IntArray
from engine.data.windows import gather
from engine.models.transfer import sent

_CELLS = 1 << 24
"""Cosines that are computed at once."""


class SimilarUsers:
    """The K users most like each user, by cosine of their vectors, and how far a user's state is from theirs.

    A user's vector is the mean of the vectors of the items in the training history: a substitute for what an LLM makes
    of a prompt about the user. A state is that behind the training history without its last item, which is what it
    predicts. Users of fewer than two training items have none: they neither learn nor teach.
    """

    def __init__(self, train: Sequences, vectors: Tensor, settings: spec.DualViews) -> None:
        """`vectors` [n, D] of the items."""
        sizes = np.diff(train.offsets)
        self._train, self._weight = train, settings.distil_weight
        self._users = np.flatnonzero(sizes >= 2)
        self._place = np.full(len(train), -1)
        self._place[self._users] = np.arange(len(self._users))
        means = F.embedding_bag(
            torch.from_numpy(train.items[gather(train.offsets[self._users], sizes[self._users])]),
            vectors.float(),
            torch.from_numpy(np.cumsum(sizes[self._users]) - sizes[self._users]),
            mode="mean",
        )
        self.nearest = _nearest(F.normalize(means, dim=1), min(settings.similar_users, max(0, len(self._users) - 1)))

    @property
    def n_users(self) -> int:
        """Users that have a state."""
        return len(self._users)

    def distance(self, users: IntArray, states: Callable[[Sequences], Tensor]) -> Tensor | None:
        """w times the sum over `users` (-1: nobody) of the mean squared difference between the state and the mean state
        of the most similar users, through which no gradient goes; None where there are no users. `states` gives those
        behind histories [B, d]."""
        learners = self._place[users[users >= 0]]
        if not len(learners) or not self.nearest.shape[1]:
            return None
        teachers, which = np.unique(self.nearest[learners], return_inverse=True)
        with torch.no_grad():
            taught = states(self._histories(teachers))
            wanted = F.embedding(sent(which.reshape(len(learners), -1), taught.device), taught).mean(1)
        return (states(self._histories(learners)) - wanted).square().mean(1).sum() * self._weight

    def _histories(self, places: IntArray) -> Sequences:
        """What their states are behind."""
        starts = self._train.offsets[self._users[places]]
        sizes = self._train.offsets[self._users[places] + 1] - starts - 1
        where = gather(starts, sizes)
        times = None if self._train.times is None else self._train.times[where]
        return Sequences(self._train.items[where], np.concatenate([[0], np.cumsum(sizes)]), times)


def _nearest(unit: Tensor, k: int) -> IntArray:
    """[m, k] places of the rows with the largest inner products with each row, itself left out; of equals the first."""
    found = np.empty((len(unit), k), dtype=np.int64)
    step = max(1, _CELLS // max(1, len(unit)))
    for first in range(0, len(unit), step):
        cosines = (unit[first : first + step] @ unit.T).numpy()
        rows = np.arange(len(cosines))
        cosines[rows, first + rows] = -np.inf
        # all that reach the k-th largest, so that ties do not hang on how a partition falls
        least = np.partition(cosines, -k, axis=1)[:, -k] if k else np.full(len(cosines), np.inf)
        for row in rows:
            (at_least,) = np.nonzero(cosines[row] >= least[row])
            found[first + row] = at_least[np.argsort(-cosines[row, at_least], kind="stable")][:k]
    return found
