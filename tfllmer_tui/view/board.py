"""A leaderboard in the terminal."""

from __future__ import annotations

from dataclasses import replace

from engine.reports.boards.leaderboard import Leaderboard
from engine.reports.boards.lines import board_table
from engine.reports.render.layouts import grids
from tfllmer_tui.view.by_width import DrawnByWidth
from tfllmer_tui.view.grid import grid_table


def leaderboard_table(board: Leaderboard) -> DrawnByWidth:
    """Arms against backbones, or a list of models (`board_table`): mean ± sd (number of seeds); best per column bold,
    second underlined."""
    (grid,) = grids([board])
    return grid_table(replace(grid, caption=(board_notes(board),)))


def board_notes(board: Leaderboard) -> str:
    """How the numbers of a board are to be read, in one line."""
    n, table = board.equal_n, board_table(board)
    spread = {None: "mean ± sd over seeds (number of seeds)", 1: "one seed, no spread"}
    notes = [spread.get(n, f"mean ± sd over {n} seeds")]
    if board.parts:
        notes.append(board.parts)
    if board.metric.direction != "neither":
        notes.append("best bold, second underlined")
    if not board.metric.is_curve:
        notes.append("seen items left out" if board.mask_seen else "seen items ranked too")
    if board.metric.direction != "neither":
        notes.append(f"{board.metric.direction} is better")
    if board.archives:
        notes.append(f"with runs from {', '.join(board.archives)}")
    for what, differences in (("budgets are not equal", table.unequal), ("not shared", table.unshared)):
        told = differences(table.names)
        notes += [f"{what}: {'; '.join(told)}"] if told else []
    return " · ".join([*notes, *([f"all with {table.names.shared}"] if table.names.shared else [])])
