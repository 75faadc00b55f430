"""A board as the lines of a table: arms against backbones, or one line for every number where that would be mostly
empty."""

from __future__ import annotations

from dataclasses import dataclass

from engine.reports.boards.budgets import UnequalBudget
from engine.reports.boards.leaderboard import BoardCell, BoardRow, Leaderboard, best_first, flagged
from engine.reports.boards.row_names import RowNames, row_names

_WIDE = 4
"""Backbones that stand beside one another however empty their columns are."""


@dataclass(frozen=True)
class BoardLine:
    """One line of a table: a row of the board, or one number of it."""

    row: BoardRow
    name: str
    """What the line begins with."""
    cells: tuple[BoardCell | None, ...]
    """Aligned with the table's columns."""


@dataclass(frozen=True)
class BoardTable:
    """The lines of a board under the names of their columns."""

    board: Leaderboard
    columns: tuple[str, ...]
    lines: tuple[BoardLine, ...]
    names: RowNames
    is_list: bool
    """Whether each line is one number, best first whatever the backbone, and names it: `jgcf · id`."""

    def difference(self, difference: UnequalBudget) -> str:
        """A difference between arms, with their names in this table."""
        if not self.is_list:
            return difference.text(self.names.of, self.names.place)
        backbones = [self.board.backbones[column] for column in difference.columns]

        def lines(label: str) -> list[str]:
            wanted = [_line_label(backbone, label) for backbone in backbones]
            return sorted((each for each in wanted if each in self.names.in_notes), key=self.names.place)

        return difference.text(
            lambda label: " and ".join(map(self.names.of, lines(label))),
            lambda label: min(map(self.names.place, lines(label)), default=0),
        )


def board_table(board: Leaderboard) -> BoardTable:
    """The board's rows; where it has many backbones and less than half of the cells have a number, each number on a
    line of its own, the best of all bold."""
    rows = board.rows
    is_list = len(board.backbones) > _WIDE and 2 * len(board.cells) < len(rows) * len(board.backbones)
    if not is_list:
        names = row_names([row.label for row in rows])
        lines = tuple(BoardLine(row, name, row.cells) for row, name in zip(rows, names.rows, strict=True))
        return BoardTable(board, board.backbones, lines, names, is_list=False)
    single = {
        _line_label(backbone, row.label): (row, cell)
        for row in rows
        for backbone, cell in zip(board.backbones, row.cells, strict=True)
        if cell is not None
    }
    ordered = best_first([BoardRow(label, (cell,)) for label, (_, cell) in single.items()], board.metric)
    names = row_names([each.label for each in ordered])
    lines = tuple(
        BoardLine(single[each.label][0], name, each.cells)
        for each, name in zip(flagged(ordered, 1, board.metric), names.rows, strict=True)
    )
    return BoardTable(board, (board.metric.short,), lines, names, is_list=True)


def _line_label(backbone: str, label: str) -> str:
    return f"{backbone} · {label}"
