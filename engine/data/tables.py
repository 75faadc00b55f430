"""Tables of text: one header that names fields and types, then rows, separated by tabs or as spreadsheets write them.

A good file is read without a Python loop over its lines; only a bad one, and one with quoted fields, is walked through.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import polars as pl

from engine.data.ids import MISSING
from engine.data.text import BLANKS, not_utf8, text_bytes
from engine.errors import UserError, nearest

TYPES = ("token", "token_seq", "float", "float_seq")
_FIELD = re.compile(r'"?[^":,;|]+:(token|token_seq|float|float_seq)"?')
_QUOTED = r'^"(?:[^"]|"")*"$'
"""A field as pandas and spreadsheets quote it."""


@dataclass(frozen=True)
class Header:
    """What the first line must hold. `used`: the fields that are read; None: all."""

    required: Sequence[str]
    used: Sequence[str] | None = None

    def types(self, path: Path, fields: Sequence[str]) -> dict[str, str]:
        """Field names and types of the first line. Raises UserError."""
        types: dict[str, str] = {}
        example = "the first line must name fields and types, such as "
        example += "<TAB>".join(f"{name}:token" for name in self.required or ("user_id", "item_id"))
        for field in fields:
            name, colon, kind = field.rpartition(":")
            known = bool(colon and name) and kind in TYPES
            if self._is_unused(fields, name if known else field):
                name = name if known else field
                types[name if name not in types else f"{name} ({len(types) + 1})"] = kind if known else ""
                continue
            if not colon or not name:
                raise UserError(f"{path}:1: field {field[:40]!r}: no type in the header; {example}")
            if kind not in TYPES:
                raise UserError(
                    f"{path}:1: field {name[:40]!r}: no type {kind[:40]!r}{nearest(kind, TYPES)}; {example}"
                )
            if name in types:
                raise UserError(f"{path}:1: field {name}: named twice in the header; rename or remove one")
            types[name] = kind
        for name in self.required:
            if name not in types:
                has = f"{path}:1: field {name}: not in the header, which has {', '.join(types)}"
                if name in ("user_id", "item_id") and len(self.required) > 1:  # interactions
                    example += f"; --set data.columns.{name}=FIELD takes another field for it"
                raise UserError(f"{has}; {example}")
        return types

    def _is_unused(self, fields: Sequence[str], name: str) -> bool:
        """Whether the file is one of atomic fields, and nothing asks for this one."""
        if self.used is None or name.partition(":")[0] in self.used:
            return False
        names = [field.rpartition(":")[0] for field in fields]
        return all(names.count(each) == 1 for each in self.required)


@dataclass(frozen=True)
class FileTable:
    """One atomic file as text columns; row r is line r + 2 (where no quoted field holds a line end)."""

    path: Path
    types: dict[str, str]
    frame: pl.DataFrame

    @classmethod
    def read(cls, path: Path, required: Sequence[str], used: Sequence[str] | None = None) -> FileTable:
        """Raises UserError with line and field for what is not UTF-8, has no header, lacks an id, or has a line of
        another width. Where nothing but `required` and `used` is read, other fields may have any type, or a name twice
        (the second is then numbered)."""
        data = _text(path)
        separator = _separator(data)
        header = Header(required, None if used is None else (*required, *used))
        if separator != "\t" or data.startswith(b'"'):
            types, frame = _read_quoted(path, data, separator, header)
        else:
            types, frame = _read_plain(path, data, header)
        table = cls(path, types, frame)
        for name in required:
            table._require_ids(name)
        return table

    def column(self, name: str) -> pl.Series:
        return self.frame[name]

    def floats(self, name: str) -> pl.Series:
        """The field as float64; null where it is empty. Raises UserError at text that is no number."""
        text = self.column(name)
        values = text.cast(pl.Float64, strict=False)
        bad = (values.is_null() & (text != "")).arg_true()
        if len(bad):
            comma = re.fullmatch(r"\s*[+-]?\d+,\d+\s*", text[int(bad[0])])
            do = "write decimals with a point" if comma else "its header says float"
            self.fail(bad[0], name, f"{self.shown(bad[0], name)} is not a number", do)
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
        ids = self.column(name)
        unique = ids.unique()
        lacking = unique.filter((unique.str.strip_chars(BLANKS) == "") | unique.is_in(MISSING))
        if len(lacking):
            row = int(ids.is_in(lacking.to_list()).arg_true()[0])
            what = f"{self.shown(row, name)} stands for a missing id" if ids[row].strip(BLANKS) else "empty"
            self.fail(row, name, what, "every line needs an id")


def _read_plain(path: Path, data: bytes, header: Header) -> tuple[dict[str, str], pl.DataFrame]:
    types = header.types(path, data.split(b"\n", 1)[0].decode("utf-8").split("\t"))
    lines = data.count(b"\n") + (not data.endswith(b"\n")) - 1
    _require_rows(path, lines)
    # Polars fills short lines with nulls without a word and refuses long ones; together with
    # the number of tabs that leaves only lines of exactly the right number of fields.
    frame = None
    if data.count(b"\t") == (len(types) - 1) * (lines + 1):
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
            frame = None
    if frame is None:
        if b'"' in data:  # a quoted field may hold tabs and line ends
            try:
                return _read_quoted(path, data, "\t", header)
            except UserError:
                pass  # the plain reading's message names the line
        _wrong_width(path, data, list(types))
    frame = frame.with_columns(pl.all().fill_null(""))
    return types, _unquoted(frame) if b'"' in data else frame


def _unquoted(frame: pl.DataFrame) -> pl.DataFrame:
    """FieldNames in which every quote is of a quoted field: those of other columns are plain text."""
    for name in frame.columns:
        quotes = frame[name].filter(frame[name].str.contains('"', literal=True))
        inner = quotes.str.slice(1, quotes.str.len_chars() - 2)
        needed = inner.str.contains('""', literal=True) | inner.str.contains(",", literal=True)
        if len(quotes) and bool((quotes.str.contains(_QUOTED) & needed).all()):
            is_quoted = pl.col(name).str.contains('"', literal=True)
            bare = pl.col(name).str.slice(1, pl.col(name).str.len_chars() - 2).str.replace_all('""', '"', literal=True)
            frame = frame.with_columns(pl.when(is_quoted).then(bare).otherwise(pl.col(name)).alias(name))
    return frame


def _read_quoted(path: Path, data: bytes, separator: str, header: Header) -> tuple[dict[str, str], pl.DataFrame]:
    reader = csv.reader(io.StringIO(data.decode("utf-8"), newline=""), delimiter=separator, strict=True)
    rows: list[list[str]] = []
    types: dict[str, str] | None = None
    try:
        for row in reader:
            if types is None:
                types = header.types(path, row)
            elif len(row) != len(types):
                raise UserError(
                    f"{path}:{reader.line_num}: the line has {len(row)} fields, the header names {len(types)}; "
                    f"quote a field that holds {'a tab' if separator == chr(9) else separator!r}"
                )
            else:
                rows.append(row)
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: {error}; close the quotes") from None
    assert types is not None
    _require_rows(path, len(rows))
    return types, pl.DataFrame(rows, schema=dict.fromkeys(types, pl.String), orient="row")


def _separator(data: bytes) -> str:
    """Tab, or the one that parts a header into fields, with types if any has."""
    header = data.split(b"\n", 1)[0].decode("utf-8")
    if "\t" not in header:
        for separator in ",;|":
            fields = header.split(separator)
            if sum(_FIELD.fullmatch(field) is not None for field in fields) > 1:
                return separator
        return next((separator for separator in ",;|" if separator in header), "\t")  # types are missed by its name
    return "\t"


def _require_rows(path: Path, rows: int) -> None:
    if rows == 0:
        raise UserError(f"{path}:2: the file ends behind its header; add one line for each row")


def _text(path: Path) -> bytes:
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
