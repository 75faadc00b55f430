"""Vectors on their way to a file: shards in a cache folder, and the file that is put together from them.

A shard is a safetensors file of `rows` (int64 [m], which texts) and `vectors` ([m x D], float32 or
float16). No two shards hold the same row. A shard appears whole or not at all, so what a killed process
left behind is simply what is done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine.files import clear_leftovers, replacing, write_bytes

Array = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]


class Shards:
    """The shards of one folder. One process at a time may write (the caller holds a lock); several of
    its threads may."""

    def __init__(self, folder: Path, n_rows: int) -> None:
        """Look at what is there: leftovers of a killed process and damaged shards are removed."""
        self.folder, self._n = folder, n_rows
        self.done: npt.NDArray[np.bool_] = np.zeros(n_rows, dtype=np.bool_)
        clear_leftovers(folder)
        for path in sorted(folder.glob("*.safetensors")):
            rows = self._rows(path)
            if rows is None or self.done[rows].any():
                path.unlink()
            else:
                self.done[rows] = True

    def clear(self) -> None:
        """Forget everything."""
        for path in self.folder.glob("*.safetensors"):
            path.unlink()
        self.done[:] = False

    def write(self, rows: IntArray, vectors: Array) -> None:
        """Keep the vectors [m x D] of these rows."""
        path = self.folder / f"{int(rows[0]):010d}.safetensors"
        write_bytes(path, save({"rows": rows, "vectors": np.ascontiguousarray(vectors)}))
        self.done[rows] = True

    def assemble(self, out: Path, row_of_item: IntArray, metadata: Mapping[str, str]) -> tuple[int, str]:
        """Write `vectors` [items x D], item i from row row_of_item[i], with the metadata; one shard is in memory at
        a time. float16 where all shards are. Returns D and the type's name. All rows must be done."""
        paths = sorted(self.folder.glob("*.safetensors"))
        shard_of = np.full(self._n, -1, dtype=np.int64)
        place_of = np.zeros(self._n, dtype=np.int64)
        width, half = 0, True
        for number, path in enumerate(paths):
            with safe_open(path, "np") as file:
                rows = file.get_tensor("rows")
                view = file.get_slice("vectors")
                width, half = view.get_shape()[1], half and view.get_dtype() == "F16"
            shard_of[rows], place_of[rows] = number, np.arange(len(rows))
        dtype: np.dtype[np.floating] = np.dtype(np.float16) if half else np.dtype(np.float32)
        shard_of_item = shard_of[row_of_item]
        by_shard = np.argsort(shard_of_item, kind="stable")
        ends = np.searchsorted(shard_of_item[by_shard], np.arange(len(paths) + 1))
        with replacing(out) as partial:
            matrix = _new_file(partial, (len(row_of_item), width), dtype, metadata)
            for number, path in enumerate(paths):
                items = by_shard[ends[number] : ends[number + 1]]
                with safe_open(path, "np") as file:
                    matrix[items] = file.get_tensor("vectors")[place_of[row_of_item[items]]]
            matrix.flush()
            del matrix
        return width, dtype.name

    def _rows(self, path: Path) -> IntArray | None:
        """The rows of a shard; None where it is damaged or does not belong here."""
        try:
            with safe_open(path, "np") as file:
                rows: IntArray = file.get_tensor("rows")
                shape = file.get_slice("vectors").get_shape()
        except (SafetensorError, OSError):
            return None
        fits = rows.ndim == 1 and len(rows) and rows.min() >= 0 and rows.max() < self._n and shape[0] == len(rows)
        return rows if fits else None


def _new_file(
    path: Path, shape: tuple[int, int], dtype: np.dtype[np.floating], metadata: Mapping[str, str]
) -> np.memmap[tuple[int, int], np.dtype[np.floating]]:
    """A safetensors file of one tensor `vectors`, mapped for writing: the library's own writer takes whole
    matrices only. Format: length of the header (8 bytes, little endian), JSON header, the numbers."""
    size = shape[0] * shape[1] * dtype.itemsize
    tensor = {"dtype": {2: "F16", 4: "F32"}[dtype.itemsize], "shape": list(shape), "data_offsets": [0, size]}
    header = json.dumps({"__metadata__": dict(metadata), "vectors": tensor}, ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    return np.memmap(path, dtype=dtype, mode="r+", offset=8 + len(header), shape=shape)
