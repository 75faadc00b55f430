"""What is trained on and what is held out: leave-one-out and the global temporal split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from engine import spec
from engine.data.arrays import BoolArray, IntArray
from engine.data.dataset import Dataset
from engine.errors import UserError

MIN_FOR_HELD_OUT = 3
"""Leave-one-out holds two interactions out; a user with fewer than three only trains."""


@dataclass(frozen=True)
class Sequences:
    """One sequence of item indices per user, end to end in `items`; user u's is
    items[offsets[u]:offsets[u + 1]]. `times` are those of the interactions, None where no clock is known."""

    items: IntArray
    offsets: IntArray
    times: IntArray | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, user: int) -> IntArray:
        return self.items[self.offsets[user] : self.offsets[user + 1]]


@dataclass(frozen=True)
class Split:
    """What is known and what is asked, per user.

    train:          the training history of every user (may be empty)
    valid, test:    [users] index of the target item, -1 where the user has none
    valid_history,  everything of the user before the target, oldest first, never empty where there
    test_history:   is a target; empty where there is none
    """

    train: Sequences
    valid: IntArray
    test: IntArray
    valid_history: Sequences
    test_history: Sequences

    def checksum(self) -> str:
        """Hash of the whole split, 16 hex digits; the same on every machine."""
        digest = hashlib.sha256()
        parts = [self.valid, self.test]
        for sequences in (self.train, self.valid_history, self.test_history):
            parts += [sequences.offsets, sequences.items]
        for part in parts:
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes())
        return digest.hexdigest()[:16]


def split_dataset(dataset: Dataset, data: spec.Data) -> Split:
    """Hold out validation and test targets as data.split says. Raises UserError where that leaves nothing to train
    on, no validation target to choose an epoch by or no test target, for a temporal split without clock times, for a
    given split that the file does not have, and for any other where the file has one."""
    split = _by_rule(dataset, data.split)
    if (reason := _useless(split, data)) is not None:
        raise UserError(f"{dataset.name}: {reason}")
    return split


def _by_rule(dataset: Dataset, rule: spec.LeaveOneOut | spec.Temporal | spec.Given) -> Split:
    if dataset.parts is not None and not isinstance(rule, spec.Given):
        raise UserError(
            f"{dataset.name}.inter is split already (its field {dataset.part_field} says train, valid or test); "
            "--set data.split=given keeps that; to split it anew, leave the field out"
        )
    match rule:
        case spec.LeaveOneOut():
            return _leave_one_out(dataset)
        case spec.Temporal():
            return _temporal(dataset, rule)
        case spec.Given():
            return _given(dataset)
        case _:
            assert_never(rule)


def _useless(split: Split, data: spec.Data) -> str | None:
    """Why nothing could be trained, chosen or measured, and what to do."""
    trains = bool((np.diff(split.train.offsets) > 1).any())
    validates, tests = bool((split.valid >= 0).any()), bool((split.test >= 0).any())
    temporal = (
        (
            trains,
            "nothing to train on: before the validation period no user has two interactions, so no item follows "
            "another; lower data.split.valid_share and data.split.test_share, or use data.split=leave-one-out",
        ),
        (
            validates,
            "no user with a history has an interaction in the validation period, so no epoch could be chosen as the "
            "best; raise data.split.valid_share, or use data.split=leave-one-out",
        ),
        (tests, "no user with a history has an interaction in the test period; raise data.split.test_share"),
    )
    leave_one_out = (
        (
            tests,
            f"no user has {MIN_FOR_HELD_OUT} interactions, so nothing can be held out; "
            "filter less (data.k_core, data.rating_min)",
        ),
        (
            trains,
            "nothing to train on: two interactions of every user are held out, and no user has two more, so no item "
            "follows another; longer histories are needed, or less filtering (data.k_core, data.rating_min)",
        ),
    )
    given = (
        (trains, "nothing to train on: its split leaves no user two interactions in train, so no item follows another"),
        (validates, "its split has no interaction in valid of a user with a history, so no epoch could be chosen"),
        (tests, "its split has no interaction in test of a user with a history"),
    )
    reasons = {"temporal": temporal, "given": given}.get(data.split.kind, leave_one_out)
    return next((reason for holds, reason in reasons if not holds), None)


def _bounds(dataset: Dataset) -> tuple[IntArray, IntArray]:
    """Start and end of every user's interactions."""
    counts = np.bincount(dataset.users, minlength=len(dataset.user_ids))
    ends = np.cumsum(counts)
    return ends - counts, ends


def _sequences(dataset: Dataset, starts: IntArray, ends: IntArray) -> Sequences:
    """The interactions starts[u]:ends[u] end to end."""
    counts = ends - starts
    offsets = np.concatenate(([0], np.cumsum(counts)))
    at = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
    times = None if dataset.times is None or dataset.positions else dataset.times[at]
    return Sequences(dataset.items[at], offsets, times)


def _held_out(dataset: Dataset, starts: IntArray, train_ends: IntArray, valid_at: IntArray, test_at: IntArray) -> Split:
    """`valid_at` and `test_at` are places in the interactions, -1 where a user has no target."""

    def history(at: IntArray) -> Sequences:
        return _sequences(dataset, starts, np.maximum(at, starts))

    return Split(
        train=_sequences(dataset, starts, train_ends),
        valid=np.where(valid_at < 0, -1, dataset.items[valid_at]),
        test=np.where(test_at < 0, -1, dataset.items[test_at]),
        valid_history=history(valid_at),
        test_history=history(test_at),
    )


def _leave_one_out(dataset: Dataset) -> Split:
    """Test = a user's last interaction, valid = the one before, for users with at least three."""
    starts, ends = _bounds(dataset)
    has_targets = ends - starts >= MIN_FOR_HELD_OUT
    return _held_out(
        dataset,
        starts,
        train_ends=np.where(has_targets, ends - 2, ends),
        valid_at=np.where(has_targets, ends - 2, -1),
        test_at=np.where(has_targets, ends - 1, -1),
    )


def _temporal(dataset: Dataset, rule: spec.Temporal) -> Split:
    """Train = before t1, valid target = a user's last interaction in [t1, t2), test target = the last
    from t2 on; t1 and t2 are quantiles of all interactions' times, so all that share a time fall
    on the same side. A target without any history before it is no target."""
    times = dataset.times
    if times is None or dataset.positions:
        why = "are positions in each user's own sequence" if dataset.positions else "do not exist"
        raise UserError(
            f"data.split=temporal needs clock times, but the timestamps of {dataset.name} {why}; "
            "use data.split=leave-one-out"
        )
    ordered = np.sort(times)
    n = len(ordered)
    t2 = ordered[min(n - 1, int(np.floor(n * (1 - rule.test_share))))]
    t1 = ordered[int(np.floor(n * (1 - rule.test_share - rule.valid_share)))]
    if not ordered[0] < t1 < t2:
        raise UserError(
            f"data.split=temporal: the times of {dataset.name} are too few or too coarse for data.split.valid_share="
            f"{rule.valid_share:g} and data.split.test_share={rule.test_share:g}; raise them, or use "
            "data.split=leave-one-out"
        )
    starts, ends = _bounds(dataset)
    # A user's interactions are in order of time: those before t are the first of them.
    before_t1 = starts + _count(dataset, times < t1)
    before_t2 = starts + _count(dataset, times < t2)
    return _held_out(
        dataset,
        starts,
        train_ends=before_t1,
        valid_at=_last(starts, before_t1, before_t2),
        test_at=_last(starts, before_t2, ends),
    )


def _given(dataset: Dataset) -> Split:
    """Train, valid and test as the file's field `split` has them; targets as in `_temporal`."""
    parts = dataset.parts
    if parts is None:
        raise UserError(
            f"data.split=given: {dataset.name}.inter has no field split:token that says train, valid or test of every "
            "interaction; use data.split=leave-one-out"
        )
    starts, ends = _bounds(dataset)
    # A user's interactions are in order of the parts.
    before_valid = starts + _count(dataset, parts < 1)
    before_test = starts + _count(dataset, parts < 2)
    return _held_out(
        dataset,
        starts,
        train_ends=before_valid,
        valid_at=_last(starts, before_valid, before_test),
        test_at=_last(starts, before_test, ends),
    )


def _count(dataset: Dataset, mask: BoolArray) -> IntArray:
    return np.bincount(dataset.users[mask], minlength=len(dataset.user_ids))


def _last(starts: IntArray, begin: IntArray, end: IntArray) -> IntArray:
    """The last place in [begin, end) of every user, -1 where there is none or it is the user's first."""
    return np.where((end > begin) & (end - 1 > starts), end - 1, -1)
