"""Windows cover every target once, and batches are packed as they say."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.dataset import IntArray
from engine.data.split import Sequences
from engine.data.windows import Batch, cut, draw_negatives, epoch_batches, n_targets, tails

HISTORIES = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(lambda sizes: max(sizes) >= 2)


def sequences(sizes: list[int]) -> Sequences:
    """Histories of these lengths over distinct items, so that an item names its place."""
    return Sequences(np.arange(sum(sizes)), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


def batches(
    train: Sequences,
    *,
    random_cut: bool,
    mask_share: float | None = None,
    prefix_share: float | None = None,
    epoch: int = 0,
    negatives: int = 0,
    n_items: int = 0,
    batch_size: int = 3,
) -> list[Batch]:
    each = epoch_batches(
        train,
        length=7,
        batch_size=batch_size,
        seed=1,
        epoch=epoch,
        random_cut=random_cut,
        mask_share=mask_share,
        prefix_share=prefix_share,
        negatives=negatives,
        n_items=n_items,
    )
    return [batch for one in each for batch in one]


@settings(deadline=None)
@given(HISTORIES, st.booleans())
def test_prefixes_have_the_targets_of_their_windows_and_end_before_them(sizes: list[int], random_cut: bool) -> None:
    train = sequences(sizes)
    prefixes = batches(train, random_cut=random_cut, prefix_share=1.0)
    seen: dict[int, list[int]] = {}
    for batch in prefixes:
        assert len(batch.lengths) == len(batch.targets) <= 3
        assert (np.diff(batch.lengths) <= 0).all() and batch.lengths.sum() == len(batch.items)
        assert (batch.at == np.cumsum(batch.lengths) - 1).all()
        for window, target in zip(np.split(batch.items, batch.at[:-1] + 1), batch.targets, strict=True):
            assert target not in seen
            seen[int(target)] = window.tolist()
    expected: dict[int, list[int]] = {}
    for batch in batches(train, random_cut=random_cut):
        for window in np.split(batch.items, np.cumsum(batch.lengths)[:-1]):
            expected |= {int(item) + 1: window[: place + 1].tolist() for place, item in enumerate(window)}
    assert seen == expected


def test_a_share_of_the_prefixes_is_drawn_anew_each_epoch_and_never_none() -> None:
    train = sequences([30, 20, 2])
    whole = {int(t) for batch in batches(train, random_cut=False, prefix_share=1.0) for t in batch.targets}
    drawn = [
        {int(t) for batch in batches(train, random_cut=False, prefix_share=0.5, epoch=epoch) for t in batch.targets}
        for epoch in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2] and drawn[0] < whole
    assert 0.25 * len(whole) < len(drawn[0]) < 0.75 * len(whole)
    for epoch in range(3):
        few = batches(sequences([3]), random_cut=False, prefix_share=1e-9, epoch=epoch)
        assert sum(len(batch.targets) for batch in few) == 1


@settings(deadline=None)
@given(HISTORIES, st.booleans())
def test_every_item_but_the_first_is_a_target_once_and_follows_its_input(sizes: list[int], random_cut: bool) -> None:
    train = sequences(sizes)
    seen: Counter[int] = Counter()
    for batch in batches(train, random_cut=random_cut):
        assert batch.lengths.max() <= 7
        assert (np.diff(batch.lengths) <= 0).all()
        assert batch.lengths.sum() == len(batch.items)
        assert (batch.targets == batch.items[batch.at] + 1).all()
        seen.update(batch.targets.tolist())
    starts = set(train.offsets[:-1].tolist())
    assert seen == Counter(
        i for u, size in enumerate(sizes) for i in range(train.offsets[u], train.offsets[u] + size) if i not in starts
    )
    assert sum(seen.values()) == n_targets(train, cloze=False)


@settings(deadline=None)
@given(HISTORIES, st.booleans())
def test_masked_windows_cover_every_item_and_each_has_a_target(sizes: list[int], random_cut: bool) -> None:
    train = sequences(sizes)
    seen: Counter[int] = Counter()
    for batch in batches(train, random_cut=random_cut, mask_share=0.2):
        assert batch.masked is not None
        assert (np.flatnonzero(batch.masked) == batch.at).all()
        assert (batch.items[batch.at] == batch.targets).all()
        assert (np.add.reduceat(batch.masked.astype(int), np.cumsum(batch.lengths) - batch.lengths) >= 1).all()
        seen.update(batch.items.tolist())
    assert seen == Counter(
        i for u, size in enumerate(sizes) if size >= 2 for i in range(train.offsets[u], train.offsets[u] + size)
    )


def test_mask_share_is_met() -> None:
    train = sequences([40] * 400)
    masked = np.concatenate(
        [b.masked for b in batches(train, random_cut=False, mask_share=0.3) if b.masked is not None]
    )
    # windows without any mask get one, which adds (1 - .3)^7 / 7 at most
    assert masked.mean() == pytest.approx(0.3 + 0.7**7 / 7, abs=0.01)


def test_random_cuts_change_with_the_epoch_and_repeat_with_the_seed() -> None:
    train = sequences([40, 30, 9])
    first, again, other = (batches(train, random_cut=True, epoch=e) for e in (0, 0, 1))
    assert [b.items.tolist() for b in first] == [b.items.tolist() for b in again]
    assert [b.items.tolist() for b in first] != [b.items.tolist() for b in other]


def test_negatives_are_uniform_over_the_items_that_are_not_the_target() -> None:
    drawn = draw_negatives(np.repeat([0, 3, 6], 5000), 4, 7, np.random.default_rng(0))
    for target, rows in zip((0, 3, 6), np.split(drawn, 3), strict=True):
        counts = np.bincount(rows.ravel(), minlength=7)
        assert counts[target] == 0
        expected = 20_000 / 6
        assert ((np.delete(counts, target) - expected) ** 2 / expected).sum() < 20.5  # chi2, 5 degrees, p = .001
    assert draw_negatives(np.array([0, 1]), 3, 2, np.random.default_rng(0)).tolist() == [[1] * 3, [0] * 3]


@pytest.mark.parametrize("mask_share", [None, 0.3])
def test_negatives_depend_on_seed_epoch_and_batch_alone_and_change_nothing_else(mask_share: float | None) -> None:
    train = sequences([40, 30, 9, 12])

    settings: dict[str, Any] = {"length": 7, "batch_size": 3, "seed": 1, "random_cut": True, "mask_share": mask_share}

    def drawn(epoch: int, first: int = 0, negatives: int = 5) -> list[Batch]:
        each = epoch_batches(train, epoch=epoch, negatives=negatives, n_items=91, **settings)
        return [batch for one in each[first:] for batch in one]

    def negatives_of(batch: Batch) -> IntArray:
        assert batch.negatives is not None
        assert batch.negatives.shape == (len(batch.targets), 5)
        return batch.negatives

    whole, resumed, bare = drawn(0), drawn(0, first=2), drawn(0, negatives=0)
    assert all((negatives_of(batch) != batch.targets[:, None]).all() for batch in whole)
    for one, other in zip(whole[2:], resumed, strict=True):
        np.testing.assert_array_equal(negatives_of(one), negatives_of(other))
    for one, other in zip(whole, bare, strict=True):
        assert other.negatives is None
        np.testing.assert_array_equal(one.items, other.items)
        np.testing.assert_array_equal(one.targets, other.targets)
    assert not np.array_equal(negatives_of(whole[0]), negatives_of(whole[1]))
    assert not np.array_equal(negatives_of(whole[0]), negatives_of(drawn(1)[0]))


def test_fixed_cuts_end_with_a_full_window() -> None:
    run, start, size = cut(np.array([17, 3, 0, 14]), 7, None)
    assert list(zip(run.tolist(), start.tolist(), size.tolist(), strict=True)) == [
        (0, 0, 3), (0, 3, 7), (0, 10, 7), (1, 0, 3), (3, 0, 7), (3, 7, 7)
    ]  # fmt: skip


def test_tails_are_the_last_items() -> None:
    items, lengths, times = tails(sequences([5, 2, 9]), np.array([2, 1]), 4)
    assert times is None
    assert items.tolist() == [12, 13, 14, 15, 5, 6]
    assert lengths.tolist() == [4, 2]
