"""Metrics that a result does not hold by their name: in filters, for sorting, as columns and on boards."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from sqlalchemy import update
from sqlmodel import col

from engine.errors import UserError
from engine.metrics import TopLists, parse_metric, rank_counts, rank_metrics, top_metrics
from engine.reports.boards.evidence import evidence_of
from engine.reports.boards.leaderboard import leaderboards
from engine.reports.boards.measured import measured_records
from engine.store import Run, Store, list_runs, list_values, open_store
from engine.store.queries.filters import FilterError, field_named, order_by, parse

from ..helpers import new_run

RANKS = {seed: np.array([1 + seed, 3, 15, 40 + seed, 150, 900 - seed], np.int32) for seed in range(4)}
POPULARITY = np.array([9, 5, 5, 1, 0])
NAMES = ("hr@3", "ndcg@3", "mrr@3", "hr@10", "mrr", "valid.hr@3", "hr@100", "hr@101", "ndcg@500", "hr@100000")


def lists(seed: int) -> TopLists:
    items = np.full((6, 20), -1, np.int32)
    items[:, 0], items[:, 1] = seed % 5, [0, 1, 2, 3, 4, 0]
    return TopLists(items, POPULARITY)


def finish(store: Store, run: Run, result: dict[str, Any]) -> None:
    with store.write() as session:
        session.connection().execute(
            update(Run).where(col(Run.id) == run.id).values(status="finished", result=result, attempt=1)
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Seeds 0 and 1 as they are now; 2 of an older version, without counts and lists; 3 without files; 4 runs."""
    store = open_store(Path(tmp_path_factory.mktemp("metrics"), "experiments.db"))
    for seed, ranks in RANKS.items():
        run, folder = (run := new_run(store, seed=seed)), store.folder(run.id)
        result: dict[str, Any] = {"test": rank_metrics(ranks), "valid": rank_metrics(ranks[::2])}
        if seed != 2:
            result["rank_counts"] = {"test": rank_counts(ranks), "valid": rank_counts(ranks[::2])}
            result["top"] = top_metrics(lists(seed))
        if seed != 3:
            per_user = np.where(np.arange(len(ranks)) % 2 == 0, ranks, -1).astype(np.int32)
            save_file({"test": ranks, "valid": per_user}, folder.ranks)
        finish(store, run, result)
    new_run(store, seed=4)
    return store


def expected(name: str, seed: int) -> float | None:
    metric = parse_metric(name)
    if seed == 4 or (seed == 3 and metric.at is not None and metric.at > 100):
        return None
    ranks = RANKS[seed][:: 2 if metric.split == "valid" else 1].tolist()
    k = metric.at or math.inf
    gains = [{"hr": 1.0, "ndcg": 1 / math.log2(r + 1), "mrr": 1 / r}[metric.measure.name] for r in ranks if r <= k]
    return math.fsum(gains) / len(ranks)


@pytest.mark.parametrize("name", NAMES)
def test_columns_filters_and_sorting_compute_any_cut_off(store: Store, name: str) -> None:
    field, seed = field_named(name, "--columns"), field_named("seed", "--columns")
    found = {int(row[1]): row[2] for row in list_values(store, [seed, field])}
    wanted = {seed: expected(name, seed) for seed in range(5)}
    for at in range(5):
        assert found[at] == (None if wanted[at] is None else pytest.approx(wanted[at]))
    known = {at: value for at, value in wanted.items() if value is not None}
    bound = sorted(known.values())[1]
    over = list_values(store, [seed], parse(f"{name} > {bound - 1e-9}").clause())
    assert {row[1] for row in over} == {at for at, value in known.items() if value > bound - 1e-9}
    none = list_values(store, [seed], parse(f"{name} = none").clause())
    assert {row[1] for row in none} == set(range(5)) - known.keys()
    ordered = [row[2] for row in list_values(store, [seed, field], order=order_by(f"-{name}"))]
    assert ordered == [*sorted((v for v in ordered if v is not None), reverse=True), *(v for v in ordered if v is None)]


@pytest.mark.parametrize("name", [*NAMES, "coverage@2", "gini@1", "popularity_rank@20"])
def test_boards_and_evidence_have_the_same_values_as_columns(store: Store, name: str) -> None:
    metric, field = parse_metric(name), field_named(name, "--columns")
    columns = {row[0]: row[1] for row in list_values(store, [field], status="finished")}
    records = {record.id: record for record in measured_records(store, [name])}
    runs = evidence_of(store, list_runs(store))
    for run in runs:
        files = {"ranks": store.folder(run.run).ranks, "top": store.folder(run.run).top}
        run.files.update(files)  # type: ignore[attr-defined]  # no spool told the store of them
    assert columns == {run.run: run.value(metric) for run in runs}
    assert columns == {run_id: metric.of(record.result) for run_id, record in records.items()}
    assert columns == {run.run: metric.of(run.measured([name]).result) for run in runs}
    (board,) = leaderboards(records.values(), [name])
    assert board.cells[0].n == sum(value is not None for value in columns.values())
    some = list(records)[:2]
    assert {record.id for record in measured_records(store, [name], runs=some)} == set(some)


def test_measures_of_top_lists_are_read_from_results(store: Store) -> None:
    fields = [field_named(name, "--columns") for name in ("seed", "coverage@1", "test.coverage@2", "tail@2")]
    found = {row[1]: row[2:] for row in list_values(store, fields)}
    assert found[2] == found[4] == (None, None, None)
    assert found[0] == pytest.approx((0.2, 1.0, 4 / 12))
    assert found[1] == found[3] == pytest.approx((0.2, 1.0, 10 / 12))


@pytest.mark.parametrize("name", ["hr@0", "ndgc@3", "coverage@21", "valid.gini@5", "ndcg", "train_ce@last"])
def test_a_wrong_name_is_refused_with_the_same_words_everywhere(store: Store, name: str) -> None:
    with pytest.raises(UserError) as error:
        parse_metric(name)
    words = str(error.value)
    for refused in (
        lambda: field_named(name, "--columns"),
        lambda: order_by(f"seed,-{name}"),
        lambda: measured_records(store, [name]),
        lambda: leaderboards([], [name]),
    ):
        with pytest.raises(UserError) as error:
            refused()
        assert str(error.value) == words
    with pytest.raises(FilterError) as wrong:
        parse(f"seed=0 {name}>0.1")
    assert str(wrong.value) == f"filter, column 8: {words}"


def test_a_damaged_ranks_file_is_no_value(tmp_path: Path) -> None:
    store = open_store(tmp_path / "experiments.db")
    run = new_run(store)
    finish(store, run, {"test": {"hr@10": 0.5}})
    store.folder(run.id).ranks.write_bytes(b"nothing")
    fields = [field_named(name, "--columns") for name in ("hr@10", "hr@3", "coverage@3")]
    assert [row[1:] for row in list_values(store, fields)] == [(0.5, None, None)]


@pytest.mark.slow
def test_thousands_of_runs_are_computed_at_once(tmp_path: Path) -> None:
    store = open_store(tmp_path / "experiments.db")
    run = new_run(store)
    counts = rank_counts(np.arange(1, 6001, dtype=np.int32))
    finish(store, run, {"test": {"hr@10": 0.5}, "rank_counts": {"test": counts}})
    with store.write() as session:
        connection = session.connection()
        names = [row[1] for row in connection.exec_driver_sql("PRAGMA table_info(run)")]
        columns = ", ".join(names)
        copied = ", ".join("id || ?" if name == "id" else name for name in names)
        for i in range(4999):
            copy = f"INSERT INTO run ({columns}) SELECT {copied} FROM run WHERE id = ?"
            connection.exec_driver_sql(copy, (f"{i}", run.id))
    field = field_named("ndcg@7", "--columns")
    list_values(store, [field], limit=1)
    began = time.process_time()
    assert len(list_values(store, [field])) == 5000
    assert time.process_time() - began < 2
