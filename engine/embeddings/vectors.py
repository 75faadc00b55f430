"""Item vectors from a file, aligned with the catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from engine.data import Dataset
from engine.spec import UserError

FloatArray = npt.NDArray[np.float32]


def load_vectors(path: Path, dataset: Dataset) -> FloatArray:
    """X [n x D] float32, row i for catalogue item i.

    The file is `.npy` (no pickle) or `.safetensors` (one two-dimensional tensor, or one named
    `vectors`). Rows are those of `.item`, in its order, unless the file comes with ids: for
    safetensors a JSON list of item ids under the metadata key `ids`, for npy a file of the same name
    ending in `.ids.txt` with one id a line. Raises UserError for a wrong shape, missing items or
    numbers that are not finite.
    """
    matrix, ids = _read(path)
    if matrix.ndim != 2 or matrix.dtype.kind != "f":
        raise UserError(f"{path}: needs a matrix of floats (items x dimensions), not {matrix.dtype} {matrix.shape}")
    rows = dataset.item_rows if ids is None else _rows_of(ids, dataset, path)
    if ids is None and len(matrix) != dataset.n_item_rows:
        raise UserError(
            f"{path}: has {len(matrix)} rows, but {dataset.name}.item has {dataset.n_item_rows} items; "
            "give one row per line of .item, or store the item ids with the vectors"
        )
    if ids is not None and len(matrix) != len(ids):
        raise UserError(f"{path}: has {len(matrix)} rows but {len(ids)} ids")
    vectors = np.asarray(matrix[rows], dtype=np.float32)
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise UserError(
            f"{path}: row {int(rows[first])} (item {dataset.item_ids[first]}) holds numbers that are not finite, "
            f"as do {int(bad.sum()) - 1} other rows; encode these items again"
        )
    return vectors


def _read(path: Path) -> tuple[npt.NDArray[np.floating], list[str] | None]:
    if path.suffix == ".npy":
        try:
            matrix = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise UserError(f"{path}: not a plain .npy matrix ({_first_line(error)})") from None
        beside = path.with_suffix(".ids.txt")
        return matrix, beside.read_text("utf-8").splitlines() if beside.exists() else None
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    raise UserError(f"{path}: vectors come as .npy or .safetensors, not {path.suffix or 'a file without ending'}")


def _read_safetensors(path: Path) -> tuple[npt.NDArray[np.floating], list[str] | None]:
    try:
        with safe_open(path, "np") as file:
            names = list(file.keys())
            name = "vectors" if "vectors" in names else names[0] if len(names) == 1 else None
            if name is None:
                raise UserError(f"{path}: holds {', '.join(names) or 'no tensors'}; name the one to use `vectors`")
            listed = (file.metadata() or {}).get("ids")
            matrix = file.get_tensor(name)
    except (SafetensorError, OSError, TypeError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({_first_line(error)})") from None
    if listed is None:
        return matrix, None
    try:
        ids = json.loads(listed)
    except ValueError:
        ids = None
    if not isinstance(ids, list):
        raise UserError(f"{path}: the metadata key `ids` is not a JSON list of item ids")
    return matrix, [str(item) for item in ids]


def _rows_of(ids: list[str], dataset: Dataset, path: Path) -> npt.NDArray[np.int64]:
    row = {item: n for n, item in enumerate(ids)}
    if len(row) != len(ids):
        double = next(item for n, item in enumerate(ids) if row[item] != n)
        raise UserError(f"{path}: the id {double} occurs more than once; keep one row per item")
    missing = [item for item in dataset.item_ids if item not in row]
    if missing:
        raise UserError(f"{path}: no vector for item {missing[0]} and {len(missing) - 1} others of {dataset.name}")
    return np.array([row[item] for item in dataset.item_ids], dtype=np.int64)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
