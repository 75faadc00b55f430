"""A board as the lines of a table: arms against backbones, the arms of one backbone, or one line for every number
where arms against backbones would be mostly empty."""

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
    label: str
    """What it is: the arm, in a list with its model in front."""
    name: str
    """What the line begins with: the label, shorter or with a letter (`RowNames`)."""
    cells: tuple[BoardCell | None, ...]
    """Aligned with the table's columns."""


@dataclass(frozen=True)
class BoardTable:
    """The lines of a board under the names of their columns."""

    board: Leaderboard
    columns: tuple[str, ...]
    lines: tuple[BoardLine, ...]
    names: RowNames
    is_list: bool = False
    """Whether each line is one number, best first whatever the backbone, and names it: `jgcf · id`."""
    backbone: str | None = None
    """The one that the table is of, where it is of one."""

    def unequal(self, names: RowNames) -> list[str]:
        """How budgets differ between these arms, which go by `names`."""
        return self._told(self.board.unequal, names)

    def unshared(self, names: RowNames) -> list[str]:
        """Which further settings differ between these arms, which go by `names`."""
        return self._told(self.board.unshared, names)

    def _told(self, differences: tuple[UnequalBudget, ...], names: RowNames) -> list[str]:
        if self.backbone is not None:
            arms = {line.label for line in self.lines}
            kept = [each.among(arms) for each in differences if self.backbone in self._backbones(each)]
            return [each.text(names.of, names.place) for each in kept if each is not None]
        if not self.is_list:
            return [each.text(names.of, names.place) for each in differences]
        return [self._of_lines(each, names) for each in differences]

    def _of_lines(self, difference: UnequalBudget, names: RowNames) -> str:
        def lines(label: str) -> list[str]:
            wanted = [_line_label(backbone, label) for backbone in self._backbones(difference)]
            return sorted((each for each in wanted if each in names.in_notes), key=names.place)

        return difference.text(
            lambda label: " and ".join(map(names.of, lines(label))),
            lambda label: min(map(names.place, lines(label)), default=0),
        )

    def _backbones(self, difference: UnequalBudget) -> list[str]:
        return [self.board.backbones[column] for column in difference.columns]


def is_sparse(board: Leaderboard) -> bool:
    """Whether arms against backbones would be a wide table of dashes."""
    return len(board.backbones) > _WIDE and 2 * len(board.cells) < len(board.rows) * len(board.backbones)


def board_table(board: Leaderboard) -> BoardTable:
    """Arms against backbones; a list where that would be mostly empty."""
    if is_sparse(board):
        return listed(board)
    names = row_names([row.label for row in board.rows])
    lines = (BoardLine(row, row.label, name, row.cells) for row, name in zip(board.rows, names.rows, strict=True))
    return BoardTable(board, board.backbones, tuple(lines), names)


def listed(board: Leaderboard) -> BoardTable:
    """Each number on a line of its own, the best of all bold."""
    single = {
        _line_label(backbone, row.label): (row, cell)
        for row in board.rows
        for backbone, cell in zip(board.backbones, row.cells, strict=True)
        if cell is not None
    }
    ordered = best_first([BoardRow(label, (cell,)) for label, (_, cell) in single.items()], board.metric)
    return _column(board, flagged(ordered, 1, board.metric), [single[each.label][0] for each in ordered], is_list=True)


def of_backbone(board: Leaderboard, backbone: str) -> BoardTable:
    """The arms that have a number with the backbone, best first."""
    at = board.backbones.index(backbone)
    rows = {row.label: row for row in board.rows if row.cells[at] is not None}
    ordered = best_first([BoardRow(label, (row.cells[at],)) for label, row in rows.items()], board.metric)
    return _column(board, ordered, [rows[each.label] for each in ordered], backbone=backbone)


def _column(
    board: Leaderboard,
    column: list[BoardRow],
    rows: list[BoardRow],
    *,
    is_list: bool = False,
    backbone: str | None = None,
) -> BoardTable:
    names = row_names([each.label for each in column])
    lines = tuple(
        BoardLine(row, each.label, name, each.cells) for each, row, name in zip(column, rows, names.rows, strict=True)
    )
    return BoardTable(board, (board.metric.short,), lines, names, is_list, backbone)


def _line_label(backbone: str, label: str) -> str:
    return f"{backbone} · {label}"
