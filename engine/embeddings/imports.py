"""Vectors as people have them -> a .safetensors file with ids: tensors of torch, word2vec, JSONL, raw floats.

Nothing is executed: torch files are read with `weights_only`, pickles are refused.
"""

from __future__ import annotations

import json
import pickle
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel
from safetensors.numpy import save

from engine.bounds import parse_json
from engine.data.text import not_utf8, packed_name, read_lines, text_bytes, unpacked
from engine.embeddings.vectors import ID_NAMES, MATRIX_NAMES
from engine.errors import UserError
from engine.files import make_folder, write_bytes
from engine.text import single_line

Matrix = npt.NDArray[np.float32]


class VectorsImport(BaseModel):
    """What to read and what to write. `ids`: a text file, one a line; `key`: which tensor; `width`: of raw floats."""

    source: str
    out: str
    ids: str | None = None
    key: str | None = None
    width: int | None = None


def import_vectors(request: VectorsImport) -> dict[str, Any]:
    """Write the file; what was understood, as JSON. Raises UserError in one line."""
    source, out = Path(request.source), Path(request.out)
    if out.exists():
        raise UserError(f"{out}: there is such a file already; choose another name")
    for file in (source, *([Path(request.ids)] if request.ids is not None else [])):
        if not file.is_file():
            raise UserError(f"{file}: no such file")
    read_as, matrix, ids = _read(source, request)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise UserError(f"{source}: holds {matrix.shape}, not a matrix (items x dimensions)")
    if request.ids is not None:
        listed = read_lines(Path(request.ids))
        if ids is not None and ids != listed:
            raise UserError(f"{source}: has ids of its own, and {request.ids} has others; leave --ids out")
        ids = listed
    if ids is not None and len(ids) != len(matrix):
        raise UserError(f"{source}: has {len(matrix)} rows but {len(ids)} ids; give one id a row")
    if ids is not None and len(set(ids)) != len(ids):
        double = Counter(ids).most_common(1)[0][0]
        raise UserError(f"{source}: the id {double} occurs more than once; keep one row per item")
    _require_finite(source, matrix)
    make_folder(out.parent)
    matrix = np.ascontiguousarray(matrix)
    write_bytes(out, save({"vectors": matrix}, None if ids is None else {"ids": json.dumps(ids)}))
    return {
        "file": str(out),
        "read_as": read_as,
        "items": len(matrix),
        "dimensions": matrix.shape[1],
        "ids": None if ids is None else len(ids),
    }


def _require_finite(source: Path, matrix: Matrix) -> None:
    """Raises UserError for numbers that are none, or too large for float32."""
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise UserError(f"{source}: vector {bad[0] + 1} holds a number that is not finite in float32; repair it")


def _read(source: Path, request: VectorsImport) -> tuple[str, Matrix, list[str] | None]:
    with open(source, "rb") as file:
        start = file.read(4)
    ending = source.suffix.lower()
    if start.startswith(b"\x1f\x8b"):
        start, ending = unpacked(source)[:4], Path(packed_name(source)).suffix.lower()
    if ending in (".npy", ".npz", ".parquet", ".safetensors"):
        raise UserError(f"{source}: is read as it is; give it to --embedding, or put it at NAME.SOURCE{ending}")
    if request.width is not None:
        return _raw(source, request.width)
    if start.startswith(b"PK\x03\x04") or (start.startswith(b"\x80") and ending in (".pt", ".pth", ".bin", ".ckpt")):
        return _torch(source, request.key)
    if start.startswith(b"\x80"):
        raise UserError(f"{source}: a pickle, which runs code when it is read; convert it where you trust it")
    if ending in (".pt", ".pth", ".ckpt"):
        raise UserError(f"{source}: not a file of torch, whatever its name says; save it again by torch.save")
    if ending in (".jsonl", ".ndjson"):
        return _jsonl(source)
    binary = _word2vec_binary(source)
    if binary is not None:
        return binary
    if ending in (".bin", ".raw", ".f32", ".dat"):
        raise UserError(f"{source}: raw numbers need their width; --width D says how many float32 make a vector")
    return _word2vec(source)


def _torch(source: Path, key: str | None) -> tuple[str, Matrix, list[str] | None]:
    try:
        loaded: Any = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, AttributeError, ModuleNotFoundError):
        raise UserError(f"{source}: a pickle, which runs code when it is read; convert it where you trust it") from None
    except Exception as error:  # of a damaged archive torch raises whatever comes
        raise UserError(f"{source}: not a readable file of torch ({single_line(error, 200)})") from None
    ids: list[str] | None = None
    if isinstance(loaded, dict):
        named = [name for name in ID_NAMES if isinstance(loaded.get(name), list | tuple | torch.Tensor)]
        if len(named) > 1:
            raise UserError(f"{source}: {' and '.join(named)} could each be the ids; keep one")
        ids = _texts(torch_list(loaded[named[0]]), f"{source}: {named[0]}") if named else None
        matrices = {n: t for n, t in _flat(loaded).items() if t.ndim == 2 and n not in named}
        by_item = _by_item(loaded)
        if by_item is not None and key is None:
            return "a tensor of torch for each id", *by_item
        usual = [name for name in MATRIX_NAMES if name in matrices]
        choices = [key] if key is not None else usual or list(matrices)
        if len(choices) != 1 or choices[0] not in matrices:
            raise UserError(
                f"{source}: which tensor? --key names one; there are {', '.join(map(str, matrices)) or 'no matrices'}"
            )
        loaded = matrices[choices[0]]
    if not isinstance(loaded, torch.Tensor) or not loaded.is_floating_point():
        is_tensor = isinstance(loaded, torch.Tensor)
        what = f"a tensor of {loaded.dtype}".replace("torch.", "") if is_tensor else type(loaded).__name__
        raise UserError(f"{source}: holds {what}, not a tensor of floats or a dictionary of them")
    if loaded.layout != torch.strided:
        raise UserError(f"{source}: holds a sparse tensor; save it as tensor.to_dense()")
    return "a tensor of torch", loaded.detach().float().numpy(), ids


def _flat(loaded: dict[Any, Any], before: str = "") -> dict[str, torch.Tensor]:
    """The tensors of a dictionary and of those in it, by names with dots."""
    tensors: dict[str, torch.Tensor] = {}
    for name, value in loaded.items():
        if isinstance(value, torch.Tensor):
            tensors[f"{before}{name}"] = value
        elif isinstance(value, dict):
            tensors |= _flat(value, f"{before}{name}.")
    return tensors


def _by_item(loaded: dict[Any, Any]) -> tuple[Matrix, list[str]] | None:
    """The matrix of a dictionary from ids to vectors of one width; None where it is another."""
    vectors = list(loaded.values())
    if not vectors or not all(isinstance(v, torch.Tensor) and v.ndim == 1 and v.is_floating_point() for v in vectors):
        return None
    if len({len(vector) for vector in vectors}) != 1:
        return None
    return torch.stack([vector.detach().float() for vector in vectors]).numpy(), [str(item) for item in loaded]


def torch_list(values: Any) -> list[Any]:
    """A list of what may be a tensor."""
    return list(values.tolist() if isinstance(values, torch.Tensor) else values)


def _texts(ids: list[Any], where: str) -> list[str]:
    """Ids as text. Raises UserError for what is neither text nor a whole number."""
    for item in ids:
        if isinstance(item, bool) or not isinstance(item, str | int):
            raise UserError(f"{where}: {single_line(repr(item), 40)} is no id; ids are texts or whole numbers")
    return [str(item) for item in ids]


def _raw(source: Path, width: int) -> tuple[str, Matrix, list[str] | None]:
    size = source.stat().st_size
    if size % (4 * width):
        raise UserError(f"{source}: {size} bytes are no whole number of rows of {width} float32; set another --width")
    return f"raw float32, {width} a row", np.fromfile(source, "<f4").reshape(-1, width), None


def _jsonl(source: Path) -> tuple[str, Matrix, list[str] | None]:
    rows: list[Any] = []
    ids: list[str] = []
    for number, line in enumerate(read_lines(source), start=1):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise UserError(f"{source}:{number}: not a JSON object")
        keys = [name for name in ID_NAMES if name in record], [name for name in MATRIX_NAMES if name in record]
        if any(len(names) != 1 for names in keys):
            raise UserError(
                f"{source}:{number}: needs one of {', '.join(ID_NAMES)} and one of {', '.join(MATRIX_NAMES)}; "
                f"it has {', '.join(record)}"
            )
        ids += _texts([record[keys[0][0]]], f"{source}:{number}")
        rows.append(_numbers(record[keys[1][0]], len(rows[0]) if rows else None, f"{source}:{number}"))
    if not rows:
        raise UserError(f"{source}: the file is empty")
    return "an id and a vector a line (JSON)", _matrix(rows), ids


def _word2vec_binary(source: Path) -> tuple[str, Matrix, list[str] | None] | None:
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


def _word2vec(source: Path) -> tuple[str, Matrix, list[str] | None]:
    data = text_bytes(source)
    if not_utf8(data) is not None:
        raise UserError(f"{source}: neither text nor a file of torch; raw float32 need --width D")
    lines = data.decode("utf-8").rstrip("\n").split("\n")
    first = lines[0].split()
    begins = 1 if len(first) == 2 and all(word.isdigit() for word in first) else 0
    counted, width = map(int, first) if begins else (None, None)
    if not begins and _names_columns(lines[0]):
        begins = 1
    rows: list[list[float]] = []
    ids: list[str] = []
    for number, line in enumerate(lines[begins:], start=begins + 1):
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
    if all("." in name and _is_number(name) for name in ids):
        return "a table of numbers alone", _matrix([[float(i), *row] for i, row in zip(ids, rows, strict=True)]), None
    return "word2vec text: an id and its numbers a line", _matrix(rows), ids


def _names_columns(line: str) -> bool:
    """Whether a line is a header: its first field is empty, as that of an index is, or a usual name of ids."""
    return line[:1] in ("\t", ",", ";") or _words(line)[0].strip('"').lower() in ID_NAMES


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


_SEPARATOR = re.compile(r"\s*[,\t]\s*|\s+")


def _numbers(values: Any, width: int | None, where: str) -> list[float]:
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        commas = isinstance(values, list) and any("," in value for value in values if isinstance(value, str))
        do = "; write decimals with a point" if commas else ""
        raise UserError(f"{where}: its vector is no list of numbers{do}") from None
    if not numbers or (width is not None and len(numbers) != width):
        raise UserError(f"{where}: has {len(numbers)} numbers, not {width or 'a vector'}")
    return numbers
