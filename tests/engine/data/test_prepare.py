"""Filters against slow references, and the data set they leave."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import spec
from engine.data import load_dataset, prepare
from engine.data.atomic import Log
from engine.data.prepare import first_of_pairs, in_order, k_core
from engine.errors import UserError
from tests.engine.data.files import INTER, ITEM, lines, write

pairs = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=60)


def slow_k_core(rows: list[tuple[int, int]], k: int) -> list[int]:
    """Drop one user or item at a time until nobody has fewer than k."""
    left = list(range(len(rows)))
    while True:
        users, items = Counter(rows[i][0] for i in left), Counter(rows[i][1] for i in left)
        if poor := [user for user, count in users.items() if count < k]:
            left = [i for i in left if rows[i][0] != poor[0]]
        elif poor := [item for item, count in items.items() if count < k]:
            left = [i for i in left if rows[i][1] != poor[0]]
        else:
            return left


@given(rows=pairs, k=st.integers(1, 5))
def test_k_core_is_the_fixed_point(rows: list[tuple[int, int]], k: int) -> None:
    users, items = np.array(rows, dtype=np.int64).T
    assert np.flatnonzero(k_core(users, items, k)).tolist() == slow_k_core(rows, k)


@pytest.mark.parametrize("few", [0, 1_000_000])
@pytest.mark.parametrize("timed", [True, False])
@given(rows=pairs)
def test_order_is_by_user_then_time_then_place_in_the_file(few: int, timed: bool, rows: list[tuple[int, int]]) -> None:
    users, times = np.array(rows, dtype=np.int64).T
    log = Log([], [], [], users, np.arange(len(rows)), times if timed else None, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "_FEW", few)
        found = in_order(log).items.tolist()
    assert found == sorted(range(len(rows)), key=lambda i: (users[i], times[i] if timed else 0, i))


@given(rows=pairs)
def test_first_of_pairs(rows: list[tuple[int, int]]) -> None:
    users, items = np.array(rows, dtype=np.int64).T
    expected = [row not in rows[:i] for i, row in enumerate(rows)]
    assert first_of_pairs(users, items).tolist() == expected


ROWS = [
    ("v", "c", 5, 30),
    ("u", "a", 4, 20),
    ("u", "b", 2, 10),
    ("v", "a", 3, 30),  # ties with the first line: stays behind it
    ("u", "a", 5, 40),
    ("v", "b", 1, 5),
]
CATALOGUE = ITEM + "a\tAlpha\ncold\tNobody\nb\tBeta\nc\tGamma\n"


@pytest.fixture
def data(tmp_path: Path) -> spec.Data:
    return write(tmp_path, INTER + lines(ROWS), CATALOGUE)


def rows_of(data: spec.Data) -> list[tuple[str, str, int]]:
    dataset = load_dataset(data)
    assert dataset.times is not None
    return [
        (dataset.user_ids[u], dataset.item_ids[i], int(t))
        for u, i, t in zip(dataset.users, dataset.items, dataset.times, strict=True)
    ]


def test_order_is_user_then_time_then_file(data: spec.Data) -> None:
    assert rows_of(data) == [
        ("v", "b", 5), ("v", "c", 30), ("v", "a", 30), ("u", "b", 10), ("u", "a", 20), ("u", "a", 40),
    ]  # fmt: skip
    dataset = load_dataset(data)
    assert dataset.item_ids == ["a", "b", "c"]
    assert dataset.item_rows.tolist() == [0, 2, 3]
    assert dataset.item_text == ["title: Alpha", "title: Beta", "title: Gamma"]
    assert (dataset.n_item_rows, dataset.n_cold, dataset.n_file_interactions) == (4, 1, 6)


def test_without_times_the_file_is_the_order(tmp_path: Path) -> None:
    data = write(tmp_path, "user_id:token\titem_id:token\n" + lines([("u", "b"), ("v", "b"), ("u", "a"), ("v", "a")]))
    dataset = load_dataset(data)
    assert dataset.times is None
    assert dataset.users.tolist() == [0, 0, 1, 1]
    assert dataset.items.tolist() == [0, 1, 0, 1]


def test_cold_items_on_request(data: spec.Data) -> None:
    dataset = load_dataset(data.model_copy(update={"cold_items": "include"}))
    assert dataset.item_ids == ["a", "cold", "b", "c"]
    # An item that only a filter removed is not cold.
    dataset = load_dataset(data.model_copy(update={"cold_items": "include", "rating_min": 5}))
    assert dataset.item_ids == ["a", "cold", "c"]


def test_rating_threshold_repeats_and_core(data: spec.Data) -> None:
    assert rows_of(data.model_copy(update={"rating_min": 4})) == [("v", "c", 30), ("u", "a", 20), ("u", "a", 40)]
    assert rows_of(data.model_copy(update={"repeats": "first"})) == [
        ("v", "b", 5), ("v", "c", 30), ("v", "a", 30), ("u", "b", 10), ("u", "a", 20),
    ]  # fmt: skip
    assert rows_of(data.model_copy(update={"repeats": "first", "k_core": 2})) == [
        ("v", "b", 5), ("v", "a", 30), ("u", "b", 10), ("u", "a", 20),
    ]  # fmt: skip


def test_nothing_left(data: spec.Data, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^data\.rating_min=9 leaves none of x's 6 interactions \(highest rating 5\)"):
        load_dataset(data.model_copy(update={"rating_min": 9}))
    with pytest.raises(UserError, match=r"^data\.k_core=4 leaves none of x's 6 interactions"):
        load_dataset(data.model_copy(update={"k_core": 4}))
    unrated = write(tmp_path, "user_id:token\titem_id:token\nu\ta\n", name="unrated")
    with pytest.raises(UserError, match=r"^data\.rating_min=4: unrated has no field rating; unset data\.rating_min$"):
        load_dataset(unrated.model_copy(update={"rating_min": 4}))


def test_changed_files_are_refused(data: spec.Data, tmp_path: Path) -> None:
    fingerprint = spec.file_fingerprint([tmp_path / "x.inter", tmp_path / "x.item"])
    sealed = spec.Data(source=spec.Files(name=data.name, path=data.path, fingerprint=fingerprint))
    load_dataset(sealed)
    with (tmp_path / "x.item").open("a") as file:
        file.write("d\tDelta\n")
    with pytest.raises(UserError, match=f"the files have changed: .* the specification says {fingerprint}"):
        load_dataset(sealed)


def test_path_is_needed() -> None:
    with pytest.raises(UserError, match=r"^data\.source\.path is not set: name the folder that holds ml-9\.inter$"):
        load_dataset(spec.Data(source=spec.Files(name="ml-9")))
