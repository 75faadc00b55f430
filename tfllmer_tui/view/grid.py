"""A report's table in the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from engine.reports.render.layouts import Entry, Grid
from tfllmer_tui.view.text import plain

_DIM = "bright_black"


def grid_table(grid: Grid) -> Group:
    """The same cells as in LaTeX and Markdown: best per column bold, second underlined, the caption below."""
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=False
    )
    table.add_column(plain(grid.corner), overflow="fold")
    above = [name if i == 0 else "" for name, width in grid.heads for i in range(width)] or [""] * len(grid.columns)
    for head, name in zip(above, grid.columns, strict=True):
        table.add_column(Text("\n").join([plain(head), plain(name)]) if grid.heads else plain(name), justify="right")
    for label, cells in grid.rows:
        table.add_row(plain(label), *map(_entry, cells))
    return Group(plain(grid.title, "bold"), table, plain(" ".join(grid.caption), _DIM))


def _entry(entry: Entry | None) -> Text:
    if entry is None:
        return Text("–", _DIM)
    style = {"best": "bold", "second": "underline", "": ""}[entry.place]
    spread = f" ±{entry.spread}" if entry.spread else ""
    interval = f" {entry.interval}" if entry.interval else ""
    count = f" ({entry.count})" if entry.count is not None else ""
    return Text.assemble(plain(entry.text, style), entry.sign, (spread + interval + count, _DIM))
