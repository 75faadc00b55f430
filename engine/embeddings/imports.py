"""Vectors as people have them -> a .safetensors file with ids: tensors of torch, word2vec, JSONL, raw floats.

Nothing is executed: torch files are read with `weights_only`, pickles are refused.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from safetensors.numpy import save

from engine.data.text import packed_name, read_lines, unpacked
from engine.embeddings.ids import ID_NAMES, require_no_others, require_one_a_row
from engine.embeddings.text_vectors import Matrix, id_texts, read_json_vectors, read_word2vec, read_word2vec_binary
from engine.embeddings.vectors import MATRIX_NAMES
from engine.errors import UserError
from engine.files import make_folder, write_bytes
from engine.text import single_line


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
    if ids is not None:
        require_one_a_row(ids, len(matrix), source)
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
    if start.startswith(b"\x80") or ending in (".pkl", ".pickle", ".joblib"):
        raise UserError(f"{source}: a pickle, which runs code when it is read; convert it where you trust it")
    if ending in (".pt", ".pth", ".ckpt"):
        raise UserError(f"{source}: not a file of torch, whatever its name says; save it again by torch.save")
    if ending in (".jsonl", ".ndjson", ".json"):
        return read_json_vectors(source)
    binary = read_word2vec_binary(source)
    if binary is not None:
        return binary
    if ending in (".bin", ".raw", ".f32", ".dat"):
        raise UserError(f"{source}: raw numbers need their width; --width D says how many float32 make a vector")
    return read_word2vec(source)


def _torch(source: Path, key: str | None) -> tuple[str, Matrix, list[str] | None]:
    if _is_program(source):
        raise UserError(f"{source}: a program of TorchScript, which runs when it is read; save the tensor alone")
    try:
        loaded: Any = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, AttributeError, ModuleNotFoundError):
        raise UserError(f"{source}: a pickle, which runs code when it is read; convert it where you trust it") from None
    except Exception as error:  # of a damaged archive torch raises whatever comes
        raise UserError(f"{source}: not a readable file of torch ({single_line(error, 200)})") from None
    ids: list[str] | None = None
    others: list[str] = []
    if isinstance(loaded, dict):
        named = [name for name in ID_NAMES if isinstance(loaded.get(name), list | tuple | torch.Tensor)]
        if len(named) > 1:
            raise UserError(f"{source}: {' and '.join(named)} could each be the ids; keep one")
        ids = id_texts(torch_list(loaded[named[0]]), f"{source}: {named[0]}") if named else None
        matrices = {n: t for n, t in _flat(loaded).items() if t.ndim == 2 and n not in named}
        by_item = _by_item(loaded, source) if key is None else None
        if by_item is not None:
            return "a tensor of torch for each id", *by_item
        usual = [name for name in MATRIX_NAMES if name in matrices]
        choices = [key] if key is not None else usual or list(matrices)
        if len(choices) != 1 or choices[0] not in matrices:
            names = [str(name)[:60] for name in matrices]
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            raise UserError(
                f"{source}: which tensor? --key names one; there are {', '.join(names[:8]) or 'no matrices'}{more}"
            )
        size = len(matrices[choices[0]])
        others = [] if named else [str(name) for name, value in loaded.items() if _is_along(value, size)]
        loaded = matrices[choices[0]]
    if not isinstance(loaded, torch.Tensor) or not loaded.is_floating_point():
        is_tensor = isinstance(loaded, torch.Tensor)
        what = f"a tensor of {loaded.dtype}".replace("torch.", "") if is_tensor else type(loaded).__name__
        raise UserError(f"{source}: holds {what}, not a tensor of floats or a dictionary of them")
    require_no_others(others, source)
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


def _is_program(source: Path) -> bool:
    """Whether a file of torch holds code, as TorchScript does."""
    try:
        with zipfile.ZipFile(source) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _is_along(value: Any, size: int) -> bool:
    """Whether a value holds one text or whole number for each of `size` rows."""
    if isinstance(value, torch.Tensor):
        return value.shape == (size,) and not value.is_floating_point()
    return isinstance(value, list | tuple) and len(value) == size and all(isinstance(each, str | int) for each in value)


def _by_item(loaded: dict[Any, Any], source: Path) -> tuple[Matrix, list[str]] | None:
    """The matrix of a dictionary from ids to vectors, tensors [d] or [1, d] or lists; None where it is another. Raises
    UserError where their widths differ."""
    vectors = [_vector(value) for value in loaded.values()]
    rows = [vector for vector in vectors if vector is not None]
    if len(rows) < 2 or len(rows) < len(vectors):
        return None
    widths = sorted({len(vector) for vector in rows})
    if len(widths) > 1:
        raise UserError(f"{source}: its vectors have {widths[0]} to {widths[-1]} numbers, not all as many; repair it")
    return torch.stack(rows).numpy(), id_texts(list(loaded), str(source))


def _vector(value: Any) -> torch.Tensor | None:
    """One vector of floats; None where the value is another thing."""
    if isinstance(value, list | tuple) and value and all(isinstance(number, float) for number in value):
        return torch.tensor(value)
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.layout != torch.strided:
        return None
    flat = value.detach().float()
    return flat if flat.ndim == 1 else flat[0] if flat.ndim == 2 and len(flat) == 1 else None


def torch_list(values: Any) -> list[Any]:
    """A list of what may be a tensor."""
    return list(values.tolist() if isinstance(values, torch.Tensor) else values)


def _raw(source: Path, width: int) -> tuple[str, Matrix, list[str] | None]:
    packed = source.name.lower().endswith(".gz")
    numbers = np.frombuffer(unpacked(source), np.uint8) if packed else np.fromfile(source, np.uint8)
    if not len(numbers) or len(numbers) % (4 * width):
        raise UserError(
            f"{source}: {len(numbers)} bytes are no whole number of rows of {width} float32; set another --width"
        )
    return f"raw float32, {width} a row", numbers.view("<f4").reshape(-1, width), None
