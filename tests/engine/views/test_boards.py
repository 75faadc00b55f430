"""Boards: whose numbers stand on them, how they are tested, laid out and made a file."""

import csv
import io
import json
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.store import Store, open_store
from engine.views.boards import (
    BoardQuery,
    beside,
    boards_of_runs,
    file_text,
    laid_out,
    layout_named,
    mark_boards,
    over_named,
    read_boards,
)
from engine.views.selection import finished_evidence, finished_runs
from tests.tui.app.bench import fill, id_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Read only by every test here."""
    return fill(tmp_path_factory.mktemp("boards") / "experiments.db")


def test_the_finished_runs_that_match_are_counted_once_a_seed(store: Store) -> None:
    (board,) = read_boards(store, BoardQuery())
    counts = {row.label: [cell and cell.n for cell in row.cells] for row in board.rows}
    labels = {label.partition(" [")[0]: n for label, n in counts.items()}
    assert board.backbones == ("sasrec", "gru4rec")
    assert labels == {"tf-llmer/full": [3, 1], "tf-llmer/no-norm": [2, None]}
    (narrow,) = read_boards(store, BoardQuery(backbone="gru4rec"))
    assert [cell.n for cell in narrow.cells] == [1]


def test_named_runs_alone_make_a_board_of_their_own(store: Store) -> None:
    (board,) = boards_of_runs(store, [id_of(0), id_of(1), id_of(6)], ["train_ce"])  # the last one still runs
    assert [cell.runs for cell in board.cells] == [(id_of(0), id_of(1))]


def test_a_name_that_no_run_has_is_refused_with_the_nearest(store: Store) -> None:
    for query in (BoardQuery(dataset="dmeo"), BoardQuery(backbone="sasrek")):
        with pytest.raises(UserError, match=r"no run with it .did you mean (demo|sasrec)"):
            read_boards(store, query)
    with pytest.raises(UserError, match="was never run"):
        read_boards(store, BoardQuery(study="barrier"))
    with pytest.raises(UserError, match="no such layout"):
        layout_named("metric")
    with pytest.raises(UserError, match="no such test"):
        over_named("seed")


def test_marks_stand_on_the_boards_that_were_read(store: Store) -> None:
    boards = read_boards(store, BoardQuery(("train_ce",), backbone="sasrec"))
    (marked,) = mark_boards(store, boards, "full", "seeds", tuned=True)
    assert [(row.label, [cell and cell.mean for cell in row.cells]) for row in marked.rows] == [
        (row.label, [cell and cell.mean for cell in row.cells]) for row in boards[0].rows
    ]
    (worse,) = [cell.versus for cell in marked.cells if cell.versus is not None]
    assert worse.difference is not None and worse.difference > 0 and worse.p is not None
    with pytest.raises(UserError, match="no row of that name"):
        mark_boards(store, boards, "none-such", "seeds", tuned=True)


def test_other_metrics_of_the_same_data_and_protocol_stand_beside(store: Store) -> None:
    (board,) = read_boards(store, BoardQuery())
    others = beside(store, board, ("test.hr@10", "train_ce"), None)
    assert [str(each.metric) for each in others] == ["test.hr@10", "train_ce"]
    assert {each.dataset for each in others} == {board.dataset}


def test_one_board_in_every_form(store: Store) -> None:
    boards = read_boards(store, BoardQuery(backbone="sasrec"))
    (grid,) = laid_out(boards, "backbones")
    assert len(grid.rows) == 2
    rows = list(csv.DictReader(io.StringIO(file_text(boards, "csv", "backbones"))))
    document = json.loads(file_text(boards, "json", "backbones"))
    means = [cell.mean for cell in boards[0].cells]
    assert [float(row["mean"]) for row in rows] == means
    assert json.dumps(means[0]) in json.dumps(document)
    assert file_text(boards, "latex", "backbones").startswith("\\documentclass")
    assert "\\documentclass" not in file_text(boards, "latex", "backbones", fragment=True)
    assert file_text(boards, "markdown", "backbones").count("| tf-llmer/") == 2
    with pytest.raises(UserError, match="needs --baseline"):
        file_text(boards, "markdown", "difference")


def test_evidence_is_of_finished_runs_and_there_must_be_some(store: Store, tmp_path: Path) -> None:
    assert len(finished_runs(store)) == len(finished_evidence(store)) == 6
    with pytest.raises(UserError, match="no finished run matches"):
        finished_evidence(open_store(tmp_path / "empty.db"))
