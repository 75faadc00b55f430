"""Item vectors from a file, aligned with the catalogue."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from safetensors import SafetensorError, safe_open

from engine.data import Dataset
from engine.embeddings.rows import BFLOAT16, Vectors
from engine.errors import UserError

_TYPES: dict[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "BF16": BFLOAT16,
}
"""safetensors' names of what vectors may be stored as."""
Stored = npt.NDArray[Any]


def open_vectors(path: Path, dataset: Dataset) -> Vectors:
    """X [n x D], row i for catalogue item i, of a file that is read through once and then left where it is.

    Rows are those of `.item`, in its order, unless the file comes with ids:

        .npy          one matrix (never a pickle); ids in a file of the same name ending in `.ids.txt`, one a line;
                      not held in memory
        .npz          one matrix, or one named `vectors`; ids in an array `ids`
        .safetensors  one matrix, or one named `vectors`, also of bfloat16; ids as a JSON list under the metadata
                      key `ids`; not held in memory
        .parquet      ids in the column `item_id`; vectors in a list column `vector`, or one column a dimension

    Raises UserError for a wrong shape or type, missing items or numbers that are not finite.
    """
    matrix, ids = _read(path)
    if matrix.ndim != 2 or not (matrix.dtype.kind == "f" or matrix.dtype == BFLOAT16):
        raise UserError(f"{path}: needs a matrix of floats (items x dimensions), not {matrix.dtype} {matrix.shape}")
    if ids is not None and len(matrix) != len(ids):
        raise UserError(f"{path}: has {len(matrix)} rows but {len(ids)} ids")
    rows = dataset.item_rows if ids is None else _rows_of(ids, dataset, path)
    if ids is None and len(matrix) != dataset.n_item_rows:
        raise UserError(
            f"{path}: has {len(matrix)} rows, but {dataset.name}.item has {dataset.n_item_rows} items; "
            "give one row per line of .item, or store the item ids with the vectors"
        )
    vectors = Vectors(matrix, rows)
    largest = [torch.linalg.vector_norm(block, ord=math.inf, dim=1) for _, block in vectors.blocks()]
    bad = ~torch.cat(largest).isfinite().numpy()
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise UserError(
            f"{path}: row {int(rows[first])} (item {dataset.item_ids[first]}) holds numbers that are not finite"
            f"{_also(int(bad.sum()) - 1, 'as do {} more')}; encode these items again"
        )
    return vectors


def _read(path: Path) -> tuple[Stored, list[str] | None]:
    if path.suffix == ".npy":
        try:
            matrix = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise UserError(f"{path}: not a plain .npy matrix ({_first_line(error)})") from None
        ids_file = path.with_suffix(".ids.txt")
        return matrix, ids_file.read_text("utf-8").splitlines() if ids_file.exists() else None
    readers = {".npz": _read_npz, ".parquet": _read_parquet, ".safetensors": _read_safetensors}
    if path.suffix in readers:
        return readers[path.suffix](path)
    raise UserError(
        f"{path}: vectors come as .npy, .npz, .parquet or .safetensors, not {path.suffix or 'a file without ending'}"
    )


def _read_npz(path: Path) -> tuple[Stored, list[str] | None]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise UserError(f"{path}: holds one bare array; name it .npy")
        with loaded as file:
            name = _one_of([key for key in file.files if key != "ids"], path)
            matrix = file[name]
            ids = file["ids"] if "ids" in file.files else None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a plain .npz file ({_first_line(error)})") from None
    if ids is None:
        return matrix, None
    if ids.ndim != 1 or ids.dtype.kind not in "Uiu":
        raise UserError(f"{path}: `ids` must be a list of texts or whole numbers, not {ids.dtype} {ids.shape}")
    return matrix, [str(item) for item in ids.tolist()]


def _read_parquet(path: Path) -> tuple[Stored, list[str] | None]:
    try:
        table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path}: not a readable parquet file ({_first_line(error)})") from None
    if "item_id" not in table.columns:
        raise UserError(f"{path}: no column item_id; it has {', '.join(table.columns) or 'no columns'}")
    ids = table["item_id"]
    if not (ids.dtype.is_integer() or ids.dtype in (pl.String, pl.Categorical, pl.Enum)) or ids.null_count():
        raise UserError(f"{path}: column item_id must be texts or whole numbers, none empty, not {ids.dtype}")
    columns = table.drop("item_id")
    matrix = _stacked(columns["vector"], path) if "vector" in columns.columns else _columns(columns, path)
    return matrix, ids.cast(pl.String).to_list()


def _stacked(vectors: pl.Series, path: Path) -> npt.NDArray[np.floating]:
    """A column of lists as a matrix."""
    if isinstance(vectors.dtype, pl.Array):
        vectors = vectors.arr.to_list()
    if not isinstance(vectors.dtype, pl.List) or not vectors.dtype.inner.is_float():
        raise UserError(f"{path}: column vector must hold lists of floats, not {vectors.dtype}")
    lengths = vectors.list.len()
    wrong = (lengths.ne_missing(lengths.drop_nulls().first())).arg_true()
    if len(wrong) or not len(lengths) or not lengths[0]:
        raise UserError(f"{path}: column vector: row {wrong[0] if len(wrong) else 0} is empty or differs in length")
    return vectors.explode().to_numpy().reshape(len(vectors), -1)


def _columns(table: pl.DataFrame, path: Path) -> npt.NDArray[np.floating]:
    """One column a dimension."""
    for name, dtype in table.schema.items():
        if not dtype.is_float():
            raise UserError(f"{path}: column {name} must hold floats, not {dtype}; or give one list column `vector`")
    if not table.width:
        raise UserError(f"{path}: has ids but no vectors; give a list column `vector`, or one column a dimension")
    return table.to_numpy()


def _read_safetensors(path: Path) -> tuple[Stored, list[str] | None]:
    try:
        with safe_open(path, "np") as file:
            name = _one_of(list(file.keys()), path)
            listed = (file.metadata() or {}).get("ids")
            part = file.get_slice(name)
            dtype, shape = part.get_dtype(), tuple(part.get_shape())
    except (SafetensorError, OSError, TypeError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({_first_line(error)})") from None
    if dtype not in _TYPES or 0 in shape:
        raise UserError(f"{path}: needs a matrix of floats (items x dimensions), not {dtype} {shape}")
    matrix = np.memmap(path, _TYPES[dtype], "r", _begins(path, name), shape)
    if listed is None:
        return matrix, None
    try:
        ids = json.loads(listed)
    except ValueError:
        ids = None
    if not isinstance(ids, list):
        raise UserError(f"{path}: the metadata key `ids` is not a JSON list of item ids")
    return matrix, [str(item) for item in ids]


def _begins(path: Path, name: str) -> int:
    """Where the tensor begins in a safetensors file that was found valid: length of the header, header, data."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return 8 + length + int(json.loads(file.read(length))[name]["data_offsets"][0])


def _one_of(names: list[str], path: Path) -> str:
    """The name of the matrix among those of a file."""
    if "vectors" in names:
        return "vectors"
    if len(names) != 1:
        raise UserError(f"{path}: holds {', '.join(names) or 'no tensors'}; name the one to use `vectors`")
    return names[0]


def _rows_of(ids: list[str], dataset: Dataset, path: Path) -> npt.NDArray[np.int64]:
    row = {item: n for n, item in enumerate(ids)}
    if len(row) != len(ids):
        double = next(item for n, item in enumerate(ids) if row[item] != n)
        raise UserError(f"{path}: the id {double} occurs more than once; keep one row per item")
    missing = [item for item in dataset.item_ids if item not in row]
    if missing:
        raise UserError(
            f"{path}: no vector for item {missing[0]} of {dataset.name}{_also(len(missing) - 1, 'nor for {} more')}"
        )
    return np.array([row[item] for item in dataset.item_ids], dtype=np.int64)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


def _also(more: int, words: str) -> str:
    """How a message goes on that named the first of several."""
    return f", {words.format(more)}" if more else ""
