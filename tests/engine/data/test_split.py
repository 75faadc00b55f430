"""Splits against slow references written user by user."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import spec
from engine.data import Dataset, Sequences, Split, load_dataset, split_dataset, statistics
from engine.errors import UserError
from tests.engine.data.files import INTER, ITEM, lines, write
from tests.engine.parts import files_at

# user, item, time in the order of the file: many ties, many repeats
logs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(100, 115)), min_size=3, max_size=80)
UserRows = dict[str, list[tuple[int, str]]]


def load(folder: Path, rows: list[tuple[int, int, int]]) -> tuple[Dataset, UserRows, spec.Data]:
    """The data set, and every user's (time, item) by a plain stable sort."""
    text = lines([(f"u{u}", f"i{i}", 1, t) for u, i, t in rows])
    data = write(folder, INTER + text, ITEM + lines([(f"i{i}", f"title {i}") for i in range(5)]))
    by_user: UserRows = {}
    for u, i, t in rows:
        by_user.setdefault(f"u{u}", []).append((t, f"i{i}"))
    return load_dataset(data), {u: sorted(own, key=lambda row: row[0]) for u, own in by_user.items()}, data


def named(dataset: Dataset, split: Split) -> dict[str, tuple[Any, ...]]:
    """The split by raw ids: train, valid, valid history, test, test history of every user."""

    def ids(sequences: Sequences, user: int) -> list[str]:
        return [dataset.item_ids[item] for item in sequences[user]]

    def target(targets: np.ndarray[Any, Any], user: int) -> str | None:
        return dataset.item_ids[targets[user]] if targets[user] >= 0 else None

    return {
        name: (
            ids(split.train, user),
            target(split.valid, user),
            ids(split.valid_history, user),
            target(split.test, user),
            ids(split.test_history, user),
        )
        for user, name in enumerate(dataset.user_ids)
    }


@settings(max_examples=60, deadline=None)
@given(rows=logs)
def test_leave_one_out(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int]]) -> None:
    dataset, by_user, data = load(tmp_path_factory.mktemp("loo"), rows)
    expected: dict[str, tuple[Any, ...]] = {}
    for user, own in by_user.items():
        items = [item for _, item in own]
        if len(items) >= 3:
            expected[user] = (items[:-2], items[-2], items[:-2], items[-1], items[:-1])
        else:
            expected[user] = (items, None, [], None, [])
    if all(held[3] is None for held in expected.values()):
        with pytest.raises(UserError, match="no user has 3 interactions"):
            split_dataset(dataset, data)
    elif all(len(held[0]) < 2 for held in expected.values()):
        with pytest.raises(UserError, match="nothing to train on"):
            split_dataset(dataset, data)
    else:
        assert named(dataset, split_dataset(dataset, data)) == expected


@settings(max_examples=80, deadline=None)
@given(rows=logs, valid=st.sampled_from([0.1, 0.3]), test=st.sampled_from([0.1, 0.3]))
def test_temporal(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int]], valid: float, test: float
) -> None:
    dataset, by_user, data = load(tmp_path_factory.mktemp("temporal"), rows)
    data = data.model_copy(update={"split": spec.Temporal(valid_share=valid, test_share=test)})
    times = sorted(t for _, _, t in rows)
    t1, t2 = times[int(len(times) * (1 - test - valid))], times[int(len(times) * (1 - test))]

    def last(own: list[tuple[int, str]], low: int, high: float) -> tuple[str | None, list[str]]:
        inside = [place for place, (t, _) in enumerate(own) if low <= t < high]
        if not inside or inside[-1] == 0:
            return None, []
        return own[inside[-1]][1], [item for _, item in own[: inside[-1]]]

    expected = {
        user: ([item for t, item in own if t < t1], *last(own, t1, t2), *last(own, t2, float("inf")))
        for user, own in by_user.items()
    }
    usable = (
        any(len(held[0]) > 1 for held in expected.values())
        and any(held[1] for held in expected.values())
        and any(held[3] for held in expected.values())
    )
    if times[0] < t1 < t2 and usable:
        split = split_dataset(dataset, data)
        assert named(dataset, split) == expected
        assert all(len(split.test_history[u]) for u, target in enumerate(split.test) if target >= 0)
    else:
        with pytest.raises(UserError, match=r"too few or too coarse|(test|validation) period|nothing to train on"):
            split_dataset(dataset, data)


def temporal_split(folder: Path, rows: list[tuple[Any, str, int, int]]) -> Split:
    """Ten interactions: the first six are trained on, two are validated, two tested."""
    data = write(folder, INTER + lines(rows)).model_copy(
        update={"split": spec.Temporal(valid_share=0.2, test_share=0.2)}
    )
    return split_dataset(load_dataset(data), data)


def test_a_split_that_leaves_nothing_to_do_is_refused_with_the_reason(tmp_path: Path) -> None:
    three_each = [(u, f"i{(u + p) % 4}", 1, 100 + p) for u in range(4) for p in range(3)]
    data = write(tmp_path, INTER + lines(three_each))
    with pytest.raises(UserError, match=r"^x: nothing to train on: two interactions of every user are held out"):
        split_dataset(load_dataset(data), data)
    one_has_four = [*three_each, (0, "i3", 1, 200)]
    data = write(tmp_path, INTER + lines(one_has_four))
    assert len(split_dataset(load_dataset(data), data).train.items) == 5

    old = [("u", f"i{p}", 1, p) for p in range(6)]
    known_test = [("u", "i1", 1, 8), ("u", "i2", 1, 9)]
    strangers = [("v", "i1", 1, 6), ("w", "i2", 1, 7)]
    with pytest.raises(UserError, match=r"^x: no user with a history has an interaction in the validation period"):
        temporal_split(tmp_path, [*old, *strangers, *known_test])
    with pytest.raises(UserError, match=r"^x: no user with a history has an interaction in the test period"):
        temporal_split(tmp_path, [*old, ("u", "i1", 1, 6), ("u", "i2", 1, 7), ("v", "i1", 1, 8), ("w", "i2", 1, 9)])
    singles = [(f"u{p}", f"i{p}", 1, p) for p in range(6)]
    again = [("u0", "i1", 1, 6), ("u1", "i2", 1, 7), ("u2", "i3", 1, 8), ("u3", "i4", 1, 9)]
    with pytest.raises(UserError, match=r"^x: nothing to train on: before the validation period no user has two"):
        temporal_split(tmp_path, [*singles, *again])
    fine = temporal_split(tmp_path, [*old, ("v", "i1", 1, 6), ("u", "i2", 1, 7), *known_test])
    assert (len(fine.train.items), int((fine.valid >= 0).sum()), int((fine.test >= 0).sum())) == (6, 1, 1)


@pytest.mark.parametrize("first", [0, 1])
def test_positions_are_no_clock_even_behind_a_filter(tmp_path: Path, first: int) -> None:
    rows = [(u, f"i{(u + p) % 4}", 1 + p % 5, first + p) for u in range(3) for p in (2, 0, 1, 3)]
    data = write(tmp_path, INTER + lines(rows)).model_copy(update={"split": spec.Temporal(), "rating_min": 2})
    dataset = load_dataset(data)
    assert dataset.positions
    with pytest.raises(UserError) as caught:
        split_dataset(dataset, data)
    assert str(caught.value) == (
        "data.split=temporal needs clock times, but the timestamps of x are positions in each user's own sequence; "
        "use data.split=leave-one-out"
    )


def test_one_gap_makes_a_clock(tmp_path: Path) -> None:
    rows = [(u, f"i{p}", 1, p + (u == 2 and p == 3)) for u in range(3) for p in range(4)]
    assert not load_dataset(write(tmp_path, INTER + lines(rows))).positions


def test_no_times_no_temporal_split(tmp_path: Path) -> None:
    data = write(tmp_path, "user_id:token\titem_id:token\nu\ta\nu\tb\nu\tc\n").model_copy(
        update={"split": spec.Temporal()}
    )
    with pytest.raises(UserError, match="needs clock times, but the timestamps of x do not exist"):
        split_dataset(load_dataset(data), data)


def test_checksum_sees_every_part(tmp_path: Path) -> None:
    rows = [("u", f"i{p}", 1, 100 + p) for p in range(5)] + [("v", f"i{p}", 1, 100 + p) for p in range(3)]
    data = write(tmp_path, INTER + lines(rows))
    dataset = load_dataset(data)
    split = split_dataset(dataset, data)
    assert split.checksum() == split_dataset(load_dataset(data), data).checksum()
    swapped = dataset.items.copy()
    seen = {split.checksum()}
    for place in range(len(swapped)):
        other = swapped.copy()
        other[place] = (other[place] + 1) % 5
        changed = Dataset(**{**vars(dataset), "items": other})
        seen.add(split_dataset(changed, data).checksum())
    assert len(seen) == 1 + len(swapped)


def test_statistics_of_a_small_log(tmp_path: Path) -> None:
    rows = [("u", "a", 1, 9), ("u", "b", 1, 9), ("u", "a", 1, 9), ("u", "c", 1, 12), ("v", "a", 1, 3)]
    data = write(tmp_path, INTER + lines(rows), ITEM + "a\tA\nb\t\nc\tC\nd\tD\ne\tE\n")
    dataset = load_dataset(data)
    values = statistics(dataset, split_dataset(dataset, data))
    assert values | {"split_checksum": ""} == {
        "name": "x",
        "users": 2,
        "items": 3,
        "interactions": 5,
        "interactions_in_file": 5,
        "density": 5 / 6,
        "per_user": {"min": 1, "median": 2.5, "mean": 2.5, "max": 4},
        "per_item": {"min": 1, "median": 1.0, "mean": 5 / 3, "max": 3},
        "items_in_file": 5,
        "cold_items": 2,
        "copied_lines": 1,
        "order": "field timestamp",
        "repeated_pairs": 1,
        "timestamps": "clock times",
        "tied_timestamps": 2,
        "text_coverage": 2 / 3,
        "train_interactions": 3,
        "users_valid": 1,
        "users_test": 1,
        "test_ties": 0,
        "targets_untrained": 1,
        "split_checksum": "",
    }


def figures(folder: Path, **settings: Any) -> dict[str, Any]:
    data = files_at(folder.name, folder, **settings)
    dataset = load_dataset(data)
    return statistics(dataset, split_dataset(dataset, data))


def check(values: dict[str, Any], **expected: Any) -> None:
    assert {key: values[key] for key in expected} == expected


def test_ml_100k(real_data: Callable[[str], Path]) -> None:
    folder = real_data("ml-100k")
    check(
        figures(folder),
        users=943,
        items=1682,
        interactions=100_000,
        cold_items=0,
        repeated_pairs=0,
        tied_timestamps=50_561,
        test_ties=415,
        users_test=943,
        train_interactions=98_114,
        timestamps="clock times",
        text_coverage=1.0,
    )
    temporal = figures(folder, split=spec.Temporal())
    # All ratings of one second fall on the same side of the quantile.
    assert temporal["train_interactions"] == pytest.approx(80_000, abs=50)
    assert 100 < temporal["users_test"] < 943
    core = figures(folder, k_core=10, rating_min=4)
    assert core["per_user"]["min"] >= 10
    assert core["per_item"]["min"] >= 10


def test_ml_1m(real_data: Callable[[str], Path]) -> None:
    folder = real_data("ml-1m")
    check(figures(folder), users=6040, items=3416, items_in_file=3883, cold_items=467, interactions=999_611)
    check(figures(folder, cold_items="include"), items=3883, cold_items=467)
    with pytest.raises(UserError, match="timestamps of ml-1m are positions"):
        figures(folder, split=spec.Temporal())


def test_amazon_beauty(real_data: Callable[[str], Path]) -> None:
    values = figures(real_data("amazon-beauty"))
    check(values, users=22_363, items=12_101, interactions=198_502, repeated_pairs=0, cold_items=0)
    assert values["timestamps"].startswith("positions")
