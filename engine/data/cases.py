"""What a recommender is asked: histories, and the item that follows each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from engine.data.arrays import BoolArray, IntArray
from engine.data.split import Sequences
from engine.data.windows import cut, gather


@dataclass(frozen=True)
class Cases:
    """Histories and the item that follows each.

    users:     [B] which user each case belongs to
    history:   B sequences, all that is known of the user before the target, oldest first; never empty
    targets:   [B]
    continues: [B] True where a case's history is that of the case before it and that case's target, and both may be
               encoded at once; None where none does. Such cases are a run, the first of which does not continue.
    """

    users: IntArray
    history: Sequences
    targets: IntArray
    continues: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, part: slice) -> Cases:
        """The cases start..stop - 1."""
        first, last, _ = part.indices(len(self))
        offsets = self.history.offsets[first : last + 1]
        history = _taken(self.history, np.arange(offsets[0], offsets[-1]), offsets - offsets[0])
        continues = None if self.continues is None else self.continues[part]
        return Cases(self.users[part], history, self.targets[part], continues)

    def blocks(self, size: int) -> Iterator[Cases]:
        """The cases in blocks of at most `size` runs; a case that is in none is one by itself."""
        begins = np.arange(len(self)) if self.continues is None else np.flatnonzero(~self.continues)
        for first, stop in pairwise([*begins[::size].tolist(), len(self)]):
            yield self[first:stop]

    def shared(self, longest: int) -> tuple[IntArray, IntArray]:
        """(run [B], back [B]): runs of at most `longest` cases, numbered in order, and how many of its run stand behind
        each case."""
        place = np.arange(len(self))
        begins = place if self.continues is None else np.flatnonzero(~self.continues)
        sizes = np.diff(begins, append=len(self))
        back = np.repeat(begins + sizes, sizes) - 1 - place
        back %= longest
        return np.cumsum(np.append(True, back[:-1] == 0)[: len(self)]) - 1, back


def held_out(histories: Sequences, targets: IntArray) -> Cases:
    """Cases of the users that have a target (>= 0) and any history."""
    users = np.flatnonzero((targets >= 0) & (np.diff(histories.offsets) > 0))
    sizes = np.diff(histories.offsets)[users]
    history = _taken(histories, gather(histories.offsets[users], sizes), _offsets(sizes))
    return Cases(users, history, targets[users])


def training_probe(train: Sequences, size: int, run: int = 1) -> Cases:
    """A fixed sample of `size` training positions, each with the history before it.

    Positions are drawn in runs of up to `run` successive ones of a user, every position as likely as any other; one
    encoding serves a run. The sample depends on the data, `size` and `run` alone, so arms and seeds are measured on
    the same positions.
    """
    owner, first, count = cut(np.maximum(np.diff(train.offsets) - 1, 0), run, None)
    order = np.random.default_rng(0).permutation(len(owner))
    shares = np.diff(np.minimum(np.cumsum(count[order]), size), prepend=0)  # the last run may be drawn in part
    drawn = np.sort(order[shares > 0])
    count[order] = shares
    users, place = np.repeat(owner[drawn], count[drawn]), gather(first[drawn] + 1, count[drawn])  # 1 .. size - 1 a user
    begins = train.offsets[users]
    history = _taken(train, gather(begins, place), _offsets(place))
    continues = None
    if run > 1:
        continues = np.ones(len(users), dtype=np.bool_)
        continues[np.cumsum(count[drawn]) - count[drawn]] = False
    return Cases(users, history, train.items[begins + place], continues)


_CELLS = 1 << 22  # items of all histories that a block of positions holds, about


def training_positions(train: Sequences, run: int = 1) -> Iterator[tuple[Cases, IntArray]]:
    """Every training position that has a history before it, in blocks of whole users, in order; with each block which
    interaction of the training histories each case's target is. `run` is that of `training_probe`."""
    sizes = np.diff(train.offsets)
    block = np.cumsum(sizes.astype(np.int64) ** 2) // _CELLS
    begins = np.flatnonzero(np.diff(block, prepend=-1))
    for first, stop in pairwise([*begins.tolist(), len(sizes)]):
        part = slice(train.offsets[first], train.offsets[stop])
        times = None if train.times is None else train.times[part]
        of_block = Sequences(train.items[part], train.offsets[first : stop + 1] - train.offsets[first], times)
        cases = training_probe(of_block, len(of_block.items), run)
        if len(cases):
            users = cases.users + first
            yield replace(cases, users=users), train.offsets[users] + np.diff(cases.history.offsets)


def _taken(histories: Sequences, places: IntArray, offsets: IntArray) -> Sequences:
    times = None if histories.times is None else histories.times[places]
    return Sequences(histories.items[places], offsets, times)


def _offsets(sizes: IntArray) -> IntArray:
    offsets: IntArray = np.concatenate([[0], np.cumsum(sizes)])
    return offsets
