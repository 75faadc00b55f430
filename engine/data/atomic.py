"""RecBole atomic files: NAME.inter and NAME.item, tab-separated UTF-8 text.

The first line names the fields and their types (`user_id:token`, `timestamp:float`, ...); types are
token, token_seq, float and float_seq. Ids are text always: leading zeros survive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from engine import spec
from engine.data.arrays import IntArray
from engine.data.fields import part_field, parts_of, require_interactions, time_field, times_of
from engine.data.ids import spelled_otherwise
from engine.data.tables import FileTable
from engine.data.text import BLANKS
from engine.errors import UserError, nearest
from engine.places import atomic_file

UNKNOWN_TEXT = "unknown"
"""The text of an item none of whose text fields is filled."""


@dataclass(frozen=True)
class Log:
    """Interactions in the order of the file, with ids replaced by indices, and the items of `.item`.

    `users` and `items` have one entry per interaction: indices into `user_ids` (order of first
    appearance) and into `item_ids` (the rows of `.item`; without that file, order of first
    appearance). `item_text` runs along `item_ids`, as every column of `item_fields` does, by name. `has_item_file`: the
    order of `item_ids` is that of a file. `time_field`: where the times came from; None where the order of the file is
    the order. `parts`: 0, 1 or 2 per interaction where the file says which are for training, validation and test (in
    `part_field`). `n_copies`: interactions that are exact copies of an earlier one.
    """

    user_ids: list[str]
    item_ids: list[str]
    item_text: list[str]
    users: IntArray
    items: IntArray
    times: IntArray | None
    ratings: npt.NDArray[np.float64] | None
    has_item_file: bool = True
    time_field: str | None = "timestamp"
    parts: IntArray | None = None
    part_field: str | None = None
    n_copies: int = 0
    item_fields: Mapping[str, list[str]] = field(default_factory=dict)


def files(folder: Path, name: str) -> list[Path]:
    """The atomic files of a data set, plain or packed: NAME.inter and, where it exists, NAME.item.

    Raises UserError where NAME.inter does not exist."""
    inter, item = (atomic_file(folder, name, ending) for ending in ("inter", "item"))
    if not inter.is_file():
        names = sorted(path.name for path in folder.glob("*.inter*"))
        hint = nearest(inter.name, names) if names else " (the folder holds no .inter file)"
        raise UserError(f"{inter}: no such file{hint}; put it there, or set --dataset to the folder that has it")
    return [inter, item] if item.is_file() else [inter]


def read_log(folder: Path, name: str, columns: spec.FieldNames | None = None, *, rated: bool = True) -> Log:
    """Read NAME.inter and NAME.item (when there is one) of the folder.

    Fields used: those that `columns` names of .inter (ratings only if `rated`), and its `split`; item_id and the text
    fields of .item. Raises UserError with file, line and field for anything that is not as it should be, for rows that
    are histories and not interactions, and where the order would depend on a field that nobody named."""
    columns = columns or spec.FieldNames()
    inter, *item = files(folder, name)
    used = tuple(dict.fromkeys((columns.timestamp or "timestamp", columns.rating, "split")))
    table = FileTable.read(inter, required=(columns.user_id, columns.item_id), used=used)
    require_interactions(table, columns.user_id, columns.item_id)
    catalogue = FileTable.read(item[0], required=("item_id",)) if item else None

    user_ids = table.column(columns.user_id).unique(maintain_order=True)
    _require_distinct(table, columns.user_id, user_ids)
    _require_distinct(table, columns.item_id, table.column(columns.item_id).unique(maintain_order=True))
    if catalogue is None:
        item_ids = table.column(columns.item_id).unique(maintain_order=True)
        item_text, item_fields = item_ids.to_list(), {}
    else:
        item_ids = _unique_ids(catalogue)
        item_text, item_fields = _item_text(catalogue), _fields(catalogue)

    items = _indices(table.column(columns.item_id), item_ids)
    if catalogue is not None and items.null_count():
        row = int(items.is_null().arg_true()[0])
        unknown = table.column(columns.item_id).filter(items.is_null()).n_unique()
        more = f" (and {unknown - 1} more such items)" if unknown > 1 else ""
        other = spelled_otherwise(table.column(columns.item_id)[row], item_ids)
        what = f"item {table.shown(row, columns.item_id)} is not in {catalogue.path.name}{other}{more}"
        table.fail(row, columns.item_id, what,
                   f"add it to {catalogue.path.name}, or remove its lines here")  # fmt: skip
    users = _int64(_indices(table.column(columns.user_id), user_ids))
    ids = (columns.user_id, columns.item_id)
    ordered_by = time_field(
        table, columns.timestamp, users, table.column(columns.item_id), others=(*ids, columns.rating)
    )
    times = None if ordered_by is None else times_of(table, ordered_by)
    split_by = part_field(table, (*ids, columns.rating, ordered_by))
    return Log(
        user_ids=user_ids.to_list(),
        item_ids=item_ids.to_list(),
        item_text=item_text,
        users=users,
        items=_int64(items),
        times=times,
        ratings=_ratings(table, columns.rating) if rated else None,
        has_item_file=catalogue is not None,
        time_field=ordered_by,
        parts=None if split_by is None else parts_of(table, split_by),
        part_field=split_by,
        n_copies=_n_copies(users, items, times),
        item_fields=item_fields,
    )


@dataclass(frozen=True)
class Items:
    """The rows of `.item` in their order: ids, every field as text (empty where it is), readable text."""

    ids: list[str]
    fields: dict[str, list[str]]
    text: list[str]


def read_items(folder: Path, name: str) -> Items:
    """Read NAME.item of the folder. Raises UserError as `read_log` does, and where the file is missing."""
    _, *item = files(folder, name)
    if not item:
        raise UserError(f"{folder / name}.item: no such file, so the items have no text; put it there")
    table = FileTable.read(item[0], required=("item_id",))
    ids = _unique_ids(table).to_list()
    return Items(ids, _fields(table), _item_text(table))


def _indices(values: pl.Series, ids: pl.Series) -> pl.Series:
    """Position of each value in `ids` (unique); null where it is not there."""
    return values.cast(pl.Enum(ids), strict=False).to_physical()


def _int64(values: pl.Series) -> IntArray:
    return values.cast(pl.Int64).to_numpy()


def _unique_ids(table: FileTable) -> pl.Series:
    ids = table.column("item_id")
    again = (~ids.is_first_distinct()).arg_true()
    if len(again):
        row = int(again[0])
        first = int((ids == ids[row]).arg_true()[0])
        table.fail(
            row, "item_id", f"item {table.shown(row, 'item_id')} is on line {first + 2} already", "keep one line"
        )
    return ids


def _fields(table: FileTable) -> dict[str, list[str]]:
    return {name: table.column(name).to_list() for name in table.types}


def _item_text(table: FileTable) -> list[str]:
    """`title: Toy Story. genres: Animation, Comedy` from the filled text fields, in their order."""
    names = [name for name, kind in table.types.items() if kind.startswith("token") and name != "item_id"]
    if not names:
        return [UNKNOWN_TEXT] * table.frame.height
    parts = [pl.when(pl.col(name) != "").then(pl.lit(name.replace("_", " ") + ": ") + pl.col(name)) for name in names]
    text = table.frame.select(text=pl.concat_str(parts, separator=". ", ignore_nulls=True))["text"]
    return text.replace("", UNKNOWN_TEXT).to_list()


def _n_copies(users: IntArray, items: pl.Series, times: IntArray | None) -> int:
    columns = {"users": users, "items": items} | ({} if times is None else {"times": times})
    return len(users) - pl.DataFrame(columns).n_unique()


def _require_distinct(table: FileTable, name: str, ids: pl.Series) -> None:
    """Raises UserError for two ids that differ in the blanks around them alone, or in a decimal point: are they one, or
    two?"""
    without_blanks = ids.str.strip_chars(BLANKS)
    for bare, by in (
        (without_blanks, "blanks"),
        (without_blanks.str.replace(r"^(-?\d+)\.0$", "${1}"), "a decimal point"),
    ):
        again = (~bare.is_first_distinct()).arg_true()
        if len(again):
            one, other = ids[int((bare == bare[again[0]]).arg_true()[0])], ids[again[0]]
            row = int((table.column(name) == other).arg_true()[0])
            table.fail(row, name, f"{other!r} and {one!r} differ only by {by}", "write an id in one way")


def _ratings(table: FileTable, name: str) -> npt.NDArray[np.float64] | None:
    if name not in table.types:
        return None
    values = table.floats(name)
    bad = (~values.is_finite()).fill_null(True).arg_true()
    if len(bad):
        table.fail(bad[0], name, f"{table.shown(bad[0], name)} is not a rating",
                   "fill it in; without ratings leave the column out")  # fmt: skip
    return values.to_numpy()
