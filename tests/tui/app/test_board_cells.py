"""What names of a leaderboard's rows become where there is little room."""

import pytest

from tfllmer_tui.tui.board_cells import BASELINE, name_cell, name_width
from tfllmer_tui.tui.palette import THEMES, inks

NAME = "(k) tf-llmer/full (minilm-l6) [embedding.reduce.columns=128, table.inject=linear, data.path=./a.b/c=d]"


@pytest.mark.parametrize(
    ("name", "width", "shown"),
    [
        (NAME, 200, "(k) tf-llmer/full (minilm-l6) [columns=128, inject=linear, path=./a.b/c=d]"),
        (NAME, 40, "(k) …/full (minilm-l6) [columns=128, inject=linear, path=./a.b/c=d]"),
        ("sasrec · llm-init/full = tf-llmer/full", 20, "sasrec · …/full = …/full"),
        ("id (./vectors/bert.npy)", 5, "id (./vectors/bert.npy)"),
        ("id-norm", 5, "id-norm"),
    ],
)
def test_a_name_says_most_in_little_room(name: str, width: int, shown: str) -> None:
    cell = name_cell(name, width, inks(THEMES[0]))
    assert "".join(piece for piece, _ in cell) == shown


def test_a_column_is_as_wide_as_its_longest_name() -> None:
    assert name_width([NAME, "id"]) == len(BASELINE) + 74
    assert name_width([]) == len(BASELINE)
