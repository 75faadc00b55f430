"""Specifications as earlier versions wrote them, turned into the present form.

Version 1 was one flat part a step, with the settings of all kinds beside one another and defaults for those that were
not read. What it did not read is left out. A document that lacks a setting was written before there was one, and has
the default of version 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMAT = 3
"""The version that stored specifications carry; documents without one are of version 1."""

MOVED: dict[str, tuple[str, ...]] = {
    "data.name": ("data.source.name",),
    "data.path": ("data.source.path",),
    "data.fingerprint": ("data.source.fingerprint",),
    "data.valid_share": ("data.split.valid_share",),
    "data.test_share": ("data.split.test_share",),
    "data.demo.version": ("data.source.version",),
    "data.demo.seed": ("data.source.seed",),
    "data.demo.users": ("data.source.users",),
    "data.demo.items": ("data.source.items",),
    "data.demo.communities": ("data.source.communities",),
    "data.demo.dim": ("data.source.dim",),
    "data.demo.norm_sd": ("data.source.norm_sd",),
    "data.demo.misalignment": ("data.source.misalignment",),
    "embedding.lambda": ("embedding.reduce.lambda",),
    "embedding.popular_share": ("embedding.reduce.popular_share",),
    "embedding.ae_steps": ("embedding.reduce.steps",),
    "embedding.epsilon": ("embedding.post.epsilon",),
    "embedding.groups": ("embedding.post.groups",),
    "embedding.shrinkage": ("embedding.post.shrinkage",),
    "embedding.norm_sd": ("embedding.control.norm_sd",),
    "embedding.clusters": ("embedding.control.clusters",),
    "embedding.seed": ("embedding.reduce.seed", "embedding.basis.seed", "embedding.control.seed"),
    "embedding.graph.kind": ("embedding.reduce.graph",),
    "embedding.graph.window": ("embedding.reduce.graph.window",),
    "embedding.graph.top_k": ("embedding.reduce.graph.top_k",),
    "embedding.graph.weight": ("embedding.reduce.graph.weight",),
    "embedding.graph.laplacian": ("embedding.reduce.graph.laplacian",),
    "embedding.graph.users": ("embedding.reduce.graph.users.share",),
    "embedding.graph.neighbours": ("embedding.reduce.graph.neighbours",),
    "embedding.graph.seed": ("embedding.reduce.graph.seed", "embedding.reduce.graph.users.seed"),
    "table.id_sd": ("table.init.id_sd", "table.inject.id_sd", "embedding.control.id_sd"),
    "table.id_dims": ("table.inject.id_dims",),
    "table.freeze_epochs": ("table.inject.freeze_epochs",),
    "train.negatives": ("train.loss.negatives",),
    "train.log_q": ("train.loss.log_q",),
    "train.gbce_t": ("train.loss.t",),
    "train.offset": ("train.loss.offset",),
    "train.momentum": ("train.optimizer.momentum",),
    "train.windows": ("backbone.windows",),
    "train.patience": ("train.until.patience",),
    "train.min_steps": ("train.until.min_steps",),
}
"""Names of settings in version 1 and what they are now; those that are not here have kept their names."""

_DATA: dict[str, Any] = {
    "name": "demo",
    "path": None,
    "fingerprint": "",
    "k_core": 0,
    "rating_min": None,
    "repeats": "keep",
}
_DATA |= {"cold_items": "exclude", "split": "leave-one-out", "valid_share": 0.1, "test_share": 0.1}
_DEMO: dict[str, Any] = {"version": 1, "seed": 0, "users": 600, "items": 400, "communities": 16, "dim": 128}
_DEMO |= {"norm_sd": 0.6, "misalignment": 0.7}
_EMBEDDING: dict[str, Any] = {"source": "demo", "path": None, "fingerprint": "", "center": True, "pre_normalize": True}
_EMBEDDING |= {"reduce": "rec-pca", "lambda": 1.0, "popular_share": 1.0, "ae_steps": 1000, "basis": "own"}
_EMBEDDING |= {"post": "none", "epsilon": 1e-6, "groups": 8, "shrinkage": 100.0, "scale": None}
_EMBEDDING |= {"control": "none", "norm_sd": 1.0, "clusters": 20, "seed": 0}
_GRAPH: dict[str, Any] = {
    "kind": "co-occurrence",
    "window": 3,
    "top_k": None,
    "weight": "count",
    "laplacian": "normalized",
}
_GRAPH |= {"users": 1.0, "neighbours": 10, "seed": 0}
_TABLE: dict[str, Any] = {
    "init": "embedding",
    "id_sd": 0.02,
    "inject": "initialise",
    "id_dims": None,
    "freeze_epochs": 0,
}
_TABLE |= {"normalize": "both", "rescale": False, "normalize_h": False, "tau": 1.0, "tau_trained": False}
_TABLE |= {"bias": "none"}
_TRAIN: dict[str, Any] = {
    "loss": "ce",
    "negatives": None,
    "log_q": False,
    "gbce_t": 0.75,
    "offset": False,
    "epochs": 40,
}
_TRAIN |= {"batch_size": 128, "optimizer": "adam", "momentum": 0.0, "lr": 1e-3, "weight_decay": 0.0}
_TRAIN |= {"windows": "random", "patience": None, "min_steps": 1000, "probe": 2048}

_SAMPLED_REDUCTIONS = ("random-subset", "gaussian", "orthogonal", "autoencoder")
_NEGATIVES = {"sampled-ce": 256, "bce": 1, "gbce": 256}


def upgrade(document: Mapping[str, Any]) -> dict[str, Any]:
    """The specification in the present form, whatever version wrote it; without the version."""
    present = {name: value for name, value in document.items() if name != "version"}
    version = document.get("version", 1)
    if version == 1:
        present = _from_1(present)
    return _from_2(present) if version < FORMAT else present


def _from_2(old: Mapping[str, Any]) -> dict[str, Any]:
    """The length of an ID table's rows is that of its id_sd, then as now. Positions of the training probe were drawn
    one by one."""
    table = old.get("table", {})
    plain = table.get("init", {}).get("kind") == "id" and not table.get("rescale")
    length = "id" if plain else "as-it-comes"
    train = {"probe_run": 1, **old.get("train", {})}
    return {**old, "table": {"row_length": length, **table}, "train": train}


def _from_1(old: Mapping[str, Any]) -> dict[str, Any]:
    table = {**_TABLE, **old.get("table", {})}
    train = {**_TRAIN, **old.get("train", {})}
    embedding = None
    if table["init"] == "embedding":
        embedding = _embedding(old.get("embedding", {}), table["id_sd"])
    return {
        **old,
        "data": _data(old.get("data", {})),
        "embedding": embedding,
        "table": _table(table),
        "backbone": {"name": "sasrec", **old.get("backbone", {}), "windows": train["windows"]},
        "train": _train(train),
    }


def _data(given: Mapping[str, Any]) -> dict[str, Any]:
    old = {**_DATA, **given}
    source = {"kind": "demo", **_DEMO, **old.get("demo", {})}
    if old["name"] != "demo":
        source = {"kind": "files", **_some(old, "name", "path", "fingerprint")}
    split = _some(old, "valid_share", "test_share") if old["split"] == "temporal" else {}
    converted = _some(old, "k_core", "rating_min", "repeats", "cold_items")
    return {"source": source, **converted, "split": {"kind": old["split"], **split}}


def _embedding(given: Mapping[str, Any], id_sd: float) -> dict[str, Any]:
    old = {**_EMBEDDING, **given}
    return {
        **_some(old, "source", "path", "fingerprint", "center", "pre_normalize", "scale"),
        "reduce": {"kind": old["reduce"], **_reduction(old)},
        "basis": {"kind": old["basis"], **(_some(old, "seed") if old["basis"] == "random" else {})},
        "post": {"kind": old["post"], **_post(old)},
        "control": {"kind": old["control"], **_control(old, id_sd)},
    }


def _reduction(old: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if old["reduce"] in _SAMPLED_REDUCTIONS:
        settings["seed"] = old["seed"]
    if old["reduce"] == "autoencoder":
        settings["steps"] = old["ae_steps"]
    if old["reduce"] == "variance":
        settings["popular_share"] = old["popular_share"]
    if old["reduce"] in ("rec-pca", "graph-pca"):
        settings |= {"lambda": old["lambda"], "graph": _graph(old.get("graph", {}))}
    return settings


def _graph(given: Mapping[str, Any]) -> dict[str, Any]:
    old = {**_GRAPH, **given}
    kind = old["kind"]
    if kind == "empty":
        return {"kind": kind}
    if kind == "content":
        return _some(old, "kind", "neighbours", "laplacian")
    users: dict[str, Any] = {"kind": "all"}
    if old["users"] != 1:
        users = {"kind": "sample", "share": old["users"], "seed": old["seed"]}
    drawn = {} if kind == "co-occurrence" else {"seed": old["seed"]}
    return {**_some(old, "kind", "window", "top_k", "weight", "laplacian"), "users": users, **drawn}


def _post(old: Mapping[str, Any]) -> dict[str, Any]:
    if old["post"] == "ace":
        return {"shrinkage": old["shrinkage"]}
    groups = {"groups": old["groups"]} if old["post"] == "group-whiten" else {}
    return {} if old["post"] == "none" else {"epsilon": old["epsilon"], **groups}


def _control(old: Mapping[str, Any], id_sd: float) -> dict[str, Any]:
    kind = old["control"]
    if kind in ("id-norms", "id-directions"):
        return {"id_sd": id_sd}
    own = {"lognormal-norms": "norm_sd", "cluster-permuted": "clusters"}
    settings = {own[kind]: old[own[kind]]} if kind in own else {}
    return settings if kind in ("none", "unit-norms") else {**settings, "seed": old["seed"]}


def _table(old: Mapping[str, Any]) -> dict[str, Any]:
    init, inject = {"kind": old["init"]}, {"kind": old["inject"]}
    if old["init"] != "embedding":
        init["id_sd"] = old["id_sd"]
    if old["inject"] == "initialise":
        inject["freeze_epochs"] = old["freeze_epochs"]
    if old["inject"] in ("sum", "split"):
        inject["id_sd"] = old["id_sd"]
    if old["inject"] == "split":
        inject["id_dims"] = old["id_dims"]
    converted = _some(old, "normalize", "rescale", "normalize_h", "tau", "tau_trained")
    return {"init": init, "inject": inject, **converted, "bias": {"kind": old["bias"]}}


def _train(old: Mapping[str, Any]) -> dict[str, Any]:
    loss: dict[str, Any] = {"kind": old["loss"]}
    if old["loss"] in _NEGATIVES:
        given = old["negatives"]
        loss["negatives"] = _NEGATIVES[old["loss"]] if given is None else given
    if old["loss"] == "sampled-ce":
        loss["log_q"] = old["log_q"]
    if old["loss"] in ("bce", "gbce"):
        loss["offset"] = old["offset"]
    if old["loss"] == "gbce":
        loss["t"] = old["gbce_t"]
    momentum = _some(old, "momentum") if old["optimizer"] == "sgd" else {}
    until: dict[str, Any] = {"kind": "budget"}
    if old["patience"] is not None:
        until = {"kind": "patience", **_some(old, "patience", "min_steps")}
    converted = _some(old, "epochs", "batch_size", "lr", "weight_decay", "probe")
    return {"loss": loss, "optimizer": {"kind": old["optimizer"], **momentum}, "until": until, **converted}


def _some(old: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: old[name] for name in names}


# ------------------------------------------------------------------------------------ settings by name


def upgraded_settings(old: Mapping[str, Any], values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings of version 1 by their present names. `values` are all settings of the specification that they were set
    in, upgraded, by dotted name: what it does not have was never read and is left out. Without a specification each
    name leads to its first place."""
    present: dict[str, Any] = {}
    for name, value in old.items():
        for new, now in _places(name, value):
            if values is None:
                present[new] = now
            elif new in values:
                present[new] = values[new]
            if values is None and name in MOVED:
                break
    return present


def _places(name: str, value: Any) -> list[tuple[str, Any]]:
    """Where a setting may stand now, with its value."""
    if name == "train.patience":
        if value is None:
            return [("train.until", "budget")]
        return [("train.until", "patience"), ("train.until.patience", value)]
    if name == "embedding.graph.users":
        users = "all" if value == 1 else "sample"
        return [("embedding.reduce.graph.users", users), ("embedding.reduce.graph.users.share", value)]
    return [(new, value) for new in MOVED.get(name, (name,))]
