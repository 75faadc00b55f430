"""What leaves the workbench: leaderboards as CSV, Markdown and JSON (LaTeX: `latex`), ranks as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.reports.files import replacing
from engine.reports.latex import to_latex
from engine.reports.leaderboard import Cell, Leaderboard
from engine.spec import UserError

__all__ = ["export_ranks", "to_csv", "to_json", "to_latex", "to_markdown"]

_FORMULA = r"^\s*[=+\-@＝＋－＠]"
_NUMBER = r"^[+-]?[0-9]+(\.[0-9]+)?$"


def guarded(text: str) -> str:
    """The text as a CSV cell that no spreadsheet takes for a formula: one that starts with = + - @
    gets a leading apostrophe, unless it is a plain number."""
    return f"'{text}" if re.search(_FORMULA, text) and not re.search(_NUMBER, text) else text


def to_csv(boards: Sequence[Leaderboard]) -> str:
    """One line per cell, means and deviations in full precision, an empty `sd` where there is one seed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["dataset", "conditions", "mask_seen", "metric", "arm", "backbone", "mean", "sd", "n", "seeds", "best", "runs"]
    )
    for board in boards:
        where = [_cell_text(board.dataset), _cell_text("; ".join(board.conditions)), board.mask_seen, board.metric]
        for row in board.rows:
            for backbone, cell in zip(board.backbones, row.cells, strict=True):
                if cell is not None:
                    sd = "" if cell.sd is None else repr(cell.sd)
                    place = "best" if cell.best else "second" if cell.second else ""
                    seeds = " ".join(map(str, cell.seeds))
                    numbers = [repr(cell.mean), sd, cell.n, seeds, place, " ".join(cell.runs)]
                    writer.writerow([*where, _cell_text(row.label), _cell_text(backbone), *numbers])
    return out.getvalue()


def _cell_text(text: str) -> str:
    return guarded(text.replace("\r", " "))  # the csv module leaves a lone carriage return unquoted


def to_markdown(boards: Sequence[Leaderboard]) -> str:
    """A heading and a table per board; the best mean per column bold, the second best underlined."""
    return "\n".join(map(_markdown_board, boards))


def _markdown_board(board: Leaderboard) -> str:
    seen = "" if board.metric.split == "train" else f", seen items {'masked' if board.mask_seen else 'not masked'}"
    direction = "higher" if board.metric.higher_is_better else "lower"
    lines = [
        f"### {_markdown(board.title)}",
        "",
        f"Mean ± sample standard deviation over seeds (their number){seen}; {direction} is better.",
        "",
        "| " + " | ".join(["arm", *map(_markdown, board.backbones)]) + " |",
        "|---|" + "---:|" * len(board.backbones),
    ]
    lines += [f"| {' | '.join([_markdown(row.label), *map(_markdown_cell, row.cells)])} |" for row in board.rows]
    return "\n".join([*lines, ""])


def _markdown_cell(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    mean = f"{cell.mean:.4f}"
    mean = f"**{mean}**" if cell.best else f"<u>{mean}</u>" if cell.second else mean
    return f"{mean} ({cell.n})" if cell.sd is None else f"{mean} ± {cell.sd:.4f} ({cell.n})"


def _markdown(text: str) -> str:
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~&$])", r"\\\1", " ".join(text.split()))
    return re.sub(r"(https?)://", r"\1:\\/\\/", escaped)


def to_json(boards: Sequence[Leaderboard]) -> str:
    """An array of boards with everything they hold; numbers that are not finite become null."""
    return json.dumps([_json_board(board) for board in boards], indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _json_board(board: Leaderboard) -> dict[str, Any]:
    return {
        "dataset": board.dataset,
        "conditions": list(board.conditions),
        "mask_seen": board.mask_seen,
        "metric": str(board.metric),
        "higher_is_better": board.metric.higher_is_better,
        "backbones": list(board.backbones),
        "rows": [
            {
                "arm": row.label,
                "cells": {b: _json_cell(c) for b, c in zip(board.backbones, row.cells, strict=True) if c is not None},
            }
            for row in board.rows
        ],
    }


def _json_cell(cell: Cell) -> dict[str, Any]:
    return {
        "mean": cell.mean if math.isfinite(cell.mean) else None,
        "sd": cell.sd if cell.sd is not None and math.isfinite(cell.sd) else None,
        "n": cell.n,
        "seeds": list(cell.seeds),
        "runs": list(cell.runs),
        "best": cell.best,
        "second": cell.second,
        "config_hash": cell.config_hash,
    }


def export_ranks(ranks_file: Path, split_parquet: Path, out: Path) -> int:
    """Write `user_id,item_id,split,rank` (rank 1 = best), one line per ranked target: all of valid, then
    test, users in their order. Returns the number of lines below the header.

    ranks_file holds int32 `valid` and `test` [users], -1 = no target; split_parquet has the columns
    user_id, valid_item_id, test_item_id, one row per user. Raises UserError where a file is missing,
    damaged, or the two do not belong together.
    """
    import polars as pl
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        ranks = load_file(ranks_file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{ranks_file}: no ranks can be read: {error}; run the experiment again") from None
    try:
        users = pl.read_parquet(split_parquet)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{split_parquet}: no split can be read: {str(error).splitlines()[0]}") from None
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
    with replacing(out) as beside:
        table.write_csv(beside)
    return table.height


def _guarded(column: Any) -> Any:
    """`guarded` for a column of polars."""
    import polars as pl

    formula = column.str.contains(_FORMULA) & ~column.str.contains(_NUMBER)
    return pl.when(formula).then(pl.concat_str(pl.lit("'"), column)).otherwise(column).alias(column.meta.output_name())
