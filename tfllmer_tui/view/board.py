"""A leaderboard: arms against backbones."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from engine.metrics import Metric
from engine.reports.boards.leaderboard import BoardCell, Leaderboard
from engine.reports.boards.row_names import row_names
from tfllmer_tui.view.text import plain

_DIM = "bright_black"


def leaderboard_table(board: Leaderboard) -> Group:
    """Arms against backbones: mean ± sd (number of seeds); best per column bold, second underlined."""
    n = board.equal_n
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    table.add_column("arm", overflow="fold")
    for backbone in board.backbones:
        table.add_column(plain(backbone), justify="right", no_wrap=True)
    names = row_names([row.label for row in board.rows])
    for label, row in zip(names.rows, board.rows, strict=True):
        table.add_row(plain(label), *(_cell(cell, board.metric, with_n=n is None) for cell in row.cells))
    return Group(plain(board.title, "bold"), table, plain(board_notes(board), _DIM))


def board_notes(board: Leaderboard) -> str:
    """How the numbers of a board are to be read, in one line."""
    n = board.equal_n
    names = row_names([row.label for row in board.rows])
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
    if board.unequal:
        notes.append(f"budgets are not equal: {'; '.join(budget.text(names.of) for budget in board.unequal)}")
    if board.unshared:
        notes.append(f"not shared: {'; '.join(difference.text(names.of) for difference in board.unshared)}")
    return " · ".join([*notes, *([f"all with {names.shared}"] if names.shared else [])])


def _cell(cell: BoardCell | None, metric: Metric, *, with_n: bool) -> Text:
    if cell is None:
        return Text("–", _DIM)
    text = Text(metric.text(cell.mean), "bold" if cell.best else "underline" if cell.second else "")
    spread = "" if cell.sd is None else f" ±{metric.text(cell.sd)}"
    return Text.assemble(text, (f"{spread} ({cell.n_text})" if with_n or cell.is_part else spread, _DIM))
