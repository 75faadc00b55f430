"""A report's table in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tfllmer_tui.view.by_width import DrawnByWidth
from tfllmer_tui.view.text import plain

if TYPE_CHECKING:
    from engine.reports.render.layouts import Entry, Grid

_DIM = "bright_black"
_FOLDED = 24
"""Columns in which a long name still reads well over several lines."""


def grid_table(grid: Grid) -> DrawnByWidth:
    """The same cells as in LaTeX and Markdown: best per column bold, second underlined, the caption below. Words and
    numbers stay whole: where there is no room for all columns, the rest of them stand in further tables."""
    return DrawnByWidth(lambda width: _tables(grid, width))


def _tables(grid: Grid, width: int) -> Group:
    above = [name if i == 0 else "" for name, count in grid.heads for i in range(count)] or [""] * len(grid.columns)
    heads = [
        Text("\n").join([plain(head), plain(name)]) if grid.heads else plain(name)
        for head, name in zip(above, grid.columns, strict=True)
    ]
    entries = [[_entry(cells[at]) for _, cells in grid.rows] for at in range(len(grid.columns))]
    words = [_widest(head, column, str.split) for head, column in zip(heads, entries, strict=True)]
    lines = [_widest(head, column, str.splitlines) for head, column in zip(heads, entries, strict=True)]
    names = [cell_len(grid.corner), *(cell_len(label) for label, _ in grid.rows)]
    gap = 3 if max(names) + sum(words) + 3 * len(words) <= width else 2  # one of it is the box's own
    beside = width - sum(lines) - gap * len(lines)  # what all columns leave with their lines whole
    corner = min(max(names), beside) if beside >= _FOLDED else _corner(names, words, width, gap)
    tables: list[Table] = []
    for part in _parts(words, width - corner, gap):
        table = Table(
            box=SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, gap - 1, 0, 0),
            header_style="bold",
            expand=False,
        )
        table.add_column(plain(grid.corner), overflow="fold", width=corner)
        spare = width - corner - sum(gap + words[at] for at in part)
        for at in part:
            more = lines[at] - words[at]
            more *= more <= spare  # a line is whole, or broken between words
            table.add_column(heads[at], justify="right", width=words[at] + more)
            spare -= more
        for row, (label, _) in enumerate(grid.rows):
            table.add_row(plain(label), *(entries[at][row] for at in part))
        tables.append(table)
    above_it = [plain(grid.title, "bold")] if grid.title else []
    below_it = [plain(" ".join(grid.caption), _DIM)] if grid.caption else []
    return Group(*above_it, *tables, *below_it)


def _corner(names: list[int], words: list[int], width: int, gap: int) -> int:
    """The columns for the names with which the tables have the fewest lines together: the more of a name is folded, the
    more columns stand in a table. Of equals the widest."""
    most = max(1, min(max(names), width - gap - max(words, default=0)))

    def all_lines(corner: int) -> int:
        height = sum(-(-max(name, 1) // corner) for name in names)
        return height * len(_parts(words, width - corner, gap))

    return min(range(most, min(_FOLDED, most) - 1, -1), key=all_lines)


def _parts(words: list[int], room: int, gap: int) -> list[list[int]]:
    """Columns by table: as many in each as have room with their longest words whole."""
    parts: list[list[int]] = [[]]
    used = 0
    for at, word in enumerate(words):
        if parts[-1] and used + gap + word > room:
            parts.append([])
            used = 0
        parts[-1].append(at)
        used += gap + word
    return parts


def _widest(head: Text, entries: Iterable[Text], split: Callable[[str], list[str]]) -> int:
    """The columns that the widest piece of these texts takes."""
    return max((cell_len(piece) for text in (head, *entries) for piece in split(text.plain)), default=1)


def _entry(entry: Entry | None) -> Text:
    if entry is None:
        return Text("–", _DIM)
    style = {"best": "bold", "second": "underline", "": ""}[entry.place]
    spread = f" ±{entry.spread}" if entry.spread else ""
    interval = f" {entry.interval}" if entry.interval else ""
    count = f" ({entry.count})" if entry.count else ""
    return Text.assemble(plain(entry.text, style), entry.sign, (spread + interval + count, _DIM))
