"""The ids that come with vectors: which part of a file holds them, and one a row."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from engine.data.ids import MISSING
from engine.data.text import BLANKS, not_utf8
from engine.errors import UserError

ID_NAMES = ("ids", "item_ids", "items", "item_id", "id")
"""What ids are called in a file, besides its own convention."""


def name_of_ids(names: Iterable[str], kind: str, path: Path) -> str | None:
    """The name of the ids among those of a file; None where it has none."""
    usual = [name for name in ID_NAMES if name in names]
    return only_name(usual, kind, path) if usual else None


def only_name(names: list[str], kind: str, path: Path) -> str:
    """The one name. Raises UserError where there are more."""
    if len(names) > 1:
        raise UserError(f"{path}: the {kind} {' and '.join(names)} could each be meant; keep one of these names")
    return names[0]


def require_no_others(names: list[str], path: Path) -> None:
    """Raises UserError for parts of a file that hold a text or a whole number a row and are not called ids: without
    them the rows would be taken in the order of `.item`."""
    if names:
        each = "holds a text or a whole number" if len(names) == 1 else "each hold a text or a whole number"
        raise UserError(
            f"{path}: {', '.join(names[:4])} {each} for every row and may be the ids; "
            "call them `ids`, or leave them out"
        )


def require_one_a_row(ids: list[str], n_rows: int, path: Path) -> None:
    """Raises UserError where there are more rows or fewer than ids, and for an id that is empty or stands twice."""
    if n_rows != len(ids):
        why = ""
        if n_rows == len(ids) + 1:
            why = " (a padding row, first or last? save the matrix without it)"
        elif len(ids) == n_rows + 1 and ids[0].lower().split(":")[0] in ID_NAMES:
            why = f" (the first, {ids[0]}, is the name of a column: leave it out)"
        raise UserError(f"{path}: has {n_rows} rows but {len(ids)} ids{why}; give one id a row")
    missing = next((row for row, item in enumerate(ids) if not item.strip(BLANKS) or item in MISSING), None)
    if missing is not None:
        what = f"stands for a missing one ({ids[missing]})" if ids[missing].strip(BLANKS) else "is empty"
        raise UserError(f"{path}: the id of row {missing + 1} {what}; every row needs an id")
    row_of = {item: row for row, item in enumerate(ids)}
    if len(row_of) != len(ids):
        double = next(item for row, item in enumerate(ids) if row_of[item] != row)
        raise UserError(f"{path}: the id {double} occurs more than once; keep one row per item")


def ids_of_column(column: pl.Series, path: Path) -> list[str]:
    """A column of texts, whole numbers or bytes of UTF-8. Raises UserError for another, and where one is empty."""
    dtype = column.dtype
    is_whole = dtype.is_integer() or (isinstance(dtype, pl.Decimal) and dtype.scale == 0)
    if not is_whole and dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Binary):
        raise UserError(f"{path}: column {column.name} must be texts or whole numbers, not {dtype}; write ids so")
    empty = column.is_null().arg_true()
    if len(empty):
        raise UserError(f"{path}: column {column.name}: row {empty[0] + 1} is empty; every row needs an id")
    if dtype != pl.Binary:
        return column.cast(pl.String).to_list()
    ids: list[str] = []
    for row, value in enumerate(column):
        if not_utf8(value) is not None:
            raise UserError(f"{path}: column {column.name}: row {row + 1} is no UTF-8 text; save the ids as UTF-8")
        ids.append(value.decode("utf-8"))
    return ids
