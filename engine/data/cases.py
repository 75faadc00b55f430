"""What a recommender is asked: histories, and the item that follows each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.arrays import IntArray
from engine.data.split import Sequences
from engine.data.windows import gather


@dataclass(frozen=True)
class Cases:
    """Histories and the item that follows each.

    users:   [B] which user each case belongs to
    history: B sequences, all that is known of the user before the target, oldest first; never empty
    targets: [B]
    """

    users: IntArray
    history: Sequences
    targets: IntArray

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, part: slice) -> Cases:
        """The cases start..stop - 1."""
        first, last, _ = part.indices(len(self))
        offsets = self.history.offsets[first : last + 1]
        history = _taken(self.history, np.arange(offsets[0], offsets[-1]), offsets - offsets[0])
        return Cases(self.users[part], history, self.targets[part])


def held_out(histories: Sequences, targets: IntArray) -> Cases:
    """Cases of the users that have a target (>= 0) and any history."""
    users = np.flatnonzero((targets >= 0) & (np.diff(histories.offsets) > 0))
    sizes = np.diff(histories.offsets)[users]
    history = _taken(histories, gather(histories.offsets[users], sizes), _offsets(sizes))
    return Cases(users, history, targets[users])


def training_probe(train: Sequences, size: int) -> Cases:
    """A fixed sample of training positions, each with the history before it.

    The sample depends on the data and `size` alone, so arms and seeds are measured on the same positions.
    """
    sizes = np.diff(train.offsets)
    owner = np.repeat(np.arange(len(train)), np.maximum(sizes - 1, 0))
    place = gather(np.ones(len(train), dtype=np.int64), np.maximum(sizes - 1, 0))  # 1 .. size - 1 per user
    chosen = np.sort(np.random.default_rng(0).permutation(len(owner))[:size])
    users, place = owner[chosen], place[chosen]
    begins = train.offsets[users]
    history = _taken(train, gather(begins, place), _offsets(place))
    return Cases(users, history, train.items[begins + place])


def _taken(histories: Sequences, places: IntArray, offsets: IntArray) -> Sequences:
    times = None if histories.times is None else histories.times[places]
    return Sequences(histories.items[places], offsets, times)


def _offsets(sizes: IntArray) -> IntArray:
    offsets: IntArray = np.concatenate([[0], np.cumsum(sizes)])
    return offsets
