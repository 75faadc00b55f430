"""Training batches: histories cut into windows, packed without padding.

Every history contributes all its targets. A history longer than the window is cut into several
windows, at fixed places or at a new random offset each epoch (docs/method.md D.4); a shorter one is one
window. A backbone whose outputs see the whole window is trained on the prefixes of these windows instead, each a
window of its own with one target behind its end (docs/method.md B.1). Order, offsets, masks and negatives depend on
(seed, epoch, batch) alone, so that a resumed run sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.data.dataset import IntArray
from engine.data.split import Sequences

_ORDER, _MASK, _NEGATIVES, _PREFIXES = 0, 1, 2, 3  # streams of the random generator


@dataclass(frozen=True)
class Batch:
    """B windows side by side, longest first, T items and N targets in all.

    items:   [T] item indices, window after window
    lengths: [B] items per window, descending; they add up to T
    masked:  [T] True where the backbone sees the mask instead of the item; None for next-item training
    at:      [N] positions in 0..T-1 whose representation predicts a target
    targets: [N] item indices
    places:  [N] which interaction of the training histories, user after user, each target is
    users:   [B] whose training history ends with the window; -1 where it goes on behind
    negatives: [N, k] items drawn against each target; None where the loss is over all items
    times:   [T] clock times of the interactions; None where none are known
    """

    items: IntArray
    lengths: IntArray
    masked: np.ndarray[tuple[int], np.dtype[np.bool_]] | None
    at: IntArray
    targets: IntArray
    places: IntArray
    users: IntArray
    negatives: IntArray | None = None
    times: IntArray | None = None

    @property
    def size(self) -> int:
        """B."""
        return len(self.lengths)

    def parts(self, size: int) -> Iterator[Batch]:
        """Batches of at most `size` windows that hold the batch together."""
        return self.dealt(-(-len(self.lengths) // size))

    def dealt(self, count: int) -> Iterator[Batch]:
        """At most `count` batches that hold the batch together, none empty. Each takes every k-th window, so that the
        long ones, which come first, are spread over all, and each has its longest first as well."""
        k = min(count, len(self.lengths))
        starts = np.cumsum(self.lengths) - self.lengths
        for first in range(k):
            where = gather(starts[first::k], self.lengths[first::k])
            place = np.full(len(self.items), -1)
            place[where] = np.arange(len(where))
            mine = place[self.at] >= 0
            yield Batch(
                items=self.items[where],
                lengths=self.lengths[first::k],
                masked=None if self.masked is None else self.masked[where],
                at=place[self.at[mine]],
                targets=self.targets[mine],
                places=self.places[mine],
                users=self.users[first::k],
                negatives=None if self.negatives is None else self.negatives[mine],
                times=None if self.times is None else self.times[where],
            )


def cut(counts: IntArray, length: int, offsets: IntArray | None) -> tuple[IntArray, IntArray, IntArray]:
    """Cut runs of `counts` positions into windows of at most `length`.

    Without offsets the last window of each run is full; with them the first window of a run longer
    than `length` holds `offsets[i]` positions (1..length). Returns (run, start within the run, size)
    per window, runs in order. Runs of no positions give no window.
    """
    first = np.minimum(counts, (counts - 1) % length + 1) if offsets is None else np.minimum(counts, offsets)
    first = np.where(counts <= length, counts, first)
    windows = np.where(counts > 0, 1 + -(-(counts - first) // length), 0)
    run = np.repeat(np.arange(len(counts)), windows)
    nth = np.arange(len(run)) - np.repeat(np.cumsum(windows) - windows, windows)
    start = np.where(nth == 0, 0, first[run] + (nth - 1) * length)
    end = np.minimum(first[run] + nth * length, counts[run])
    return run, start, end - start


def gather(starts: IntArray, lengths: IntArray) -> IntArray:
    """[sum(lengths)] the indices start, start + 1, ... of each range, range after range."""
    shift = starts - (np.cumsum(lengths) - lengths)
    indices: IntArray = np.arange(int(lengths.sum())) + np.repeat(shift, lengths)
    return indices


def n_targets(train: Sequences, cloze: bool) -> int:
    """Positions that one epoch can train on: every item but the first of each history; all for cloze."""
    sizes = np.diff(train.offsets)
    return int(sizes[sizes >= 2].sum()) if cloze else int(np.maximum(sizes - 1, 0).sum())


def epoch_batches(
    train: Sequences,
    *,
    length: int,
    batch_size: int,
    seed: int,
    epoch: int,
    random_cut: bool,
    mask_share: float | None,
    prefix_share: float | None = None,
    negatives: int = 0,
    n_items: int = 0,
) -> list[Iterator[Batch]]:
    """The batches of one epoch, each as an iterator over its single batch, so that a resumed epoch can
    skip the first ones at no cost. With `mask_share` windows are for masked-item training: each
    masked position (at least one a window) is a target; otherwise every item predicts its successor. With
    `prefix_share` each window is replaced by that share of its prefixes, drawn anew each epoch, and only the last item
    of a prefix predicts: the input ends before the target. `batch_size` then counts prefixes. With
    `negatives` each target gets so many items of the `n_items` against it, see `draw_negatives`."""
    cloze = mask_share is not None
    sizes = np.diff(train.offsets)
    counts = np.where(sizes >= 2, sizes, 0) if cloze else np.maximum(sizes - 1, 0)
    generator = np.random.default_rng([seed, epoch, _ORDER])
    offsets = generator.integers(1, length + 1, len(counts)) if random_cut else None
    run, start, size = cut(counts, length, offsets)
    begin = train.offsets[run] + start
    if prefix_share is not None:
        begin, size = _prefixes(begin, size, prefix_share, np.random.default_rng([seed, epoch, _PREFIXES]))
    order = generator.permutation(len(begin))
    starts, lengths = begin[order], size[order]
    ends = train.offsets[:-1] + counts

    def ended(stops: IntArray) -> IntArray:
        users = np.searchsorted(train.offsets, stops - 1, side="right") - 1
        return np.where(stops == ends[users], users, -1)

    def build(number: int) -> Iterator[Batch]:
        chosen = slice(number * batch_size, (number + 1) * batch_size)
        longest_first = np.argsort(-lengths[chosen], kind="stable")
        first, count = starts[chosen][longest_first], lengths[chosen][longest_first]
        where = gather(first, count)
        items, masked = train.items[where], None
        if mask_share is None:
            at = np.arange(len(items)) if prefix_share is None else np.cumsum(count) - 1
            places = where[at] + 1
        else:
            masked = _mask(count, mask_share, np.random.default_rng([seed, epoch, _MASK, number]))
            at = np.flatnonzero(masked)
            places = where[at]
        targets = train.items[places]
        drawn = None
        if negatives:
            drawn = draw_negatives(
                targets, negatives, n_items, np.random.default_rng([seed, epoch, _NEGATIVES, number])
            )
        times = None if train.times is None else train.times[where]
        yield Batch(items, count, masked, at, targets, places, ended(first + count), drawn, times)

    return [build(number) for number in range(-(-len(lengths) // batch_size))]


def _prefixes(
    starts: IntArray, lengths: IntArray, share: float, generator: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """(start, length) of the prefixes of each window, every one with probability `share`; never none of all."""
    begin, size = np.repeat(starts, lengths), gather(np.ones_like(lengths), lengths)
    if share == 1:
        return begin, size
    chosen = np.flatnonzero(generator.random(len(size)) < share)
    if not len(chosen):
        chosen = generator.integers(0, len(size), 1)
    return begin[chosen], size[chosen]


def draw_negatives(targets: IntArray, k: int, n_items: int, generator: np.random.Generator) -> IntArray:
    """[N, k] items 0..n_items-1 for each target [N]: uniform over the items other than the target, each draw by
    itself (with replacement). Needs two items or more."""
    drawn: IntArray = generator.integers(0, n_items - 1, (len(targets), k), dtype=np.int32).astype(np.int64)
    drawn += drawn >= targets[:, None]
    return drawn


def _mask(
    lengths: IntArray, share: float, generator: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """[T] each position masked with probability `share`; a window left without any gets one at random."""
    draw = generator.random(int(lengths.sum()))
    masked = draw < share
    ends = np.cumsum(lengths)
    starts = ends - lengths
    bare = np.add.reduceat(masked, starts) == 0
    masked[starts[bare] + (generator.random(int(bare.sum())) * lengths[bare]).astype(np.int64)] = True
    return masked


def tails(histories: Sequences, users: IntArray, length: int) -> tuple[IntArray, IntArray, IntArray | None]:
    """The last `length` items of the users' histories: (items [T], lengths [B], times [T] where known), in the order
    of `users`."""
    ends = histories.offsets[users + 1]
    sizes = np.minimum(ends - histories.offsets[users], length)
    places = gather(ends - sizes, sizes)
    return histories.items[places], sizes, None if histories.times is None else histories.times[places]
