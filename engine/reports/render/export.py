"""What leaves the workbench: leaderboards as CSV and JSON, tables as Markdown (LaTeX: `latex`), ranks as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.bounds import read_parquet
from engine.errors import UserError
from engine.files import replacing
from engine.metrics import load_ranks
from engine.reports.boards.leaderboard import BoardCell, Leaderboard
from engine.reports.render.layouts import Entry, Grid
from engine.reports.stats.numbers import finite
from engine.text import json_text, printable, printable_lines

_FORMULA = r"^\s*[=+\-@＝＋－＠]"
_VERSUS = ("difference", "lo", "hi", "p", "p_holm")
_COLUMNS = (
    *("dataset", "conditions", "mask_seen", "metric", "arm", "backbone"),
    *("mean", "sd", "n", "seeds", "best", "runs"),
    *_VERSUS,
)
_NUMBER = r"^[+-]?[0-9]+(\.[0-9]+)?$"


def guarded(text: str) -> str:
    """The text as a CSV cell that no spreadsheet takes for a formula: one that starts with = + - @
    gets a leading apostrophe, unless it is a plain number."""
    return f"'{text}" if re.search(_FORMULA, text) and not re.search(_NUMBER, text) else text


def to_csv(boards: Sequence[Leaderboard]) -> str:
    """One line per cell, means and deviations in full precision, an empty `sd` where there is one seed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for board in boards:
        where = [_cell_text(board.dataset), _cell_text("; ".join(board.conditions)), board.mask_seen, board.metric]
        for row in board.rows:
            for backbone, cell in zip(board.backbones, row.cells, strict=True):
                if cell is not None:
                    sd = "" if cell.sd is None else repr(cell.sd)
                    place = "best" if cell.best else "second" if cell.second else ""
                    seeds = " ".join(map(str, cell.seeds))
                    numbers = [repr(cell.mean), sd, cell.n, seeds, place, " ".join(cell.runs)]
                    versus = [
                        "" if (value := getattr(cell.versus, name, None)) is None else repr(value) for name in _VERSUS
                    ]
                    writer.writerow([*where, _cell_text(row.label), _cell_text(backbone), *numbers, *versus])
    return out.getvalue()


def _cell_text(text: str) -> str:
    return guarded(printable_lines(text.replace("\r", " ")))  # the csv module leaves a lone carriage return unquoted


def to_markdown(grids: Sequence[Grid]) -> str:
    """A heading and a table per grid; the best mean per column bold, the second best underlined."""
    return "\n".join(map(_markdown_grid, grids))


def _markdown_grid(grid: Grid) -> str:
    above = [""] * len(grid.columns)
    if len(grid.heads) > 1:  # a single one stands in the title as well
        above = [name for name, width in grid.heads for _ in range(width)]
    heads = [" · ".join(filter(None, names)) for names in zip(above, grid.columns, strict=True)]
    lines = [
        f"### {_markdown(grid.title)}",
        "",
        " ".join(map(_markdown, grid.caption)),
        "",
        "| " + " | ".join([_markdown(grid.corner), *map(_markdown, heads)]) + " |",
        "|---|" + "---:|" * len(heads),
    ]
    lines += [f"| {' | '.join([_markdown(label), *map(_markdown_entry, cells)])} |" for label, cells in grid.rows]
    return "\n".join([*lines, ""])


def _markdown_entry(entry: Entry | None) -> str:
    if entry is None:
        return "–"
    text = _markdown(entry.text)
    text = f"**{text}**" if entry.place == "best" else f"<u>{text}</u>" if entry.place == "second" else text
    spread = f" ± {entry.spread}" if entry.spread else ""
    interval = f" {_markdown(entry.interval)}" if entry.interval else ""
    count = f" ({entry.count})" if entry.count else ""
    return text + _markdown(entry.sign) + spread + interval + count


def _markdown(text: str) -> str:
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~&$])", r"\\\1", printable(" ".join(text.split())))
    return re.sub(r"(https?)://", r"\1:\\/\\/", escaped)


def to_json(boards: Sequence[Leaderboard]) -> str:
    """An array of boards with everything they hold; numbers that are not finite become null."""
    return json_text([_json_board(board) for board in boards], indent=2) + "\n"


def _json_board(board: Leaderboard) -> dict[str, Any]:
    return {
        "dataset": board.dataset,
        "conditions": list(board.conditions),
        "mask_seen": board.mask_seen,
        "metric": str(board.metric),
        "higher_is_better": board.metric.higher_is_better,
        "compared": board.compared,
        "unequal_budgets": [budget.text() for budget in board.unequal],
        "not_shared": [difference.text() for difference in board.unshared],
        "backbones": list(board.backbones),
        "rows": [
            {
                "arm": row.label,
                "cells": {b: _json_cell(c) for b, c in zip(board.backbones, row.cells, strict=True) if c is not None},
            }
            for row in board.rows
        ],
    }


def _json_cell(cell: BoardCell) -> dict[str, Any]:
    return {
        "mean": finite(cell.mean),
        "sd": finite(cell.sd),
        "n": cell.n,
        "seeds": list(cell.seeds),
        "runs": list(cell.runs),
        "best": cell.best,
        "second": cell.second,
        "config_hash": cell.config_hash,
        "versus": None if cell.versus is None else {k: finite(v) for k, v in vars(cell.versus).items()},
    }


def export_ranks(ranks_file: Path, split_parquet: Path, out: Path) -> int:
    """Write `user_id,item_id,split,rank` (rank 1 = best), one line per ranked target: all of valid, then
    test, users in their order. Returns the number of lines below the header.

    ranks_file holds int32 `valid` and `test` [users], -1 = no target; split_parquet has the columns
    user_id, valid_item_id, test_item_id, one row per user. Raises UserError where a file is missing,
    damaged, or the two do not belong together.
    """
    import polars as pl

    ranks = load_ranks(ranks_file)
    users = read_parquet(split_parquet, f"{split_parquet}: no split can be read")
    parts = []
    for split in ("valid", "test"):
        if split not in ranks or ranks[split].shape != (users.height,):
            raise UserError(f"{ranks_file}: needs {users.height} ranks {split!r}, one per user of {split_parquet}")
        part = users.select(
            _guarded(pl.col("user_id")),
            _guarded(pl.col(f"{split}_item_id")).alias("item_id"),
            pl.lit(split).alias("split"),
            pl.Series("rank", ranks[split]),
        ).filter(pl.col("rank") != -1)
        if part["item_id"].null_count():
            raise UserError(f"{ranks_file}: ranks a user without {split} item in {split_parquet}; use its own split")
        parts.append(part)
    table = pl.concat(parts)
    with replacing(out) as scratch:
        table.write_csv(scratch)
    return table.height


def _guarded(column: Any) -> Any:
    """`guarded` for a column of polars."""
    import polars as pl

    formula = column.str.contains(_FORMULA) & ~column.str.contains(_NUMBER)
    return pl.when(formula).then(pl.concat_str(pl.lit("'"), column)).otherwise(column).alias(column.meta.output_name())
