"""A fold that has not every seed says so: 2 of 5, on boards and in lists."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from engine.presets import chosen, find_study
from engine.queue.studies import submit
from engine.reports.render.layouts import grids
from engine.store import Store
from engine.store.queries.filters import field_named, parse
from engine.views.boards import BoardQuery, read_boards
from engine.views.listing import folded_runs
from tests.engine.views.test_baselines import add
from tests.tui.cli.calls import call
from tests.tui.cli.report.test_verdict import TWO
from tfllmer_tui.view.board import leaderboard_table
from tfllmer_tui.view.tables import fold_table


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    from engine.store import open_store

    store = open_store(tmp_path_factory.mktemp("parts") / "experiments.db")
    for seed in range(5):
        add(store, 0.3 + 0.01 * seed, ablation="full", seed=seed)
    for seed in range(2):
        add(store, 0.2, ablation="no-norm", seed=seed)
    return store


def printed(view: object) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(view)
    return out.getvalue()


def test_a_list_that_a_filter_cuts_says_how_many_seeds_of_how_many(store: Store) -> None:
    columns = [field_named("ndcg@10", "")]
    for text, of in (("seed=0,1", {"full": "0-1 (2 of 5)", "no-norm": "0-1"}), ("", {"full": "0-4", "no-norm": "0-1"})):
        folds = folded_runs(store, columns, where=parse(text).clause())
        table = printed(fold_table(folds, ["ndcg@10"]))
        lines = {line.split()[0].rpartition("/")[2]: line for line in table.splitlines() if "tf-llmer" in line}
        assert all(seeds in lines[arm] for arm, seeds in of.items())
        assert ("2 of 5" in table) == any("of" in seeds for seeds in of.values())
        assert {fold.about["ablation"]: fold.of_seeds for fold in folds} == {"full": 5, "no-norm": 2}
    told = call(store.path.parent, "runs", "--group", "seed", "--filter", "seed=3", "--json").stdout
    assert [(fold["seeds"], fold["of_seeds"]) for fold in json.loads(told)] == [([3], 5)]
    assert "3 (1 of 5)" in call(store.path.parent, "runs", "--group", "seed", "--filter", "seed=3").stdout


def test_a_board_of_a_study_says_how_many_seeds_of_how_many(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs/study").mkdir(parents=True)
    (tmp_path / "configs/study/two.yaml").write_text(TWO)
    monkeypatch.chdir(tmp_path)
    submit(store, find_study("two"), chosen(find_study("two")))
    (board,) = read_boards(store, BoardQuery(study="two"))
    (cell,) = board.cells
    assert (cell.n, cell.of_seeds, cell.n_text) == (2, 5, "2 of 5")
    text = printed(leaderboard_table(board))
    assert "(2 of 5)" in text and "not every seed that there is counts here: 2 of 5 seeds" in text
    (grid,) = grids([board], "backbones")
    assert "Not every seed that there is counts here: 2 of 5 seeds." in grid.caption
    (whole,) = read_boards(store, BoardQuery())
    assert not whole.parts and " of 5" not in printed(leaderboard_table(whole))
