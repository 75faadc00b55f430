"""Item vectors from a file, aligned with the catalogue."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from safetensors import safe_open

from engine.bounds import npz_header, npz_names, one_line, parse_json, read_npy, read_npz, read_parquet
from engine.data import Dataset
from engine.data.ids import spelled_otherwise
from engine.data.text import BLANKS, read_lines
from engine.embeddings.ids import ids_of_column, name_of_ids, only_name, require_no_others, require_one_a_row
from engine.embeddings.rows import BFLOAT16, Vectors, spans
from engine.errors import UserError

_TYPES: dict[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "BF16": BFLOAT16,
}
"""safetensors' names of what vectors may be stored as."""
Stored = npt.NDArray[Any]
MATRIX_NAMES = ("vectors", "embeddings", "vector", "embedding")
_LARGEST = 1e15
"""Above it sums of squares leave float32."""


def open_vectors(path: Path, dataset: Dataset) -> Vectors:
    """X [n x D], row i for catalogue item i, of a file that is read through once and then left where it is.

    Rows are those of `.item`, in its order, unless the file comes with ids:

        .npy          one matrix (never a pickle); ids in a file of the same name ending in `.ids.txt`, one a line;
                      not held in memory
        .npz          one matrix, or one named as in `MATRIX_NAMES`; ids in an array named as in `ID_NAMES`
        .safetensors  one matrix, or one named as in `MATRIX_NAMES`, also of bfloat16; ids as a JSON list under a
                      metadata key of `ID_NAMES`; not held in memory
        .parquet      ids in a column of `ID_NAMES`; vectors in a list column of `MATRIX_NAMES`, or one column a
                      dimension

    Raises UserError for a wrong shape or type, rows that cannot be told apart from one another or told which item
    they belong to, missing items, and numbers that are not finite or too large.
    """
    matrix, ids = _read(path)
    if matrix.ndim != 2 or 0 in matrix.shape or not (matrix.dtype.kind == "f" or matrix.dtype == BFLOAT16):
        raise UserError(f"{path}: needs a matrix of floats (items x dimensions), not {matrix.dtype} {matrix.shape}")
    if ids is not None:
        require_one_a_row(ids, len(matrix), path)
    if ids is None:
        _require_item_rows(matrix, dataset, path)
    rows = dataset.item_rows if ids is None else _rows_of(ids, dataset, path)
    vectors = Vectors(matrix, rows)
    _require_directions(vectors, dataset, path)
    return vectors


def _require_item_rows(matrix: Stored, dataset: Dataset, path: Path) -> None:
    """Rows without ids are those of `.item`."""
    name, items = dataset.name, dataset.n_item_rows
    if not dataset.has_item_file:
        raise UserError(
            f"{path}: has no item ids, and without {name}.item its rows have no order to go by; "
            f"{_how_to_give_ids(path)}, or add {name}.item with one line a row"
        )
    if len(matrix) == items + 1:
        first_is_zero, last_is_zero = (not Vectors.of(matrix).read(slice(row, row + 1)).any() for row in (0, items))
        at_end = last_is_zero and not first_is_zero
        raise UserError(
            f"{path}: has one row more than {name}.item has items ({items}), and row {items if at_end else 0} "
            f"{'is all zeros' if first_is_zero or at_end else 'may be'}: a padding row; "
            f"save the matrix without it (matrix[{':-1' if at_end else '1:'}]), or {_how_to_give_ids(path)}"
        )
    if len(matrix) != items:
        raise UserError(
            f"{path}: has {len(matrix)} rows, but {name}.item has {items} items; "
            f"give one row per line of .item, or {_how_to_give_ids(path)}"
        )


def _how_to_give_ids(path: Path) -> str:
    ways = {
        ".npy": f"write the rows' ids to {path.stem}.ids.txt, one a line",
        ".npz": "store the rows' ids in an array `ids`",
        ".safetensors": "store the rows' ids as a JSON list under the metadata key `ids`",
    }
    return ways[path.suffix]


def _require_directions(vectors: Vectors, dataset: Dataset, path: Path) -> None:
    """Every number finite and its square too, and not all vectors the same."""
    largest: list[torch.Tensor] = []
    dtype = torch.float64 if vectors.matrix.dtype.itemsize > 4 else torch.float32
    low = high = vectors.read(slice(0, 1), dtype)[0]
    for which in spans(vectors.shape):
        block = vectors.read(which, dtype)
        largest.append(torch.linalg.vector_norm(block, ord=math.inf, dim=1))
        low, high = torch.minimum(low, block.amin(0)), torch.maximum(high, block.amax(0))
    vectors.let_go()
    size = torch.cat(largest).numpy()
    for bad, what, do in (
        (~np.isfinite(size), "numbers that are not finite", "encode these items again"),
        (size > _LARGEST, f"numbers up to {np.nanmax(size):.1e}, too large to square", "divide the whole matrix"),
    ):
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            also = _also(int(bad.sum()) - 1, "as do {} more")
            item = f"row {int(vectors.rows[first])} (item {dataset.item_ids[first]})"
            raise UserError(f"{path}: {item} holds {what}{also}; {do}")
    if vectors.shape[1] == 1:
        raise UserError(f"{path}: has one column only, so vectors differ in nothing but length; give two or more")
    if not size.any():
        raise UserError(f"{path}: all vectors are zero; encode the items again")
    if size.max() < 1 / _LARGEST:
        raise UserError(f"{path}: no number is above {size.max():.1e}, too small to square; multiply the whole matrix")
    if len(size) > 1 and bool((low == high).all()):
        raise UserError(f"{path}: all {len(size)} vectors are equal, so no two items differ; encode the items again")


def n_distinct(vectors: Vectors) -> int:
    """How many of the vectors differ, by their products with one random vector (to nine digits of the largest)."""
    direction = torch.from_numpy(np.random.default_rng(0).standard_normal(vectors.shape[1]))
    products = [vectors.read(which, torch.float64) @ direction for which in spans(vectors.shape)]
    vectors.let_go()
    values = torch.cat(products).numpy()
    scale = float(np.abs(values).max())
    return len(np.unique(np.round(values / scale, 9))) if scale > 0 else 1


def _read(path: Path) -> tuple[Stored, list[str] | None]:
    if path.suffix == ".npy":
        matrix = read_npy(path)
        ids_file = path.with_suffix(".ids.txt")
        return matrix, read_lines(ids_file) if ids_file.exists() else None
    readers = {".npz": _read_npz, ".parquet": _read_parquet, ".safetensors": _read_safetensors}
    if path.suffix in readers:
        return readers[path.suffix](path)
    raise UserError(
        f"{path}: vectors come as .npy, .npz, .parquet or .safetensors, not {path.suffix or 'a file without ending'}"
    )


def _read_npz(path: Path) -> tuple[Stored, list[str] | None]:
    names = npz_names(path)
    key = name_of_ids(names, "arrays", path)
    others = [name for name in names if name != key]
    chosen = _matrix_name(others, path)
    matrix = read_npz(path, chosen)
    if key is None:
        headers = {name: npz_header(path, name) for name in others if name != chosen}
        require_no_others(
            [n for n, (shape, dtype) in headers.items() if shape == (len(matrix),) and dtype.kind in "USOiu"], path
        )
        return matrix, None
    ids = read_npz(path, key)
    if ids.dtype.kind == "S":
        try:
            ids = np.char.decode(ids, "utf-8")
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise UserError(f"{path}: `{key}`: byte 0x{byte:02x} is not UTF-8 text; save the ids as UTF-8") from None
    if ids.ndim != 1 or ids.dtype.kind not in "Uiu":
        raise UserError(f"{path}: `{key}` must be a list of texts or whole numbers, not {ids.dtype} {ids.shape}")
    return matrix, [str(item) for item in ids.tolist()]


def _read_parquet(path: Path) -> tuple[Stored, list[str] | None]:
    table = read_parquet(path, f"{path}: not a readable parquet file")
    # Beside item_id, a column named id or items may be anything.
    name = "item_id" if "item_id" in table.columns else name_of_ids(table.columns, "columns", path)
    if name is None:
        raise UserError(
            f"{path}: no column item_id; it has {', '.join(table.columns[:8]) or 'no columns'}; call the ids so"
        )
    ids = ids_of_column(table[name], path)
    columns = table.drop(name).select(pl.exclude(r"^__index_level_\d+__$"))  # pandas' own numbers of the rows
    lists = [each for each in MATRIX_NAMES if each in columns.columns]
    matrix = _stacked(columns[only_name(lists, "columns", path)], path) if lists else _columns(columns, path)
    return matrix, ids


def _stacked(vectors: pl.Series, path: Path) -> npt.NDArray[np.floating]:
    """A column of lists as a matrix."""
    if isinstance(vectors.dtype, pl.Array):
        vectors = vectors.arr.to_list()
    if not isinstance(vectors.dtype, pl.List) or not vectors.dtype.inner.is_float():
        raise UserError(f"{path}: column {vectors.name} must hold lists of floats, not {vectors.dtype}")
    lengths = vectors.list.len()
    wrong = (lengths.ne_missing(lengths.drop_nulls().first())).arg_true()
    if len(wrong) or not len(lengths) or not lengths[0]:
        raise UserError(
            f"{path}: column {vectors.name}: row {wrong[0] if len(wrong) else 0} is empty or differs in length"
        )
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
    with one_line(f"{path}: not a readable safetensors file"), safe_open(path, "np") as file:
        name = _matrix_name(list(file.keys()), path)
        metadata = file.metadata() or {}
        key = name_of_ids(metadata, "metadata keys", path)
        part = file.get_slice(name)
        dtype, shape = part.get_dtype(), tuple(part.get_shape())
        slices = {other: file.get_slice(other) for other in file.keys() if other != name}  # noqa: SIM118
        along = [n for n, each in slices.items() if each.get_shape() == [*shape[:1]] and "F" not in each.get_dtype()]
        own = None if key is not None else name_of_ids(along, "tensors", path)
        numbers = None if own is None else file.get_tensor(own)
    if dtype not in _TYPES or 0 in shape:
        raise UserError(f"{path}: needs a matrix of floats (items x dimensions), not {dtype} {shape}")
    matrix = np.memmap(path, _TYPES[dtype], "r", _begins(path, name), shape)
    if numbers is not None:
        return matrix, [str(item) for item in numbers.tolist()]
    if key is None:
        lists = [each for each in metadata if len(_json_list(metadata[each]) or ()) == shape[0]]
        require_no_others([*along, *lists], path)
        return matrix, None
    ids = _json_list(metadata[key])
    if ids is None:
        raise UserError(f"{path}: the metadata key `{key}` is not a JSON list of item ids")
    return matrix, [str(item) for item in ids]


def _json_list(text: str) -> list[Any] | None:
    """The list that the text is; None where it is another thing."""
    try:
        value = parse_json(text) if text.lstrip().startswith("[") else None
    except ValueError:
        return None
    return value if isinstance(value, list) else None


def _begins(path: Path, name: str) -> int:
    """Where the tensor begins in a safetensors file that was found valid: length of the header, header, data."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return 8 + length + int(parse_json(file.read(length))[name]["data_offsets"][0])


def _matrix_name(names: list[str], path: Path) -> str:
    """The name of the matrix among those of a file: one of `MATRIX_NAMES`, or the only one."""
    usual = [name for name in MATRIX_NAMES if name in names]
    if usual:
        return only_name(usual, "matrices", path)
    if len(names) != 1:
        raise UserError(f"{path}: holds {', '.join(names) or 'no tensors'}; name the one to use `vectors`")
    return names[0]


def _rows_of(ids: list[str], dataset: Dataset, path: Path) -> npt.NDArray[np.int64]:
    """[items] the row of every item. Blanks around an id count only where ids differ in nothing else."""
    item_ids = dataset.item_ids
    row = {item: place for place, item in enumerate(ids)}
    if any(item not in row for item in item_ids):
        bare, bare_wanted = ([item.strip(BLANKS) for item in each] for each in (ids, item_ids))
        if len(set(bare)) == len(ids) and len(set(bare_wanted)) == len(item_ids):
            row, item_ids = {item: place for place, item in enumerate(bare)}, bare_wanted
    missing = [item for item in item_ids if item not in row]
    if missing and len(missing) == len(item_ids):
        raise UserError(
            f"{path}: none of its ids ({_shown(ids)}) is an item of {dataset.name} ({_shown(item_ids)}); "
            "give the ids of .inter"
        )
    if missing:
        more = _also(len(missing) - 1, "nor for {} more")
        raise UserError(
            f"{path}: no vector for item {missing[0]} of {dataset.name}{spelled_otherwise(missing[0], ids)}{more}"
        )
    return np.array([row[item] for item in item_ids], dtype=np.int64)


def _shown(ids: list[str]) -> str:
    """The first ids as messages show them."""
    return ", ".join(repr(item[:30]) for item in ids[:3]) + (", ..." if len(ids) > 3 else "")


def _also(more: int, words: str) -> str:
    """How a message goes on that named the first of several."""
    return f", {words.format(more)}" if more else ""
