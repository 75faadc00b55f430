"""RecBole atomic files: NAME.inter and NAME.item, tab-separated UTF-8 text.

The first line names the fields and their types (`user_id:token`, `timestamp:float`, ...); types are
token, token_seq, float and float_seq. Ids are text always: leading zeros survive. Quote characters
are plain text. A good file is read without a Python loop over its lines; only a bad one is walked
through to find the line and the field that its message names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.data.arrays import IntArray
from engine.data.text import not_utf8, text_bytes
from engine.data.timestamps import parse_times
from engine.errors import UserError, nearest

TYPES = ("token", "token_seq", "float", "float_seq")
UNKNOWN_TEXT = "unknown"
"""The text of an item none of whose text fields is filled."""


@dataclass(frozen=True)
class Log:
    """Interactions in the order of the file, with ids replaced by indices, and the items of `.item`.

    `users` and `items` have one entry per interaction: indices into `user_ids` (order of first
    appearance) and into `item_ids` (the rows of `.item`; without that file, order of first
    appearance). `item_text` runs along `item_ids`. `has_item_file`: the order of `item_ids` is that of a file.
    """

    user_ids: list[str]
    item_ids: list[str]
    item_text: list[str]
    users: IntArray
    items: IntArray
    times: IntArray | None
    ratings: npt.NDArray[np.float64] | None
    has_item_file: bool = True


def files(folder: Path, name: str) -> list[Path]:
    """The atomic files of a data set: NAME.inter and, where it exists, NAME.item.

    Raises UserError where NAME.inter does not exist."""
    inter, item = folder / f"{name}.inter", folder / f"{name}.item"
    if not inter.is_file():
        names = sorted(path.name for path in folder.glob("*.inter"))
        hint = nearest(inter.name, names) if names else " (the folder holds no .inter file)"
        raise UserError(f"{inter}: no such file{hint}; put it there, or set --dataset to the folder that has it")
    return [inter, item] if item.is_file() else [inter]


def read_log(folder: Path, name: str) -> Log:
    """Read NAME.inter and NAME.item (when there is one) of the folder.

    Fields used: user_id, item_id, timestamp and rating of .inter; item_id and the text fields of
    .item. Raises UserError with file, line and field for anything that is not as it should be."""
    inter, *item = files(folder, name)
    table = _FileTable.read(inter, required=("user_id", "item_id"))
    catalogue = _FileTable.read(item[0], required=("item_id",)) if item else None

    user_ids = table.column("user_id").unique(maintain_order=True)
    if catalogue is None:
        item_ids = table.column("item_id").unique(maintain_order=True)
        item_text = item_ids.to_list()
    else:
        item_ids = _unique_ids(catalogue)
        item_text = _item_text(catalogue)

    items = _indices(table.column("item_id"), item_ids)
    if catalogue is not None and items.null_count():
        row = int(items.is_null().arg_true()[0])
        unknown = table.column("item_id").filter(items.is_null()).n_unique()
        more = f" (and {unknown - 1} more such items)" if unknown > 1 else ""
        table.fail(row, "item_id", f"item {table.shown(row, 'item_id')} is not in {catalogue.path.name}{more}",
                   f"add it to {catalogue.path.name}, or remove its lines here")  # fmt: skip
    return Log(
        user_ids=user_ids.to_list(),
        item_ids=item_ids.to_list(),
        item_text=item_text,
        users=_int64(_indices(table.column("user_id"), user_ids)),
        items=_int64(items),
        times=_times(table),
        ratings=_ratings(table),
        has_item_file=catalogue is not None,
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
    table = _FileTable.read(item[0], required=("item_id",))
    ids = _unique_ids(table).to_list()
    return Items(ids, {field: table.column(field).to_list() for field in table.types}, _item_text(table))


@dataclass(frozen=True)
class _FileTable:
    """One atomic file as text columns; row r is line r + 2."""

    path: Path
    types: dict[str, str]
    frame: pl.DataFrame

    @classmethod
    def read(cls, path: Path, required: Sequence[str]) -> _FileTable:
        data = _text_bytes(path)
        types = _header(path, data, required)
        lines = data.count(b"\n") + (not data.endswith(b"\n")) - 1
        if lines == 0:
            raise UserError(f"{path}:2: the file ends behind its header; add one line for each row")
        # Polars fills short lines with nulls without a word and refuses long ones; together with
        # the number of tabs that leaves only lines of exactly the right number of fields.
        if data.count(b"\t") != (len(types) - 1) * (lines + 1):
            _wrong_width(path, data, list(types))
        try:
            frame = pl.read_csv(
                data,
                separator="\t",
                quote_char=None,
                has_header=False,
                skip_rows=1,
                schema=dict.fromkeys(types, pl.String),
            )
        except pl.exceptions.PolarsError:
            _wrong_width(path, data, list(types))
        table = cls(path, types, frame.with_columns(pl.all().fill_null("")))
        for name in required:
            table._require_ids(name)
        for name in (n for n, kind in types.items() if kind == "float" and n != "timestamp"):
            table.floats(name)
        return table

    def column(self, name: str) -> pl.Series:
        return self.frame[name]

    def floats(self, name: str) -> pl.Series:
        """The field as float64; null where it is empty. Raises UserError at text that is no number."""
        text = self.column(name)
        values = text.cast(pl.Float64, strict=False)
        bad = (values.is_null() & (text != "")).arg_true()
        if len(bad):
            self.fail(bad[0], name, f"{self.shown(bad[0], name)} is not a number", "its header says float")
        return values

    def shown(self, row: int, name: str) -> str:
        """A cell as it appears in messages: quoted, shortened, always on one line."""
        text = self.column(name)[row]
        return repr(text if len(text) <= 40 else text[:37] + "...")

    def fail(self, row: int, name: str, what: str, do: str) -> NoReturn:
        raise UserError(f"{self.path}:{row + 2}: field {name}: {what}; {do}")

    def _require_ids(self, name: str) -> None:
        if self.types[name] != "token":
            raise UserError(
                f"{self.path}:1: field {name}: ids are text, not {self.types[name]}; write {name}:token in the header"
            )
        empty = (self.column(name) == "").arg_true()
        if len(empty):
            self.fail(empty[0], name, "empty", "every line needs an id")


# --------------------------------------------------------------------------------- bytes and header


def _text_bytes(path: Path) -> bytes:
    """The file's text, found to be UTF-8 and not empty."""
    data = text_bytes(path)
    if (bad := not_utf8(data)) is not None:
        line, field = _place(data, bad[0])
        raise UserError(f"{path}:{line}: field {field}: {bad[1]}")
    if not data.strip():
        raise UserError(f"{path}:1: the file is empty; it needs a header such as user_id:token<TAB>item_id:token")
    return data


def _place(data: bytes, at: int) -> tuple[int, str]:
    """Line number (1-based) and field name of a byte; fields without a readable name are numbered."""
    line = data.count(b"\n", 0, at) + 1
    column = data.count(b"\t", data.rfind(b"\n", 0, at) + 1, at)
    names = data.split(b"\n", 1)[0].decode("utf-8", "replace").split("\t")
    named = line > 1 and column < len(names)
    return line, names[column].rsplit(":", 1)[0] if named else str(column + 1)


def _header(path: Path, data: bytes, required: Sequence[str]) -> dict[str, str]:
    """Field names and types of the first line."""
    types: dict[str, str] = {}
    example = "the first line must name fields and types, such as " + "<TAB>".join(f"{n}:token" for n in required)
    for field in data.split(b"\n", 1)[0].decode("utf-8").split("\t"):
        name, colon, kind = field.rpartition(":")
        if not colon or not name:
            raise UserError(f"{path}:1: field {field[:40]!r}: no type in the header; {example}")
        if kind not in TYPES:
            raise UserError(f"{path}:1: field {name[:40]!r}: no type {kind[:40]!r}{nearest(kind, TYPES)}; {example}")
        if name in types:
            raise UserError(f"{path}:1: field {name}: named twice in the header; rename or remove one")
        types[name] = kind
    for name in required:
        if name not in types:
            raise UserError(f"{path}:1: field {name}: not in the header, which has {', '.join(types)}; {example}")
    return types


def _wrong_width(path: Path, data: bytes, names: list[str]) -> NoReturn:
    """Name the first line whose number of fields is not that of the header."""
    for number, line in enumerate(data.split(b"\n"), start=1):
        fields = line.count(b"\t") + 1
        if fields < len(names):
            what = "the line is blank" if not line else f"missing: the line has {fields} of {len(names)} fields"
            raise UserError(f"{path}:{number}: field {names[fields if line else 0]}: {what}; separate fields by tabs")
        if fields > len(names):
            raise UserError(
                f"{path}:{number}: field {len(names) + 1}: the line has {fields} fields, the header names "
                f"{len(names)}; remove the tabs inside a field"
            )
    raise AssertionError(f"{path}: polars could not read lines that all have {len(names)} fields")


# ------------------------------------------------------------------------------------------ columns


def _indices(values: pl.Series, ids: pl.Series) -> pl.Series:
    """Position of each value in `ids` (unique); null where it is not there."""
    return values.cast(pl.Enum(ids), strict=False).to_physical()


def _int64(values: pl.Series) -> IntArray:
    return values.cast(pl.Int64).to_numpy()


def _unique_ids(table: _FileTable) -> pl.Series:
    ids = table.column("item_id")
    again = (~ids.is_first_distinct()).arg_true()
    if len(again):
        row = int(again[0])
        first = int((ids == ids[row]).arg_true()[0])
        table.fail(
            row, "item_id", f"item {table.shown(row, 'item_id')} is on line {first + 2} already", "keep one line"
        )
    return ids


def _item_text(table: _FileTable) -> list[str]:
    """`title: Toy Story. genres: Animation, Comedy` from the filled text fields, in their order."""
    names = [name for name, kind in table.types.items() if kind.startswith("token") and name != "item_id"]
    if not names:
        return [UNKNOWN_TEXT] * table.frame.height
    parts = [pl.when(pl.col(name) != "").then(pl.lit(name.replace("_", " ") + ": ") + pl.col(name)) for name in names]
    text = table.frame.select(text=pl.concat_str(parts, separator=". ", ignore_nulls=True))["text"]
    return text.replace("", UNKNOWN_TEXT).to_list()


def _times(table: _FileTable) -> IntArray | None:
    if "timestamp" not in table.types:
        return None
    parsed = parse_times(table.column("timestamp"))
    if isinstance(parsed, int):
        table.fail(parsed, "timestamp", f"{table.shown(parsed, 'timestamp')} is not a time",
                   "write seconds as a number; without clock times leave the column out")  # fmt: skip
    return parsed


def _ratings(table: _FileTable) -> npt.NDArray[np.float64] | None:
    if "rating" not in table.types:
        return None
    values = table.floats("rating")
    bad = (~values.is_finite()).fill_null(True).arg_true()
    if len(bad):
        table.fail(bad[0], "rating", f"{table.shown(bad[0], 'rating')} is not a rating",
                   "fill it in; without ratings leave the column out")  # fmt: skip
    return values.to_numpy()
