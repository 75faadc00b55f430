"""Cells of the leaderboard: names that tell rows apart even where they are cut, and numbers as the CLI has them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.style import Style

from engine.reports.boards.leaderboard import MARKS
from engine.views.words import printable
from tfllmer_tui.tui.palette import Inks
from tfllmer_tui.tui.text import without_method

if TYPE_CHECKING:
    from engine.reports.boards.leaderboard import BoardCell, Leaderboard
    from tfllmer_tui.tui.widgets.table import CellText

_GROUPS = re.compile(r"(?<![\w.=-])(?:[a-z_]+\.)+(?=[a-z_]+=)")


BASELINE = "» "
"""In front of the baseline."""


def name_width(names: Iterable[str]) -> int:
    """Columns that names take where nothing is cut, the baseline's mark included."""
    return len(BASELINE) + max((cell_len(_GROUPS.sub("", name)) for name in names), default=0)


def name_cell(name: str, width: int, colors: Inks) -> CellText:
    """What a line begins with in `width` columns: settings by the last word of their names, and where that is still too
    long the method as `…/`."""
    arm, bracket, changes = name.partition(" [")
    settings = _GROUPS.sub("", bracket + changes)
    if cell_len(arm + settings) > width:
        arm = without_method(arm)
    return [(printable(arm), colors["text"]), (printable(settings), colors["dim"])]


def number_cell(cell: BoardCell | None, board: Leaderboard, colors: Inks) -> CellText:
    """As the CLI prints it: best bold, second underlined; room for a mark wherever others have one."""
    if cell is None:
        return [("–", colors["faint"])]
    text = board.metric.text
    style: Style = colors["best"] if cell.best else colors["second"] if cell.second else colors["text"]
    pieces = [(text(cell.mean), style)]
    if board.compared:
        mark = MARKS[cell.versus.mark] if cell.versus is not None else ""
        worse = cell.versus is not None and cell.versus.mark == "worse"
        pieces.append((mark or " ", colors["error" if worse else "success"]))
    seeds = f" ({cell.n_text})" if board.equal_n is None or cell.is_part else ""
    return [*pieces, ("" if cell.sd is None else f" ±{text(cell.sd)}", colors["dim"]), (seeds, colors["dim"])]
