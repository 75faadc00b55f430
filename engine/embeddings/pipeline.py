"""The embedding pipeline: X -> centre -> unit rows -> PCA or Rec-PCA -> Z (METHOD.md A.4), cached by content."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine import spec
from engine.data import Dataset, Split
from engine.embeddings.graph import cooccurrence
from engine.embeddings.reduce import rec_pca
from engine.embeddings.vectors import FloatArray, load_vectors

_VERSION = 1  # part of the cache key: raise it when the pipeline computes something else


def item_vectors(
    experiment: spec.Experiment, dataset: Dataset, split: Split, cache: Path | None = None
) -> tuple[FloatArray, dict[str, Any]]:
    """Z [n x k] float32 for the catalogue, k = backbone.width, and its diagnostics.

    The graph sees training histories only. Diagnostics are JSON: shape, norms before and after,
    retained variance, TV ratio, number of positive eigenvalues, warnings. With a `cache` folder an
    earlier result of the same content and settings is read back.
    """
    key = _key(experiment, split)
    kept = _read(cache / f"{key}.safetensors") if cache else None
    if kept is not None:
        return kept
    z, diagnostics = _compute(experiment, dataset, split)
    if cache:
        _write(cache / f"{key}.safetensors", z, diagnostics)
    return z, diagnostics


def source_vectors(embedding: spec.Embedding, dataset: Dataset) -> FloatArray:
    """X [n x D] float32 of the catalogue, from the file or, for the generated data set, from memory."""
    if embedding.path is not None:
        path = Path(embedding.path)
        if embedding.fingerprint and spec.file_fingerprint([path]) != embedding.fingerprint:
            raise spec.UserError(f"{path}: changed since this run was specified; start a new run")
        return load_vectors(path, dataset)
    if dataset.vectors is None:
        raise spec.UserError(f"{dataset.name}: no file of vectors named; use --embedding NAME or a path")
    return dataset.vectors[dataset.item_rows].astype(np.float32)


def _compute(experiment: spec.Experiment, dataset: Dataset, split: Split) -> tuple[FloatArray, dict[str, Any]]:
    embedding = experiment.embedding
    x = source_vectors(embedding, dataset).astype(np.float64)
    norms = np.linalg.norm(x, axis=1)
    diagnostics: dict[str, Any] = {"items": len(x), "dimensions": x.shape[1], "norm_cv": _cv(norms)}
    if embedding.center:
        x -= x.mean(axis=0)
        diagnostics["norm_cv_centred"] = _cv(np.linalg.norm(x, axis=1))
    if embedding.pre_normalize:
        x = unit_rows(x)
    adjacency = None
    if embedding.reduce == "rec-pca":
        adjacency = cooccurrence(split.train, len(dataset.item_ids), embedding.graph)
        diagnostics["edges"] = adjacency.nnz // 2
    k = experiment.backbone.width
    reduction = rec_pca(x, k, adjacency, embedding.lambda_)
    z = x @ reduction.w
    norms = np.linalg.norm(z, axis=1)
    diagnostics |= {
        "retained": reduction.retained,
        "tv_ratio": reduction.tv_ratio,
        "positive_eigenvalues": reduction.positive,
        "table_norm_mean": float(norms.mean()),
        "table_norm_cv": _cv(norms),
        "warnings": [],
    }
    if reduction.positive < k:
        diagnostics["warnings"].append(
            f"only {reduction.positive} of {k} kept eigenvalues are positive: "
            f"embedding.lambda={embedding.lambda_:g} is too large for this graph"
        )
    return z.astype(np.float32), diagnostics


def unit_rows(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows at length 1; a row of zeros stays zero."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    unit: npt.NDArray[np.float64] = np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)
    return unit


def _cv(values: npt.NDArray[np.float64]) -> float:
    mean = float(values.mean())
    return float(values.std()) / mean if mean > 0 else 0.0


def _key(experiment: spec.Experiment, split: Split) -> str:
    identity = spec.identity(experiment)
    content = {
        "version": _VERSION,
        "data": identity["data"],
        "split": split.checksum(),
        "embedding": identity["embedding"],
        "k": experiment.backbone.width,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _read(path: Path) -> tuple[FloatArray, dict[str, Any]] | None:
    try:
        with safe_open(path, "np") as file:
            return file.get_tensor("z"), json.loads((file.metadata() or {})["diagnostics"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None  # absent or damaged: computed again


def _write(path: Path, z: FloatArray, diagnostics: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    beside.write_bytes(save({"z": z}, {"diagnostics": json.dumps(diagnostics)}))
    beside.replace(path)
