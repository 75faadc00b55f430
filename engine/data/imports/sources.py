"""One file as a table: atomic fields, CSV and its kin, JSONL, Parquet, lines of a user and items."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import polars as pl

from engine.bounds import one_line, parse_json, read_parquet
from engine.data.lists import padding_of
from engine.data.tables import FileTable
from engine.data.text import not_utf8, packed_name, text_bytes, unpacked
from engine.errors import UserError

Shape: TypeAlias = Literal["auto", "table", "pairs", "sequences"]
SEPARATORS = ("\t", "::", ",", ";", "|")
_USERS = ("user", "user_id", "userid", "uid", "customer_id", "reviewerid", "session_id")
_NOT_READ = (".xls", ".xlsx", ".ods", ".h5", ".hdf5", ".feather", ".arrow", ".mat", ".npy", ".npz", ".sqlite", ".db")


@dataclass(frozen=True)
class SourceTable:
    """Columns of text, or of lists of text; whole numbers and times of Parquet and JSON as they are."""

    path: Path
    frame: pl.DataFrame
    form: str = "a table"
    is_atomic: bool = False


def read_source(path: Path, shape: Shape, header: Sequence[str]) -> SourceTable:
    """The table in the file. `header` names the columns of one that has no line for them. Raises UserError."""
    endings = [ending.lower() for ending in Path(packed_name(path)).suffixes]
    ending = endings[-1] if endings else ""
    if ending in (".pkl", ".pickle"):
        raise UserError(f"{path}: a pickle runs code when it is read; save the table as CSV or Parquet")
    if ending in _NOT_READ:
        raise UserError(f"{path}: {ending} is not read; save the table as CSV or Parquet")
    if ending == ".inter":
        fields = FileTable.read(path, required=(), used=())
        return SourceTable(path, fields.frame, is_atomic=True)
    if ending == ".parquet":
        return SourceTable(path, read_parquet(unpacked(path), f"{path}: not a readable Parquet file"))
    if ending in (".jsonl", ".ndjson", ".json"):
        return SourceTable(path, _json_lines(path, text_bytes(path)))
    data = text_bytes(path)
    if (bad := not_utf8(data)) is not None:
        line = data.count(b"\n", 0, bad[0]) + 1
        raise UserError(f"{path}:{line}: {bad[1]}")
    text = data.decode("utf-8")
    shape = shape if shape != "auto" else "table" if header else _shape(path, text, ending)
    return _table(path, text, header) if shape == "table" else _lines(path, text, shape)


def _json_lines(path: Path, data: bytes) -> pl.DataFrame:
    with one_line(f"{path}: not one JSON object a line; write it so"):
        try:
            return pl.read_ndjson(io.BytesIO(data), infer_schema_length=None)
        except pl.exceptions.PolarsError:
            if not _NOT_FINITE.search(data):
                raise
            # Python's own writer puts NaN where a number is missing; polars reads the standard alone.
            return pl.DataFrame([parse_json(line) for line in data.splitlines() if line.strip()],
                                infer_schema_length=None)  # fmt: skip


_NOT_FINITE = re.compile(rb"[:,\[]\s*(NaN|-?Infinity)\b")


def _shape(path: Path, text: str, ending: str) -> Shape:
    """Lines of two words are pairs, lines of different lengths sequences, a line with a separator a table."""
    lines = [line for line in text.split("\n")[:10_000] if line.strip()]
    if not lines:
        raise UserError(f"{path}: the file is empty")
    if ending in (".csv", ".tsv") or any(separator in lines[0] for separator in SEPARATORS[1:]):
        return "table"
    widths = {len(line.split()) for line in lines}
    if any(word.lower().split(":")[0] in _USERS for word in lines[0].split()):
        return "table"
    if widths == {2}:
        return "pairs"
    if len(widths) > 1:
        return "sequences"
    if widths == {1}:
        raise UserError(f"{path}: every line has one word only; a line needs a user and an item, or more columns")
    raise UserError(
        f"{path}: every line has {widths.pop()} words: a user and items (--as sequences), or a table without a line "
        "that names its columns (--header user,item,rating,time)?"
    )


def _lines(path: Path, text: str, shape: Shape) -> SourceTable:
    users: list[str] = []
    items: list[list[str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words:
            continue
        if shape == "pairs" and len(words) != 2:
            has = "one word" if len(words) == 1 else f"{len(words)} words"
            raise UserError(f"{path}:{number}: {has}; every line needs a user and an item")
        users.append(words[0])
        items.append(words[1:])
    if not any(items):
        raise UserError(f"{path}: no line has a user and an item")
    form = "a user and an item a line" if shape == "pairs" else "a user and its items, oldest first, a line"
    lists = pl.Series(items, dtype=pl.List(pl.String))
    frame = pl.DataFrame({"user_id": users, "item_id": lists}).filter(lists.list.len() > 0).explode("item_id")
    if (padding := padding_of(lists)) is not None:
        frame, form = frame.filter(pl.col("item_id") != padding), f"{form}, filled up with {padding}, which is no item"
    return SourceTable(path, frame, form)


def _table(path: Path, text: str, header: Sequence[str]) -> SourceTable:
    first, _, body = text.partition("\n")
    if (named := re.fullmatch(r"sep=(.)", first.strip())) is not None:  # as spreadsheets write it
        text, first = body, body.partition("\n")[0]
        separator = named[1]
    else:
        separator = max(SEPARATORS, key=lambda each: first.count(each) * len(each))
    reader: Iterable[list[str]]
    if separator not in first:
        reader = (line.split() for line in text.split("\n") if line.strip())
    elif len(separator) > 1:
        reader = (line.split(separator) for line in text.split("\n") if line.strip())
    else:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names: list[str] = list(header)
    rows: list[list[str]] = []
    try:
        for number, row in enumerate(reader, start=1):
            if not names and row:
                names = [name.strip().split(":")[0] for name in row]
            elif row and len(row) != len(names):
                by = "--header names" if header else "the header names"
                has = f"the line has {len(row)} field{'s' if len(row) != 1 else ''}"
                raise UserError(f"{path}:{number}: {has}, {by} {len(names)}")
            elif row:
                rows.append(row)
    except csv.Error as error:
        raise UserError(f"{path}: {error}; close the quotes") from None
    if not names:
        raise UserError(f"{path}: the file is empty")
    return SourceTable(path, pl.DataFrame(rows, schema=dict.fromkeys(_distinct(names), pl.String), orient="row"))


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of columns; all of those that stand twice are numbered, so that none of them is taken for the one."""
    return [name if name and names.count(name) == 1 else f"{name}#{place}" for place, name in enumerate(names, start=1)]
