"""What a run computes, and the hashes that stand for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.spec.data import Data
from engine.spec.experiment import Experiment
from engine.spec.table import Table
from engine.spec.training import Train
from engine.spec.vectors import Embedding

IDENTITY_VERSION = 1
"""Part of every identity: raise it when the meaning of a stored specification changes."""


def identity(experiment: Experiment) -> dict[str, Any]:
    """What the run computes, seed included: fields that only affect execution, names of presets and
    settings that this configuration never reads (the graph of a plain PCA, the vectors of an ID
    table) are left out, so that equal computations have equal identities."""
    e = experiment.model_dump(mode="json", by_alias=True, exclude={"method", "ablation", "execution", "note"})
    e["version"] = IDENTITY_VERSION
    del e["data"]["path"], e["evaluate"]["curvature"]  # what is measured beside changes no number of the run
    if experiment.data.name != "demo":
        del e["data"]["demo"]
    if experiment.data.split != "temporal":
        del e["data"]["valid_share"], e["data"]["test_share"]
    if experiment.uses_embedding:
        del e["embedding"]["path"]
        if experiment.table.inject not in ("sum", "split") and not experiment.uses_id_table:
            del e["table"]["id_sd"]
        _drop_unread_steps(e["embedding"], experiment.embedding)
        if not experiment.embedding.uses_graph:
            del e["embedding"]["lambda"], e["embedding"]["graph"]
        else:
            _drop_unread(e["embedding"]["graph"])
            if experiment.embedding.graph.kind == "empty":
                del e["embedding"]["lambda"]
    else:
        del e["embedding"]
    _drop_defaults(e["table"], experiment.table)
    _drop_unread_of_loss(e["train"], experiment.train)
    if experiment.train.patience is None:
        del e["train"]["min_steps"]
    if experiment.train.optimizer != "sgd":
        del e["train"]["momentum"]
    return e


def _drop_defaults(e: dict[str, Any], table: Table) -> None:
    """Settings of the table that change nothing as they are."""
    read = {
        "id_dims": table.inject == "split",
        "freeze_epochs": table.freeze_epochs > 0,
        "tau_trained": table.tau_trained,
        "bias": table.bias != "none",
    }
    for name, is_read in read.items():
        if not is_read:
            del e[name]


def _drop_unread_of_loss(e: dict[str, Any], train: Train) -> None:
    """What the loss does not read; the full softmax, which was once the only loss, leaves no trace."""
    e["negatives"] = train.n_negatives
    read = {
        "loss": train.loss != "ce",
        "negatives": train.loss != "ce",
        "log_q": train.log_q,
        "offset": train.offset,
        "gbce_t": train.loss == "gbce",
    }
    for name, is_read in read.items():
        if not is_read:
            del e[name]


def _drop_unread_steps(e: dict[str, Any], embedding: Embedding) -> None:
    """Steps that this way from X to Z does not take, and settings of steps that it does not take."""
    read = {
        "popular_share": embedding.reduce == "variance",
        "ae_steps": embedding.reduce == "autoencoder",
        "basis": embedding.basis != "own",
        "post": embedding.post != "none",
        "epsilon": embedding.post not in ("none", "ace"),
        "groups": embedding.post == "group-whiten",
        "shrinkage": embedding.post == "ace",
        "scale": embedding.scale is not None,
        "control": embedding.control != "none",
        "norm_sd": embedding.control == "lognormal-norms",
        "clusters": embedding.control == "cluster-permuted",
        "seed": embedding.is_random,
    }
    for name, is_read in read.items():
        if not is_read:
            del e[name]


def _drop_unread(graph: dict[str, Any]) -> None:
    """Settings that a graph of this kind never reads."""
    kind = graph["kind"]
    all_users = graph["users"] == 1
    if kind != "content":
        del graph["neighbours"]
    if kind in ("content", "empty") or (kind == "co-occurrence" and all_users):
        del graph["seed"]
    if kind in ("content", "empty") or all_users:
        del graph["users"]
    if kind in ("content", "empty"):
        del graph["window"], graph["top_k"], graph["weight"]
    if kind == "empty":
        del graph["laplacian"]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def spec_hash(experiment: Experiment) -> str:
    """Identity of one run, seed included: what "exists already" means."""
    return _digest(identity(experiment))


def config_hash(experiment: Experiment) -> str:
    """Identity without the seed: what a leaderboard row is."""
    e = identity(experiment)
    del e["seed"]
    return _digest(e)


def data_hash(data: Data) -> str:
    """Identity of a prepared and split data set: content and preprocessing, no paths."""
    return _digest(identity(Experiment(data=data))["data"])


def file_fingerprint(paths: Iterable[Path]) -> str:
    """Hash of the files' content (names and places do not count), 16 hex digits."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
