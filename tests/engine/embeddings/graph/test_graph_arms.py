"""Every kind of graph through the pipeline, and the presets that name them."""

from typing import Any

import numpy as np
import pytest

from engine import spec
from engine.data import load_dataset, split_dataset
from engine.embeddings import pipeline
from engine.presets import resolve

BASE = spec.Experiment(
    data=spec.Data(demo=spec.Demo(users=80, items=60, communities=4, dim=24)),
    backbone=spec.SASRec(width=8),
    embedding=spec.Embedding(lambda_=0.5),
)
KINDS = ["co-occurrence", "rewired", "erdos-renyi", "permuted", "popularity", "content", "empty"]
PRESETS: dict[str, dict[str, Any]] = {
    "random-graph": {"kind": "rewired"},
    "erdos-renyi-graph": {"kind": "erdos-renyi"},
    "permuted-graph": {"kind": "permuted"},
    "popularity-graph": {"kind": "popularity"},
    "content-graph": {"kind": "content"},
    "empty-graph": {"kind": "empty"},
    "window-1": {"window": 1},
    "window-10": {"window": 10},
    "whole-history": {"window": None},
    "top-k-20": {"top_k": 20},
    "binary-graph": {"weight": "binary"},
    "ppmi-graph": {"weight": "ppmi"},
    "tenth-of-users": {"users": 0.1},
    "quarter-of-users": {"users": 0.25},
    "half-of-users": {"users": 0.5},
}


def of(**graph: Any) -> spec.Experiment:
    changed = BASE.embedding.model_copy(update={"graph": spec.Graph.model_validate(graph)})
    return BASE.model_copy(update={"embedding": changed})


def test_the_pipeline_takes_every_kind_and_every_laplacian() -> None:
    dataset = load_dataset(BASE.data)
    split = split_dataset(dataset, BASE.data)
    made = {kind: pipeline.item_vectors(of(kind=kind), dataset, split) for kind in KINDS}
    tables = [z.tobytes() for z, *_ in made.values()]
    assert len(set(tables)) == len(KINDS)
    edges = {kind: found[1]["edges"] for kind, found in made.items()}
    assert edges["empty"] == 0
    assert edges["co-occurrence"] == edges["rewired"] == edges["erdos-renyi"] == edges["permuted"] > 0
    plain = BASE.model_copy(update={"embedding": BASE.embedding.model_copy(update={"reduce": "pca"})})
    np.testing.assert_array_equal(made["empty"][0], pipeline.item_vectors(plain, dataset, split)[0])
    for laplacian in ("combinatorial", "random-walk"):
        z = pipeline.item_vectors(of(laplacian=laplacian), dataset, split)[0]
        assert np.abs(z - made["co-occurrence"][0]).max() > 1e-4
    reseeded = pipeline.item_vectors(of(kind="rewired", seed=1), dataset, split)[0]
    assert np.abs(reseeded - made["rewired"][0]).max() > 1e-4


@pytest.mark.parametrize("name", PRESETS)
def test_a_graph_preset_changes_only_its_graph(name: str) -> None:
    full, arm = (resolve(ablation=a).experiment for a in ("full", name))
    graph = full.embedding.graph.model_copy(update=PRESETS[name])
    expected = full.model_copy(
        update={"ablation": name, "embedding": full.embedding.model_copy(update={"graph": graph})}
    )
    assert arm == expected
    assert spec.config_hash(arm) != spec.config_hash(full)


@pytest.mark.parametrize(
    ("kind", "unread"),
    [
        ("co-occurrence", {"neighbours": 3, "seed": 3}),
        ("rewired", {"neighbours": 3}),
        ("popularity", {"neighbours": 3}),
        ("content", {"seed": 3, "window": 9, "top_k": 4, "weight": "log", "users": 0.5}),
        ("empty", {"seed": 3, "window": 9, "top_k": 4, "weight": "log", "users": 0.5, "laplacian": "combinatorial"}),
    ],
)
def test_identity_leaves_out_what_a_kind_never_reads(kind: str, unread: dict[str, Any]) -> None:
    assert spec.spec_hash(of(kind=kind, **unread)) == spec.spec_hash(of(kind=kind))
    read: dict[str, dict[str, Any]] = {"co-occurrence": {"users": 0.5}, "content": {"neighbours": 3}, "empty": {}}
    if changed := read.get(kind, {"seed": 3}):
        assert spec.spec_hash(of(kind=kind, **changed)) != spec.spec_hash(of(kind=kind))


def test_identity_knows_the_seed_where_users_are_drawn() -> None:
    assert spec.spec_hash(of(users=0.5, seed=1)) != spec.spec_hash(of(users=0.5, seed=2))
    harder = of(kind="empty").model_copy(
        update={"embedding": of(kind="empty").embedding.model_copy(update={"lambda_": 3.0})}
    )
    assert spec.spec_hash(harder) == spec.spec_hash(of(kind="empty"))
