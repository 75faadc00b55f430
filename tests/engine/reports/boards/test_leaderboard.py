import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.records import RunRecord
from engine.reports.boards.leaderboard import BoardCell, Leaderboard, leaderboards, outcome_boards
from tests.engine.reports.records import record


def board(records: list[RunRecord], metric: str = "ndcg@10") -> Leaderboard:
    (only,) = leaderboards(records, [metric])
    return only


def cells(of: Leaderboard, backbone: str = "sasrec") -> dict[str, BoardCell | None]:
    column = of.backbones.index(backbone)
    return {row.label: row.cells[column] for row in of.rows}


def test_mean_and_sample_deviation_over_seeds_by_hand() -> None:
    runs = [record(f"R{i}", value=v, seed=i) for i, v in enumerate([0.10, 0.12, 0.17])]
    cell = cells(board(runs))["tf-llmer/full"]
    assert cell is not None
    assert cell.mean == pytest.approx(0.13)
    assert cell.sd == pytest.approx(math.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2))
    assert (cell.n, cell.seeds, cell.runs) == (3, (0, 1, 2), ("R0", "R1", "R2"))


def test_one_seed_has_no_spread() -> None:
    cell = cells(board([record("R")]))["tf-llmer/full"]
    assert cell is not None
    assert (cell.n, cell.sd) == (1, None)


@given(st.randoms(use_true_random=False))
def test_repeated_runs_count_once_the_newest_finished(shuffle: random.Random) -> None:
    runs = [
        record("R1", value=0.10, seed=0),
        record("R2", value=0.30, seed=0),
        record("R3", value=0.20, seed=1),
        record("R4", value=0.90, seed=1, status="failed"),
        record("R5", value=0.90, seed=0, status="running"),
        record("R6", value=0.90, seed=2, status="lost"),
    ]
    shuffle.shuffle(runs)
    cell = cells(board(runs))["tf-llmer/full"]
    assert cell is not None
    assert cell.runs == ("R2", "R3")
    assert cell.mean == pytest.approx(0.25)


def test_numbers_that_are_shown_alike_are_marked_alike() -> None:
    a, b = 0.1 + 0.2, 0.3  # one mean, summed in two orders
    assert a != b
    runs = [record("A", "id", None, value=0.49623), record("B", "id-norm", None, value=0.49619)]
    runs += [record("C", "tf-llmer", None, value=a), record("D", "ace", None, value=b), record("E", "llm-pca", None)]
    cell = cells(board(runs))
    assert {name for name, each in cell.items() if each and each.best} == {"id", "id-norm"}
    assert {name for name, each in cell.items() if each and each.second} == {"tf-llmer", "ace"}


def test_the_best_and_second_best_of_each_column_are_marked() -> None:
    runs = [
        record("A", "id", None, value=0.3),
        record("B", "id-norm", None, value=0.2),
        record("C", "llm-pca", None, value=0.1),
        record("D", "id", None, value=0.1, backbone="gru4rec"),
        record("E", "llm-pca", None, value=0.2, backbone="gru4rec"),
    ]
    made = board(runs)
    assert made.backbones == ("sasrec", "gru4rec")
    marks = {b: {k: (c.best, c.second) for k, c in cells(made, b).items() if c} for b in made.backbones}
    assert marks["sasrec"] == {"id": (True, False), "id-norm": (False, True), "llm-pca": (False, False)}
    assert marks["gru4rec"] == {"llm-pca": (True, False), "id": (False, True)}
    assert [row.label for row in made.rows] == ["id", "id-norm", "llm-pca"]
    assert made.rows[1].cells[1] is None


def test_ties_are_all_best_and_the_next_value_is_second() -> None:
    values = {"a": 0.3, "b": 0.3, "c": 0.2, "d": 0.2, "e": 0.1}
    found = cells(board([record(m, m, None, value=v) for m, v in values.items()]))
    assert {m for m, c in found.items() if c and c.best} == {"a", "b"}
    assert {m for m, c in found.items() if c and c.second} == {"c", "d"}


def test_a_low_training_ce_is_the_best_one() -> None:
    runs = [record("A", "id", None, value=0.3), record("B", "llm-pca", None, value=0.1)]
    made = board(runs, "train_ce@20")
    assert [row.label for row in made.rows] == ["id", "llm-pca"]
    assert [cell.best for cell in made.cells] == [True, False]
    assert made.cells[0].mean == pytest.approx(6.7)
    assert leaderboards(runs, ["train_ce@3"]) == []


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(shuffle: random.Random) -> None:
    runs = [
        record(f"R{m}{s}{b}", m, None, value=0.1 * (s + 1), seed=s, backbone=b, dataset=d)
        for m in ("id", "llm-pca")
        for s in (0, 1)
        for b in ("bert4rec", "sasrec", "mine")
        for d in ("b", "a")
    ]
    expected = leaderboards(runs, ["mrr", "ndcg@10"])
    shuffle.shuffle(runs)
    assert leaderboards(runs, ["mrr", "ndcg@10"]) == expected
    assert [(b.dataset, str(b.metric)) for b in expected] == [
        (d, m) for d in "ab" for m in ("test.mrr", "test.ndcg@10")
    ]
    assert expected[0].backbones == ("sasrec", "bert4rec", "mine")


def test_changes_by_hand_are_named_and_what_only_affects_execution_is_not() -> None:
    runs = [
        record("A", overrides={"train.lr": 3e-4, "backbone.dropout": 0.5}),
        record("B", "id", None, overrides={"execution.threads": 1, "note": "x"}),
    ]
    assert set(cells(board(runs))) == {"tf-llmer/full [backbone.dropout=0.5, train.lr=0.0003]", "id"}


def test_other_data_or_another_protocol_stands_on_its_own_board() -> None:
    runs = [
        record("A"),
        record("B", overrides={"data.k_core": 5}),
        replace(record("C", overrides={"evaluate.mask_seen": False}, value=0.05), mask_seen=False),
    ]
    made = leaderboards(runs)
    assert [(b.conditions, b.mask_seen) for b in made] == [
        ((), True),
        (("data.k_core=5",), True),
        (("evaluate.mask_seen=false",), False),
    ]
    assert all(cell.best for b in made for cell in b.cells)
    assert [b.rows[0].label for b in made] == ["tf-llmer/full"] * 3


def test_what_changes_no_metric_that_is_shown_makes_no_board_of_its_own() -> None:
    runs = [record("A"), record("B", "id", None, overrides={"evaluate.curvature": 0})]
    (made,) = leaderboards(runs)
    assert made.conditions == () and {row.label for row in made.rows} == {"tf-llmer/full", "id"}
    blind = record("C", "id", None, overrides={"evaluate.curvature": 0, "evaluate.test": False})
    blind = replace(blind, result=replace(blind.result, test={}))
    assert leaderboards([*runs, blind]) == [made]
    (chosen,) = leaderboards([*runs, blind], ["valid.ndcg@10"])
    assert {row.label for row in chosen.rows} == {"tf-llmer/full", "id", "id [evaluate.test=false]"}


def test_who_measures_more_rarely_stands_beside_the_others_by_name() -> None:
    runs = [record("A"), record("B", "id", None, overrides={"evaluate.every": 5})]
    assert set(cells(board(runs))) == {"tf-llmer/full", "id [evaluate.every=5]"}


def test_the_same_data_by_a_preset_and_by_hand_are_one_board() -> None:
    runs = [
        replace(record("A"), data_hash="a" * 16),
        replace(record("B", "id", None, overrides={"data.k_core": 5}), data_hash="a" * 16),
        replace(record("C", overrides={"data.k_core": 10}), data_hash="b" * 16),
    ]
    assert [(b.conditions, len(b.rows)) for b in leaderboards(runs)] == [((), 2), (("data.k_core=10",), 1)]


def test_files_that_changed_are_told_apart() -> None:
    runs = [replace(record("A"), data_hash="a" * 16), replace(record("B", config="x"), data_hash="b" * 16)]
    assert [b.conditions for b in leaderboards(runs)] == [("data #aaaaaa",), ("data #bbbbbb",)]


def test_vectors_are_named_where_there_are_several() -> None:
    runs = [record("A"), record("B", embedding="e5"), record("C", "id", None, embedding=None)]
    assert set(cells(board(runs))) == {"tf-llmer/full (minilm-l6)", "tf-llmer/full (e5)", "id"}


def test_configurations_of_one_name_are_told_apart_by_their_hash() -> None:
    made = board([record("A", config="aaaaaaaaaa"), record("B", config="bbbbbbbbbb", value=0.2)])
    assert [row.label for row in made.rows] == ["tf-llmer/full #bbbbbb", "tf-llmer/full #aaaaaa"]


def test_equal_computations_share_a_row() -> None:
    by_hand = record("B", overrides={"table.normalize": "none"}, config="same", value=0.3, seed=1)
    named = record("A", "tf-llmer", "no-norm", config="same", value=0.1)
    cell = cells(board([named, by_hand]))["tf-llmer/no-norm"]
    assert cell is not None
    assert cell.n == 2
    assert set(cells(board([named, record("C", "id", None, config="same")]))) == {"id = tf-llmer/no-norm"}


def test_what_is_not_a_number_is_never_best() -> None:
    found = cells(board([record("A", "id", None, value=math.nan), record("B", value=0.1)]))
    bad, good = found["id"], found["tf-llmer/full"]
    assert bad is not None
    assert good is not None
    assert math.isnan(bad.mean)
    assert (bad.best, good.best) == (False, True)


def test_nothing_finished_is_no_board_and_unknown_metrics_are_errors() -> None:
    assert leaderboards([record("A", status="running")]) == []
    assert leaderboards([record("A", value=None)]) == []
    with pytest.raises(UserError, match="did you mean"):
        leaderboards([], ["ndgc@1"])


def test_titles_say_what_and_how_many() -> None:
    runs = [record("A", overrides={"data.k_core": 5}), record("B", "id", None, overrides={"data.k_core": 5}, seed=1)]
    made = board(runs)
    assert made.title == "ml-100k · data.k_core=5 · test NDCG@10"
    assert made.equal_n == 1
    assert board([*runs, record("C", "id", None, overrides={"data.k_core": 5})]).equal_n is None


def test_where_no_run_has_read_the_test_split_validation_stands_in_for_it() -> None:
    runs = [record("A", "id", None, value=0.3), record("B", "llm-pca", None, value=0.1)]
    unread = [replace(run, result=replace(run.result, test={})) for run in runs]
    metrics = ("train_ce", "test.ndcg@10")
    assert [str(each.metric) for each in outcome_boards(runs, metrics)][-1] == "test.ndcg@10"
    assert [str(each.metric) for each in outcome_boards([runs[0], unread[1]], metrics)][-1] == "test.ndcg@10"
    (*_, last) = outcome_boards(unread, metrics)
    assert str(last.metric) == "valid.ndcg@10"
    assert {name: cell.best for name, cell in cells(last).items() if cell} == {"id": True, "llm-pca": False}
