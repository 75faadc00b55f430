"""Boards of many models: one line for every number."""

from pathlib import Path

import pytest

from engine.reports.boards.leaderboard import Leaderboard, leaderboards
from engine.reports.boards.lines import board_table
from engine.reports.boards.marks import marked
from engine.reports.render.latex import escape, to_latex
from engine.reports.render.layouts import grids
from tests.engine.reports.records import record
from tests.engine.reports.render.tex import compile_tex, overfull
from tests.engine.reports.trials import trials

MODELS = ["sasrec", "lightgcn", "jgcf", "ease", "markov"]


def sparse(models: list[str] = MODELS) -> Leaderboard:
    """Every model with settings of its own, each better than the one before."""
    made = [
        record(f"R{i}", "id", None, value=0.1 + i / 100, backbone=name, overrides={"train.lr": 0.1 * (i + 1)})
        for i, name in enumerate(models)
    ]
    (board,) = leaderboards(made)
    return board


def test_a_board_that_would_be_mostly_empty_is_a_list() -> None:
    table = board_table(sparse())
    assert table.is_list and table.columns == ("test NDCG@10",)
    assert [line.name.split(" [")[0] for line in table.lines] == [f"{name} · id" for name in reversed(MODELS)]
    assert [
        [cell and (round(cell.mean, 6), cell.best, cell.second) for cell in line.cells] for line in table.lines[:3]
    ] == [
        [(0.14, True, False)],
        [(0.13, False, True)],
        [(0.12, False, False)],
    ]
    assert all(line.row in table.board.rows for line in table.lines)


def test_few_models_and_full_boards_stay_side_by_side() -> None:
    few = board_table(sparse(MODELS[:4]))
    assert not few.is_list and few.columns == ("sasrec", "lightgcn", "jgcf", "ease")
    full = [record(f"R{name}", "id", None, backbone=name) for name in MODELS]
    (board,) = leaderboards(full)
    assert not board_table(board).is_list


def test_notes_of_a_list_name_its_lines() -> None:
    runs = [
        run
        for name, batch in (("sasrec", 32), ("gru4rec", 32), ("bert4rec", 64), ("bsarec", 32), ("fmlp-rec", 16))
        for run in trials({"method": "id", "backbone": name}, [5.0, 5.1], sets=[f"train.batch_size={batch}"])
    ]
    runs += trials({"method": "id", "backbone": "sasrec"}, [4.9, 5.0], sets=["train.batch_size=128"])
    boards = leaderboards([run.record for run in runs], ["train_ce"])
    boards = marked(boards, {run.run: run for run in runs}, "id [train.batch_size=32]")
    (grid,) = grids(boards)
    assert grid.corner == "model · arm"
    names = [name for name, _ in grid.rows]
    assert "sasrec · id [train.batch_size=128]" in names and len(names) == 6
    caption = " ".join(grid.caption)
    said = caption.partition("Budgets are not equal: ")[2]
    assert said.startswith(
        "train.batch_size 128 for sasrec · id [train.batch_size=128], 32 for sasrec · id [train.batch_size=32]"
    )
    assert [entry.place for _, (entry,) in grid.rows if entry is not None].count("best") == 1


def test_metrics_of_a_list_stand_beside_each_other_in_one_table() -> None:
    made = [
        record(f"R{i}", "id", None, value=0.1 + i / 100, backbone=name, overrides={"train.lr": 0.1 * (i + 1)})
        for i, name in enumerate(MODELS)
    ]
    (grid,) = grids(leaderboards(made, ["ndcg@10", "train_ce"]), "metrics")
    assert grid.corner == "model · arm" and grid.columns == ("test NDCG@10 ↑", "train CE ↓")
    assert [name.split(" [")[0] for name, _ in grid.rows] == [f"{name} · id" for name in reversed(MODELS)]
    assert next([entry and entry.text for entry in cells] for _, cells in grid.rows) == ["0.1400", "6.8600"]
    assert [[entry and entry.place for entry in cells] for _, cells in grid.rows][:2] == [["best"] * 2, ["second"] * 2]
    assert grid.caption[0].startswith("ml-100k: test NDCG@10 at the best")


def test_a_table_of_one_backbone_names_its_own_arms_only() -> None:
    runs = [
        run
        for name, batch in (("sasrec", 32), ("sasrec", 64), ("gru4rec", 16), ("gru4rec", 128), ("bert4rec", 8))
        for run in trials({"method": "id", "backbone": name}, [5.0, 5.1], sets=[f"train.batch_size={batch}"])
    ]
    boards = leaderboards([run.record for run in runs], ["train_ce"])
    captions = {grid.title.split(" ")[0]: " ".join(grid.caption) for grid in grids(boards, "metrics")}
    said = {name: caption.partition("Budgets are not equal: ")[2] for name, caption in captions.items()}
    assert said == {
        "sasrec": "train.batch_size 32 for id [train.batch_size=32], 64 for id [train.batch_size=64].",
        "gru4rec": "train.batch_size 128 for id [train.batch_size=128], 16 for id [train.batch_size=16].",
        "bert4rec": "",
    }


@pytest.mark.parametrize("siunitx", [False, True])
def test_a_table_that_is_too_tall_goes_on_on_the_next_page(tmp_path: Path, siunitx: bool) -> None:
    made = [
        record(
            f"R{i}",
            "id",
            None,
            value=0.1 + i / 1000,
            backbone=MODELS[i % 5],
            overrides={f"backbone.option{j}": f"value-{i}-{j}" for j in range(i % 7)},
        )
        for i in range(70)
    ]
    all_grids = grids(leaderboards(made))
    text = to_latex(all_grids, siunitx=siunitx)
    log = compile_tex(tmp_path, text)
    assert not overfull(log) and "too large" not in log
    assert text.count(r"\begin{table}") == 1 + text.count(r"\caption{\emph{(continued)}}") > 2
    assert text.count(r"\label{") == len(all_grids) == 1
    for name, _ in all_grids[0].rows:
        assert text.count(escape(name.partition(" [")[0]) + " ") == 1
