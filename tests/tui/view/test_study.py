"""The picture of a study: a mark in the right place, failures with their reasons, what is left in words."""

import io
from typing import Any

from rich.console import Console

from engine.views.study import CellState, StudyState
from engine.views.time_left import TimeLeft
from tfllmer_tui.view.study import label, matrix, picture, time_text


def cell(arm: str, backbone: str, seed: int, state: str) -> CellState:
    axes = {"dataset": "demo", "backbone": backbone, "arm": arm, "seed": seed}
    run = None if state == "missing" else f"01JD{arm[0]}{backbone[0]}{seed}{'0' * 19}"
    return CellState(axes, "h", state, run, "[red]odd[/red]" if state == "failed" else "", None, 20, None)


def text(renderable: Any, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(renderable)
    return out.getvalue()


CELLS = (
    *(cell("id", backbone, 0, "finished") for backbone in ("sasrec", "gru4rec")),
    *(cell("tf-llmer/full", "sasrec", seed, "failed") for seed in (0, 1)),
    *(cell("tf-llmer/full", "gru4rec", seed, "missing") for seed in (1, 0)),
    *(cell("id", backbone, 1, "queued") for backbone in ("sasrec", "gru4rec")),
)


def test_every_run_has_its_mark_in_its_place() -> None:
    rows = {line.split()[0]: line.split()[1:] for line in text(matrix(CELLS)).splitlines()[3:]}
    assert rows == {"id": ["✓·", "✓·"], "tf-llmer/full": ["✗✗", "○○"]}


def test_columns_go_by_vectors_and_what_all_cells_share_is_told_once() -> None:
    def of(arm: str, backbone: str, **own: str) -> CellState:
        axes = {**cell(arm, backbone, 0, "missing").axes, "table.row_length": "id", **own}
        return CellState(axes, "h", "missing", None, "", None, 20, None)

    full = [of("full", backbone, embedding=name) for name in ("a", "b") for backbone in ("sasrec", "gru4rec")]
    shown = text(matrix([*full, of("id", "gru4rec"), of("id", "sasrec")]))
    heads = [line.split() for line in shown.splitlines()[:3]]
    assert heads == [
        ["demo", "demo", "demo", "demo"],
        ["sasrec", "gru4rec", "sasrec", "gru4rec", "demo", "demo"],
        ["arm", "a", "a", "b", "b", "sasrec", "gru4rec"],
    ]
    assert "all with table.row_length=id" in shown and shown.count("row_length") == 1


def test_where_names_have_no_room_beside_all_columns_data_sets_stand_below_one_another() -> None:
    settings = {"table.inject": "linear", "embedding.reduce.columns": 128}
    cells = []
    for dataset in ("ml-100k", "ml-1m", "amazon-beauty"):
        for arm, own in (("tf-llmer/no-rec-pca", settings), ("id", {})):
            axes = {"dataset": dataset, "backbone": "sasrec", "arm": arm, "seed": 0, **own}
            cells.append(CellState(axes, "h", "missing", None, "", None, 20, None))
    beside = text(matrix(cells), 130).splitlines()
    assert beside[0].split() == ["ml-100k", "ml-1m", "amazon-beauty"]
    assert any("no-rec-pca   embedding.reduce.columns=128 table.inject=linear" in line for line in beside)
    for width in (60, 40):
        below = [line.rstrip() for line in text(matrix(cells), width).splitlines()]
        assert [line for line in below[2:] if line and line[0] != " "] == ["ml-100k", "ml-1m", "amazon-beauty"]
        for word in ("tf-llmer/no-rec-pca", "columns=128", "inject=linear"):
            assert sum(word in line for line in below) == 3


def test_the_picture_counts_and_gives_reasons_as_they_are() -> None:
    counts = {"finished": 2, "queued": 2, "failed": 2, "missing": 2}
    shown = text(picture(StudyState(counts, CELLS, TimeLeft(15.0, 2, 0))))
    assert "✓ 2 finished  · 2 queued  ✗ 2 failed  ○ 2 missing" in shown
    assert shown.count("[red]odd[/red]") == 2
    assert "About 15 s on 2 slots, as past runs took." in shown


def test_what_is_left_in_words() -> None:
    assert time_text(TimeLeft(None, 1, 8)).startswith("No estimate yet")
    assert time_text(TimeLeft(0.0, 2, 0)) == ""
    assert "no past run tells the time of 3 more" in time_text(TimeLeft(60.0, 2, 3))


def test_a_cell_in_words_names_what_was_set() -> None:
    axes = {"dataset": "demo", "backbone": "sasrec", "arm": "id", "seed": 3, "train.lr": 0.01}
    assert label(axes) == "id demo sasrec train.lr=0.01 seed 3"
