"""Bounds on what a file from outside may ask for, checked before the work is done.

A few hundred bytes can declare a matrix of terabytes, a list of a million levels or an archive that fills the memory.
Readers of such files ask here first; whatever a library then still raises, a panic of Rust code included, becomes one
line that names the file.
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine.errors import UserError
from engine.parquet_pages import page_sizes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

JSON_BYTES = 1 << 26
"""Of a JSON document from outside. The longest we know, the ids of ten million items, have about so many."""
JSON_DEPTH = 100
"""Lists and objects inside one another. A few hundred are more than Python, SQLite or a screen go through."""
ENTRIES = 64
"""Of an archive: a matrix, its ids and what else people keep beside them."""
RATIO = 200
"""Bytes that come of one stored byte. Vectors shrink two- to tenfold, ids twentyfold."""
SMALL = 1 << 26
"""Bytes that may come of anything: what fits easily is no attack, zeros shrink a thousandfold."""


@contextmanager
def one_line(words: str) -> Iterator[None]:
    """Whatever reading raises is a UserError of these words and the first line of the library's own. Panics of Rust
    libraries are no `Exception`. What ends a program passes."""
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        first = (str(error).strip().splitlines() or [""])[0][:200]
        raise UserError(f"{words} ({first or type(error).__name__})") from None


def require_honest(data: bytes, unpacked: int) -> None:
    """Raises ValueError where packed data says that far more comes of it than of honest data."""
    if unpacked > max(SMALL, RATIO * len(data)):
        raise ValueError(f"{len(data):,} bytes would unpack to {unpacked:,} or more")


def parse_json(text: str | bytes, hook: Callable[[dict[str, Any]], Any] | None = None, *, finite: bool = False) -> Any:
    """`json.loads` for what others wrote. Raises ValueError also where it is larger than `JSON_BYTES`, or nested deeper
    than `JSON_DEPTH`; with `finite` also for NaN and Infinity, which are no JSON."""
    if len(text) > JSON_BYTES:
        raise ValueError(f"{len(text):,} bytes of JSON, at most {JSON_BYTES:,} are read")
    try:
        value = json.loads(text, object_hook=hook, parse_constant=_no_number if finite else None)
    except RecursionError:
        raise ValueError("nested too deep") from None
    opened = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if opened > JSON_DEPTH and _is_deep(value):
        raise ValueError("nested too deep")
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(JSON_DEPTH + 1):
        inner = (part for each in level for part in (each.values() if isinstance(each, dict) else each))
        level = [part for part in inner if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def read_json(path: Path) -> Any:
    """The JSON of a file that others wrote. Raises ValueError as `parse_json` does, and for what is not UTF-8; OSError
    where it cannot be read."""
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
        raise OSError(errno.EINVAL, "is no file", str(path))
    with open(path, "rb") as file:
        return parse_json(file.read(JSON_BYTES + 1).decode("utf-8"))


def read_npy(path: Path) -> npt.NDArray[Any]:
    """The matrix of a `.npy` file, left in the file. Raises UserError where the header declares what the file does
    not hold, objects, or an archive in its place."""
    import numpy as np

    with one_line(f"{path}: not a plain .npy matrix"), open(path, "rb") as file:
        _check_array(file, os.fstat(file.fileno()).st_size)
        matrix: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return matrix


def npz_names(path: Path) -> list[str]:
    """The names of the arrays in a `.npz` archive. Raises UserError where it is none, or has too many."""
    with one_line(f"{path}: not a plain .npz file"), open(path, "rb") as file:
        if file.read(6) == b"\x93NUMPY":
            raise UserError(f"{path}: holds one bare array; name it .npy")
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if len(entries) > ENTRIES:
                raise ValueError(f"{len(entries)} entries, at most {ENTRIES} are read")
            return list(dict.fromkeys(entry.filename.removesuffix(".npy") for entry in entries))


def read_npz(path: Path, name: str) -> npt.NDArray[Any]:
    """One array of a `.npz` archive. Raises UserError where it would unpack to far more than it is stored as, or its
    header declares something else than it holds."""
    import numpy as np

    with one_line(f"{path}: not a plain .npz file"), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        entry = archive.getinfo(f"{name}.npy" if f"{name}.npy" in names else name)
        if entry.file_size > max(SMALL, RATIO * entry.compress_size):
            raise ValueError(f"{name}: {entry.compress_size:,} bytes would unpack to {entry.file_size:,}")
        with archive.open(entry) as file:
            _check_array(file, entry.file_size)
        with archive.open(entry) as file:
            array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def npz_header(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of one array of a `.npz` archive, objects included, of which nothing is read."""
    with one_line(f"{path}: not a plain .npz file"), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        with archive.open(f"{name}.npy" if f"{name}.npy" in names else name) as file:
            return _array_header(file)


def _array_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that a `.npy` file declares; ValueError where it is none."""
    import numpy as np

    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {'.'.join(map(str, version))} of the format")
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, _, dtype = readers[version](file)
    except (RecursionError, MemoryError):
        raise ValueError("the header is nested too deep") from None
    return shape, dtype


def _check_array(file: IO[bytes], size: int) -> None:
    """Raises ValueError where the array that the header declares is not what the rest of `size` bytes holds."""
    shape, dtype = _array_header(file)
    if dtype.hasobject:
        raise ValueError("an array of Python objects, a pickle; save ids as np.array(ids, dtype=str)")
    if any(side < 0 for side in shape):
        raise ValueError(f"the header declares the shape {shape}")
    declared = math.prod(shape) * dtype.itemsize  # whole numbers of Python: nothing overflows
    if declared != size - file.tell():
        raise ValueError(f"the header declares {declared:,} bytes, the file holds {size - file.tell():,}")


def read_parquet(source: Path | bytes, words: str, columns: list[str] | None = None) -> pl.DataFrame:
    """A Parquet file; UserError with these words where it cannot be read or declares far more than it holds: rows,
    values of its lists, bytes that its pages unpack to, or texts that one entry repeats."""
    import polars as pl

    with one_line(words), _quiet(), open(source, "rb") if isinstance(source, Path) else io.BytesIO(source) as file:
        size = file.seek(0, io.SEEK_END)
        pages = list(page_sizes(file, size))
        values, unpacked = sum(page.values for page in pages), sum(page.unpacked for page in pages)
        if 8 * values > max(4 * SMALL, RATIO * size) or unpacked > max(4 * SMALL, RATIO * size):
            raise ValueError(f"{size:,} bytes declare {values:,} values of {unpacked:,} bytes")
        file.seek(0)
        scanned = pl.scan_parquet(file)
        width = len(scanned.collect_schema()) if columns is None else len(columns)
        rows = int(scanned.select(pl.len()).collect().item())
        if rows * max(1, width) > max(SMALL, RATIO * size):
            raise ValueError(f"{size:,} bytes declare {rows:,} rows of {width} columns")
        file.seek(0)
        table = pl.read_parquet(file, columns=columns)
        for column in table.get_columns():
            if column.dtype == pl.String and int(column.str.len_bytes().sum()) > max(4 * SMALL, RATIO * size):
                raise ValueError(f"{size:,} bytes repeat texts of column {column.name}")
        return table


@contextmanager
def _quiet() -> Iterator[None]:
    """A panic writes to the process's error output before it is raised. Only where nobody else writes there now."""
    import threading

    if threading.active_count() > 1:
        yield
        return
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
