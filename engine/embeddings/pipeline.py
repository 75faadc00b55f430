"""The embedding pipeline: X -> centre -> unit rows -> reduction and post step -> control -> Z, cached by content."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine import spec
from engine.bounds import parse_json
from engine.data import Dataset, Split
from engine.embeddings import rows as sizes
from engine.embeddings.classes import item_classes
from engine.embeddings.controls import controlled
from engine.embeddings.graph.item_graph import item_graph
from engine.embeddings.graph.laplacian import Laplacian, laplacian
from engine.embeddings.reduce.reductions import FittedTable, LinearMap, fit, prepare, unit_rows
from engine.embeddings.reduce.trade_off import trade_off
from engine.embeddings.rows import FloatArray, Vectors
from engine.embeddings.vectors import n_distinct, open_vectors
from engine.errors import UserError
from engine.files import make_folder, replacing, write_bytes

_MANY_DISTINCT = 0.9
"""Fewer vectors than this share of the items are worth a warning."""
_VERSION = 2  # part of the cache key: raise it when the pipeline computes something else


class ItemVectors(NamedTuple):
    """Z [n x k] float32 for the catalogue, k = `Experiment.columns`; its diagnostics; the map that Z came
    from before a control changed it, which takes raw vectors of other items too.

    With a cache a Z of more than `rows.LARGE` numbers is made block by block in a file and mapped from there: runs with
    the same vectors share the pages that they read. What is written to it stays in the process."""

    z: FloatArray
    diagnostics: dict[str, Any]
    map: LinearMap


def item_vectors(
    experiment: spec.Experiment,
    dataset: Dataset,
    split: Split,
    cache: Path | None = None,
    id_table: FloatArray | None = None,
) -> ItemVectors:
    """The initial item table of an experiment.

    The graph sees training histories only. Diagnostics are JSON: shape, norms before and after,
    retained variance, TV ratio, number of positive eigenvalues, what Rec-PCA gives up against PCA (`trade_off`),
    condition numbers of the table's curvature at uniform p as it is and with unit rows, warnings. With a `cache`
    folder an earlier result of the same content and settings is read back. `id_table` [n x d] is what controls
    named after it take norms or directions from.
    """
    key = _key(experiment, split, id_table)
    cached = _read(cache / f"{key}.safetensors") if cache else None
    if cached is not None:
        return cached
    vectors = _compute(experiment, dataset, split, id_table, cache / f"{key}.npy" if cache else None)
    if cache:
        _write(cache / f"{key}.safetensors", vectors)
    return vectors


def source_vectors(embedding: spec.Embedding, dataset: Dataset) -> Vectors:
    """X [n x D] of the catalogue, from the file or, for the generated data set, from memory."""
    if embedding.path is not None:
        path = Path(embedding.path)
        if embedding.fingerprint and spec.file_fingerprint([path]) != embedding.fingerprint:
            raise UserError(f"{path}: changed since this run was specified; start a new run")
        return open_vectors(path, dataset)
    if dataset.vectors is None:
        raise UserError(f"{dataset.name}: no file of vectors named; use --embedding NAME or a path")
    return Vectors(dataset.vectors, dataset.item_rows)


def _compute(
    experiment: spec.Experiment, dataset: Dataset, split: Split, id_table: FloatArray | None, file: Path | None
) -> ItemVectors:
    """`file` is where a large Z goes."""
    embedding = experiment.vectors
    vectors = source_vectors(embedding, dataset)
    rows = prepare(vectors, embedding)
    n, d = rows.shape
    diagnostics: dict[str, Any] = {"items": n, "dimensions": d, "norm_cv": _cv(rows.norms)}
    if embedding.center:
        diagnostics["norm_cv_centred"] = _cv(rows.lengths)
    smoothness: Laplacian | None = None
    if isinstance(embedding.reduce, spec.RecPCA | spec.GraphPCA):
        graph = embedding.reduce.graph
        content = rows.array() if isinstance(graph, spec.ContentGraph) else np.empty((n, 0), np.float32)
        adjacency = item_graph(split.train, n, graph, content)
        diagnostics["edges"] = adjacency.nnz // 2
        smoothness = laplacian(adjacency, "normalized" if isinstance(graph, spec.EmptyGraph) else graph.laplacian)
    k = experiment.columns
    popularity = np.bincount(split.train.items, minlength=n)
    device = _device(experiment.execution.device)
    classes = None
    if isinstance(embedding.reduce, spec.LDA):
        classes = item_classes(dataset, embedding.reduce)
        diagnostics["classes"] = int(classes.max()) + 1
    fitted = fit(rows, k, embedding, laplacian=smoothness, popularity=popularity, classes=classes, device=device)
    table = None
    if file is not None and math.prod(fitted.shape) > sizes.LARGE and isinstance(embedding.control, spec.NoControl):
        table = _in_file(fitted, file)
    table = table or _in_memory(controlled(fitted.z, embedding.control, id_table))
    reduction = fitted.reduction
    diagnostics |= {
        "retained": fitted.retained,
        "tv_ratio": None if reduction is None else reduction.tv_ratio,
        "positive_eigenvalues": None if reduction is None else reduction.positive,
        "table_kappa": table.kappa,
        "table_kappa_unit_rows": table.kappa_unit_rows,
        "table_norm_mean": float(table.norms.mean()),
        "table_norm_cv": _cv(table.norms),
        "warnings": [],
    }
    zero = int((rows.norms == 0).sum())
    if zero:
        diagnostics["warnings"].append(f"{zero} of {n} items' vectors are all zeros, which have no direction")
    distinct = n_distinct(vectors)
    if distinct < _MANY_DISTINCT * n:
        diagnostics["warnings"].append(f"only {distinct} of {n} items' vectors differ; the others are copies")
    if classes is not None and (telling := int(fitted.map.w.any(axis=0).sum())) < k:
        diagnostics["warnings"].append(
            f"{diagnostics['classes']} classes of items have {telling} directions; {k - telling} columns are 0"
        )
    if reduction is not None and isinstance(embedding.reduce, spec.RecPCA):
        diagnostics["trade_off"] = trade_off(fitted.gram_sums, k, embedding.reduce.lambda_, reduction)
    if reduction is not None and reduction.positive < k:
        why = (
            f"embedding.reduce.lambda={embedding.reduce.lambda_:g} is too large for this graph"
            if isinstance(embedding.reduce, spec.RecPCA)
            else "the vectors have no more directions with variance"
        )
        diagnostics["warnings"].append(f"only {reduction.positive} of {k} kept eigenvalues are positive: {why}")
    return ItemVectors(table.z, diagnostics, fitted.map)


class _Table(NamedTuple):
    """Z, its rows' norms [n], and the condition numbers of it and of its unit rows."""

    z: FloatArray
    norms: npt.NDArray[np.float64]
    kappa: float | None
    kappa_unit_rows: float | None


def _in_memory(z: npt.NDArray[np.float64]) -> _Table:
    norms = np.linalg.norm(z, axis=1)
    covariances = (np.cov(rows, rowvar=False, bias=True) for rows in (z, unit_rows(z)))
    return _Table(z.astype(np.float32), norms, *map(_kappa, covariances))


def _in_file(fitted: FittedTable, file: Path) -> _Table:
    """Made block by block. Raises UserError where the file cannot be written."""
    n, k = fitted.shape
    norms, sums, grams = np.empty(n), np.zeros((2, k)), np.zeros((2, k, k))
    make_folder(file.parent)
    with replacing(file) as written:
        z = np.lib.format.open_memmap(written, mode="w+", dtype=np.float32, shape=(n, k))
        for which, block in fitted.blocks():
            z[which] = block
            norms[which] = np.linalg.norm(block, axis=1)
            for at, rows in enumerate((block.astype(np.float64), unit_rows(block.astype(np.float64)))):
                sums[at] += rows.sum(axis=0)
                grams[at] += rows.T @ rows
        z.flush()
        del z
    covariances = (gram / n - np.outer(total / n, total / n) for gram, total in zip(grams, sums, strict=True))
    return _Table(_mapped(file), norms, *map(_kappa, covariances))


def _mapped(file: Path) -> FloatArray:
    """Raises OSError or ValueError where it is no table."""
    z: FloatArray = np.load(file, mmap_mode="c", allow_pickle=False)
    if z.ndim != 2 or z.dtype != np.float32:
        raise ValueError(f"{file}: a table of {z.dtype} {z.shape}")
    return z


def _kappa(covariance: npt.NDArray[np.float64]) -> float | None:
    """Largest over smallest eigenvalue of the covariance: the condition number of the softmax's curvature at
    uniform p (docs/method.md F.2). None where the table spans fewer than k directions."""
    values = np.linalg.eigvalsh(covariance)
    return float(values[-1] / values[0]) if values[0] > len(values) * np.finfo(np.float64).eps * values[-1] else None


def _device(name: str) -> str:
    """Where blocks of a large catalogue are multiplied."""
    return "cpu" if not torch.cuda.is_available() else "cuda" if name == "auto" else name


def _cv(values: npt.NDArray[np.floating]) -> float:
    mean = float(values.mean())
    return float(values.std()) / mean if mean > 0 else 0.0


def _key(experiment: spec.Experiment, split: Split, id_table: FloatArray | None) -> str:
    identity = spec.identity(experiment)
    content = {
        "version": _VERSION,
        "data": identity["data"],
        "split": split.checksum(),
        "embedding": identity["embedding"],
        "k": experiment.columns,
    }
    if id_table is not None:
        content["id_table"] = hashlib.sha256(id_table.tobytes()).hexdigest()
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _read(path: Path) -> ItemVectors | None:
    try:
        with safe_open(path, "np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            diagnostics = parse_json((file.metadata() or {})["diagnostics"])
        z = tensors["z"] if "z" in tensors else _mapped(path.with_suffix(".npy"))
        return ItemVectors(z, diagnostics, LinearMap.from_tensors(tensors))
    except (OSError, SafetensorError, KeyError, ValueError):
        return None  # absent or damaged: computed again


def _write(path: Path, vectors: ItemVectors) -> None:
    make_folder(path.parent)
    z = {} if isinstance(vectors.z, np.memmap) else {"z": vectors.z}  # a mapped one is in its file
    write_bytes(path, save({**z, **vectors.map.tensors()}, {"diagnostics": json.dumps(vectors.diagnostics)}))
