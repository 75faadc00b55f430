"""Vectors as text: word2vec's formats, tables of an id and its numbers, JSON."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.bounds import parse_json
from engine.data.text import not_utf8, read_lines, text_bytes, unpacked
from engine.embeddings.ids import ID_NAMES
from engine.embeddings.vectors import MATRIX_NAMES
from engine.errors import UserError
from engine.text import single_line

Matrix = npt.NDArray[np.float32]


def id_texts(ids: list[Any], where: str) -> list[str]:
    """Ids as text. Raises UserError for what is neither text nor a whole number."""
    for item in ids:
        if isinstance(item, bool) or not isinstance(item, str | int):
            raise UserError(f"{where}: {single_line(repr(item), 40)} is no id; ids are texts or whole numbers")
    return [str(item) for item in ids]


def read_json_vectors(source: Path) -> tuple[str, Matrix, list[str] | None]:
    """One object with an id and a vector a line; or one document: a list of such objects, or an object from ids to
    vectors."""
    whole = _document(source)
    if isinstance(whole, dict) and whole and not _is_record(whole):
        width = len(next(iter(whole.values()))) if all(isinstance(row, list) for row in whole.values()) else None
        rows = [_numbers(row, width, f"{source}: {name}") for name, row in whole.items()]
        return "a JSON object from ids to vectors", _matrix(rows), [*whole]
    if isinstance(whole, list):
        form, records = "a JSON list of ids and vectors", [(f"{source}: entry {n}", r) for n, r in enumerate(whole, 1)]
    else:
        lines = [(f"{source}:{n}", line) for n, line in enumerate(read_lines(source), start=1) if line.strip()]
        form, records = "an id and a vector a line (JSON)", [(where, _parsed(line)) for where, line in lines]
    rows, ids = [], []
    for where, record in records:
        if not isinstance(record, dict):
            raise UserError(f"{where}: not a JSON object")
        keys = [name for name in ID_NAMES if name in record], [name for name in MATRIX_NAMES if name in record]
        if any(len(names) != 1 for names in keys):
            raise UserError(
                f"{where}: needs one of {', '.join(ID_NAMES)} and one of {', '.join(MATRIX_NAMES)}; "
                f"it has {', '.join(record)}"
            )
        ids += id_texts([record[keys[0][0]]], where)
        rows.append(_numbers(record[keys[1][0]], len(rows[0]) if rows else None, where))
    if not rows:
        raise UserError(f"{source}: the file is empty")
    return form, _matrix(rows), ids


def _document(source: Path) -> Any:
    """The JSON of the whole file; None where it is one document a line."""
    lines = [line for line in read_lines(source) if line.strip()]
    if not lines or (len(lines) > 1 and _parsed(lines[0]) is not None):
        return None
    return _parsed("\n".join(lines))


def _is_record(value: dict[str, Any]) -> bool:
    return any(name in value for name in (*ID_NAMES, *MATRIX_NAMES))


def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None


def read_word2vec_binary(source: Path) -> tuple[str, Matrix, list[str] | None] | None:
    """word2vec's own format: a line with the number and the width of the vectors; of each the id, a blank and float32.
    None where the file is text, or begins otherwise. Raises UserError where it holds less or more than it says."""
    data = unpacked(source)
    head = _HEAD.match(data)
    if head is None or not_utf8(data) is None:
        return None
    count, width = int(head[1]), int(head[2])
    if not 0 < count * width <= len(data):
        raise UserError(f"{source}: its first line says {count} vectors of {width} numbers, more than it holds")
    rows, ids, at = np.empty((count, width), "<f4"), [], head.end()
    for row in range(count):
        blank = data.find(b" ", at)
        end = blank + 1 + 4 * width
        if blank < 0 or end > len(data):
            raise UserError(f"{source}: its first line says {count} vectors, {row} follow; it may be cut off")
        name = data[at:blank].lstrip(b"\n")
        if (bad := not_utf8(name)) is not None:
            raise UserError(f"{source}: id {row + 1}: {bad[1].replace('file', 'ids')}")
        ids.append(name.decode("utf-8"))
        rows[row] = np.frombuffer(data, "<f4", width, blank + 1)
        at = end
    if data[at:].strip():
        raise UserError(f"{source}: its first line says {count} vectors of {width} numbers, more follow; repair it")
    return "word2vec's binary format", rows, ids


_HEAD = re.compile(rb"(\d{1,10}) (\d{1,6})\r?\n")


def read_word2vec(source: Path) -> tuple[str, Matrix, list[str] | None]:
    """An id and its numbers a line, behind a line with their count and width or a line that names columns, or neither;
    numbers alone where no field can be an id."""
    lines = _text_lines(source)
    first = lines[0].split()
    begins = 1 if len(first) == 2 and all(word.isdigit() for word in first) else 0
    counted, width = map(int, first) if begins else (None, None)
    if not begins and _names_columns(lines[0]):
        return _read_table(source, lines)
    rows: list[list[float]] = []
    ids: list[str] = []
    for number, line in enumerate(lines[begins:], start=begins + 1):
        if not line.strip():
            continue
        width = width or (len(rows[0]) if rows else None)
        words = _words(line)
        n_numbers = width if width is not None and len(words) > width else len(words) - 1
        name = words[: len(words) - n_numbers]  # word2vec's ids may hold blanks
        if counted is None and any(map(_is_number, name[1:])):
            raise UserError(f"{source}:{number}: has {len(words) - 1} numbers, not {width}")
        rows.append(_numbers(words[len(words) - n_numbers :], width, f"{source}:{number}"))
        ids.append(" ".join(name).strip('"'))
    if counted is not None and len(rows) != counted:
        raise UserError(f"{source}: its first line says {counted} vectors, {len(rows)} follow; it may be cut off")
    if counted is not None and all(" " in name and _is_number(name.rsplit(" ", 1)[1]) for name in ids):
        raise UserError(f"{source}: its first line says {width} numbers a vector, its lines have more; repair the line")
    if all("." in name and _is_number(name) for name in ids):
        return "a table of numbers alone", _matrix([[float(i), *row] for i, row in zip(ids, rows, strict=True)]), None
    return "word2vec text: an id and its numbers a line", _matrix(rows), ids


def _text_lines(source: Path) -> list[str]:
    """Raises UserError for what is no text of UTF-8, and where there is none."""
    data = text_bytes(source)
    if (bad := not_utf8(data)) is not None:
        if _CONTROL.search(data):
            raise UserError(f"{source}: neither text nor a file of torch; raw float32 need --width D")
        line = data.count(b"\n", 0, bad[0]) + 1
        raise UserError(f"{source}:{line}: {bad[1]}")
    text = data.decode("utf-8").strip("\n")
    if not text.strip():
        raise UserError(f"{source}: the file is empty")
    return text.split("\n")


def _read_table(source: Path, lines: list[str]) -> tuple[str, Matrix, list[str] | None]:
    """Columns with a header: ids by their usual name, or the first; a column of lists, or one of each dimension."""
    separator = next((each for each in "\t;," if each in lines[0]), " ")
    names, *cells = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    for number, row in enumerate(cells, start=2):
        if row and len(row) != len(names):
            raise UserError(f"{source}:{number}: has {len(row)} fields, the header names {len(names)}")
    usual = [name.strip().lower().split(":")[0] for name in names]
    ids_at = next((at for at, name in enumerate(usual) if name in ID_NAMES), None)
    index_at = 0 if usual[0] == "" else None  # pandas' own numbers of the rows, or its ids
    if ids_at is None and (index_at == 0 or _are_ids([row[0] for row in cells if row])):
        ids_at = 0
    lists_at = next((at for at, name in enumerate(usual) if name in MATRIX_NAMES), None)
    rows: list[list[float]] = []
    for number, row in enumerate(cells, start=2):
        if not row:
            continue
        numbers = (
            [cell for at, cell in enumerate(row) if at not in (ids_at, index_at)]
            if lists_at is None
            else _LISTED.findall(row[lists_at])
        )
        rows.append(_numbers(numbers, len(rows[0]) if rows else None, f"{source}:{number}"))
    if not rows:
        raise UserError(f"{source}: the file ends behind its header")
    ids = None if ids_at is None else [row[ids_at].strip() for row in cells if row]
    form = "a table of numbers alone" if ids is None else f"a table of ids (column {ids_at + 1}) and numbers"  # type: ignore[operator]
    return form, _matrix(rows), ids


def _are_ids(cells: list[str]) -> bool:
    """Whether a first column without a usual name holds ids: texts, or whole numbers none of which stands twice."""
    whole = all(cell.strip().isdigit() for cell in cells)
    return not all(map(_is_number, cells)) or (whole and len(set(cells)) == len(cells))


def _names_columns(line: str) -> bool:
    """Whether a line is a header: its first field is empty, as that of an index is, or a usual name of ids; no other is
    a number, or they count the columns."""
    words = [word.strip('"') for word in _words(line)]
    counts = [str(n) for n in range(len(words))]
    is_counted = words[1:] in (counts[:-1], counts[1:]) and not _is_number(words[0]) and _SEPARATED.search(line)
    no_numbers = len(words) > 1 and not any(_is_number(word.replace(",", ".")) for word in words)
    return line[:1] in ("\t", ",", ";") or words[0].lower() in ID_NAMES or bool(is_counted) or no_numbers


def _words(line: str) -> list[str]:
    """The fields of a line; where semicolons part them, a comma belongs to a number."""
    words = line.split(";") if ";" in line else _SEPARATOR.split(line.strip())
    return [word.strip() for word in words]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _matrix(rows: list[Any]) -> Matrix:
    with np.errstate(over="ignore"):  # what is too large is told as not finite
        return np.array(rows, np.float32)


_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_SEPARATED = re.compile(r"[\t,;]")
_LISTED = re.compile(r"[^\s,;\[\]()]+")
_SEPARATOR = re.compile(r"\s*[,\t]\s*|\s+")


def _numbers(values: Any, width: int | None, where: str) -> list[float]:
    try:
        if isinstance(values, str) or any(isinstance(value, bool) for value in values):
            raise TypeError
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        commas = isinstance(values, list) and any("," in value for value in values if isinstance(value, str))
        do = "; write decimals with a point" if commas else ""
        raise UserError(f"{where}: its vector is no list of numbers{do}") from None
    if not numbers or (width is not None and len(numbers) != width):
        raise UserError(f"{where}: has {len(numbers)} numbers, not {width or 'a vector'}")
    return numbers
