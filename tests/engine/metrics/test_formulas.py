"""Values of metrics against loops over users, places and items."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from engine.errors import UserError
from engine.metrics import (
    TOP,
    TopLists,
    load_ranks,
    load_top,
    parse_metric,
    per_user,
    rank_counts,
    rank_metrics,
    top_metrics,
    value_in,
)
from engine.records import RunResult

Ranks = st.lists(st.integers(1, 300), min_size=1, max_size=40)


def slow(measure: str, rank: int, k: float) -> float:
    """One user's gain."""
    if rank > k:
        return 0.0
    return {"hr": 1.0, "ndcg": 1 / math.log2(rank + 1), "mrr": 1 / rank}[measure]


@given(st.lists(st.integers(1, 60) | st.just(-1), min_size=1, max_size=30), st.integers(1, 50))
def test_metrics_per_user_are_those_of_a_loop(ranks: list[int], k: int) -> None:
    array = np.array(ranks, np.int32)
    for name, cut in ((f"hr@{k}", k), (f"ndcg@{k}", k), (f"mrr@{k}", k), ("mrr", math.inf)):
        found = per_user(parse_metric(name), array).tolist()
        for rank, value in zip(ranks, found, strict=True):
            if rank == -1:
                assert math.isnan(value)
            else:
                assert value == pytest.approx(slow(name.partition("@")[0], rank, cut))


@given(Ranks)
def test_what_results_hold_are_means_over_users(ranks: list[int]) -> None:
    values = rank_metrics(np.array(ranks, np.int32))
    assert list(values) == [*(f"{m}@{k}" for m in ("ndcg", "hr") for k in (5, 10, 20)), "mrr"]
    for name, value in values.items():
        measure, _, k = name.partition("@")
        cut = int(k) if k else math.inf
        assert value == pytest.approx(math.fsum(slow(measure, rank, cut) for rank in ranks) / len(ranks))


def counted(ranks: Any) -> RunResult:
    """A result that holds the counts of these test ranks alone."""
    return RunResult.decode({"rank_counts": {"test": rank_counts(ranks)}})


def test_metrics_have_their_closed_forms() -> None:
    values = rank_metrics(np.array([1, 6, 3, 100], dtype=np.int32))
    assert values["hr@5"] == 0.5
    assert values["hr@10"] == 0.75
    assert values["ndcg@5"] == pytest.approx((1 + 0.5) / 4)
    assert values["ndcg@10"] == pytest.approx((1 + 0.5 + 1 / math.log2(7)) / 4)
    assert values["mrr"] == pytest.approx((1 + 1 / 6 + 1 / 3 + 0.01) / 4)


def test_without_targets_the_metrics_are_zero() -> None:
    none = np.zeros(0, np.int32)
    assert set(rank_metrics(none).values()) == {0.0}
    assert rank_counts(none) == {"users": 0, "counts": [0] * 100}
    assert value_in(parse_metric("hr@3"), counted(none), None, None) == 0.0


@given(Ranks, st.integers(1, 100))
def test_counts_of_ranks_give_any_metric_that_the_ranks_give(ranks: list[int], k: int) -> None:
    array = np.array(ranks, np.int32)
    result = counted(array)
    for measure in ("hr", "ndcg", "mrr"):
        metric = parse_metric(f"{measure}@{k}")
        found = value_in(metric, result, None, None)
        assert found is not None
        assert found == pytest.approx(per_user(metric, array).mean(), rel=1e-12, abs=1e-15)
        if measure == "hr":
            assert found == per_user(metric, array).mean()  # a share of users is exact


def test_what_is_stored_by_its_name_is_taken_as_it_is() -> None:
    result = replace(counted(np.array([1], np.int32)), test={"hr@10": 0.25})
    assert value_in(parse_metric("hr@10"), result, None, None) == 0.25
    assert value_in(parse_metric("hr@11"), result, None, None) == 1.0
    assert value_in(parse_metric("valid.hr@11"), result, None, None) is None


def test_files_give_what_no_result_holds(tmp_path: Path) -> None:
    ranks, top = tmp_path / "ranks.safetensors", tmp_path / "top.safetensors"
    save_file({"test": np.array([1, -1, 150], np.int32), "valid": np.array([3, 4, -1], np.int32)}, ranks)
    save_file({"test": np.array([[0, 1], [-1, -1]], np.int32), "popularity": np.array([5, 3, 1, 0])}, top)
    found = {
        name: value_in(parse_metric(name), RunResult(), ranks, top)
        for name in ("hr@3", "hr@200", "valid.hr@3", "mrr", "coverage@1", "coverage@2", "popularity_rank@2")
    }
    assert found == {
        "hr@3": 0.5,
        "hr@200": 1.0,
        "valid.hr@3": 0.5,
        "mrr": (1 + 1 / 150) / 2,
        "coverage@1": 0.25,
        "coverage@2": 0.5,
        "popularity_rank@2": 1.5,
    }
    assert value_in(parse_metric("hr@3"), RunResult(), tmp_path / "none", None) is None
    assert value_in(parse_metric("coverage@3"), RunResult(), None, tmp_path / "none") is None
    assert load_ranks(ranks)["test"].tolist() == [1, -1, 150]


def test_damaged_files_are_errors_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"nothing")
    with pytest.raises(UserError, match="no ranks can be read"):
        load_ranks(tmp_path / "damaged")
    with pytest.raises(UserError, match="no top lists can be read"):
        load_top(tmp_path / "damaged")
    save_file({"test": np.zeros((2, 2), np.int32)}, tmp_path / "other")
    with pytest.raises(UserError, match="holds other things"):
        load_top(tmp_path / "other")
    assert value_in(parse_metric("hr@3"), RunResult(), tmp_path / "damaged", None) is None


# ------------------------------------------------------------------------------------ of top lists


@st.composite
def top_lists(draw: st.DrawFn) -> TopLists:
    n = draw(st.integers(1, 30))
    popularity = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    users = draw(st.lists(st.permutations(range(n)).map(lambda p: list(p)[:TOP]), min_size=1, max_size=8))
    lists = [[*items[: draw(st.integers(0, len(items)))], *([-1] * TOP)][:TOP] for items in users]
    return TopLists(np.array(lists, np.int32), np.array(popularity, np.int64))


def slow_top(name: str, lists: list[list[int]], popularity: list[int]) -> float:
    n = len(popularity)
    shown = [item for items in lists for item in items if item >= 0]
    if name == "coverage":
        return len(set(shown)) / n
    if name == "gini":
        counts = Counter(shown)
        x = [counts[item] for item in range(n)]
        return sum(abs(a - b) for a in x for b in x) / (2 * n * sum(x))  # half the mean absolute difference
    if name == "tail":
        by_popularity = sorted(range(n), key=lambda item: (-popularity[item], item))
        head = set(by_popularity[: max(1, round(0.2 * n))])
        return sum(item not in head for item in shown) / len(shown)
    if name == "novelty":
        total = sum(popularity) + n
        return sum(-math.log2((popularity[item] + 1) / total) for item in shown) / len(shown)
    above = [sum(c > popularity[item] for c in popularity) for item in shown]
    same = [popularity.count(popularity[item]) for item in shown]
    return sum(a + (s + 1) / 2 for a, s in zip(above, same, strict=True)) / len(shown)


@settings(max_examples=50)
@given(top_lists())
def test_measures_of_top_lists_are_those_of_loops(lists: TopLists) -> None:
    values = top_metrics(lists)
    assert list(values) == ["coverage", "gini", "tail", "novelty", "popularity_rank"]
    rows: Any = lists.items.tolist()
    for name, curve in values.items():
        assert len(curve) == TOP
        for k, value in enumerate(curve, 1):
            cut = [row[:k] for row in rows]
            if not any(item >= 0 for row in cut for item in row):
                assert value is None
            else:
                assert value == pytest.approx(slow_top(name, cut, lists.popularity.tolist()), abs=1e-12)
                result = RunResult.decode({"top": values})
                assert value_in(parse_metric(f"{name}@{k}"), result, None, None) == value


def test_gini_is_zero_where_all_items_are_shown_alike_and_near_one_where_one_is() -> None:
    n = 10
    alike = TopLists(np.arange(n, dtype=np.int32)[:, None].repeat(TOP, 1), np.ones(n, np.int64))
    one = TopLists(np.zeros((n, TOP), np.int32), np.ones(n, np.int64))
    assert top_metrics(alike)["gini"][0] == pytest.approx(0)
    assert top_metrics(one)["gini"][0] == pytest.approx((n - 1) / n)
