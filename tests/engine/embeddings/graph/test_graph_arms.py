"""Every kind of graph through the pipeline, and the presets that name them."""

from typing import Any

import numpy as np
import pytest

from engine import spec
from engine.data import load_dataset, split_dataset
from engine.embeddings import pipeline
from engine.presets import resolve
from tests.engine.parts import embedding_of

BASE = spec.Experiment(
    data=spec.Data(source=spec.Demo(users=80, items=60, communities=4, dim=24)),
    backbone=spec.SASRec(width=8),
    embedding=embedding_of(lambda_=0.5),
)
KINDS = ["co-occurrence", "rewired", "erdos-renyi", "permuted", "popularity", "content", "empty"]
PRESETS: dict[str, dict[str, Any]] = {
    "random-graph": {"kind": spec.Rewired},
    "erdos-renyi-graph": {"kind": spec.ErdosRenyi},
    "permuted-graph": {"kind": spec.Permuted},
    "popularity-graph": {"kind": spec.PopularityGraph},
    "content-graph": {"kind": spec.ContentGraph},
    "empty-graph": {"kind": spec.EmptyGraph},
    "window-1": {"window": 1},
    "window-10": {"window": 10},
    "whole-history": {"window": None},
    "top-k-20": {"top_k": 20},
    "binary-graph": {"weight": "binary"},
    "ppmi-graph": {"weight": "ppmi"},
    "tenth-of-users": {"users": spec.SampledUsers(share=0.1)},
    "quarter-of-users": {"users": spec.SampledUsers(share=0.25)},
    "half-of-users": {"users": spec.SampledUsers(share=0.5)},
}


def of(kind: str = "co-occurrence", **words: Any) -> spec.Experiment:
    return BASE.model_copy(update={"embedding": embedding_of(lambda_=0.5, graph=kind, **words)})


def test_the_pipeline_takes_every_kind_and_every_laplacian() -> None:
    dataset = load_dataset(BASE.data)
    split = split_dataset(dataset, BASE.data)
    made = {kind: pipeline.item_vectors(of(kind=kind), dataset, split) for kind in KINDS}
    tables = [z.tobytes() for z, *_ in made.values()]
    assert len(set(tables)) == len(KINDS)
    edges = {kind: found[1]["edges"] for kind, found in made.items()}
    assert edges["empty"] == 0
    assert edges["co-occurrence"] == edges["rewired"] == edges["erdos-renyi"] == edges["permuted"] > 0
    plain = BASE.model_copy(update={"embedding": embedding_of(reduce="pca")})
    np.testing.assert_array_equal(made["empty"][0], pipeline.item_vectors(plain, dataset, split)[0])
    for laplacian in ("combinatorial", "random-walk"):
        z = pipeline.item_vectors(of(laplacian=laplacian), dataset, split)[0]
        assert np.abs(z - made["co-occurrence"][0]).max() > 1e-4
    reseeded = pipeline.item_vectors(of(kind="rewired", seed=1), dataset, split)[0]
    assert np.abs(reseeded - made["rewired"][0]).max() > 1e-4


@pytest.mark.parametrize("name", PRESETS)
def test_a_graph_preset_changes_only_its_graph(name: str) -> None:
    full, arm = (resolve(ablation=a).experiment for a in ("full", name))
    reduce = full.vectors.reduce
    assert isinstance(reduce, spec.RecPCA)
    graph = PRESETS[name].get("kind", type(reduce.graph))(**{k: v for k, v in PRESETS[name].items() if k != "kind"})
    changed = full.vectors.model_copy(update={"reduce": reduce.model_copy(update={"graph": graph})})
    assert arm == full.model_copy(update={"ablation": name, "embedding": changed})
    assert spec.config_hash(arm) != spec.config_hash(full)


def test_identity_knows_the_seed_where_something_is_drawn_and_no_lambda_over_an_empty_graph() -> None:
    one, other = (spec.CoOccurrence(users=spec.SampledUsers(seed=seed)).identity() for seed in (1, 2))
    assert one != other
    assert spec.RecPCA(graph=spec.Rewired(seed=1)).identity() != spec.RecPCA(graph=spec.Rewired(seed=2)).identity()
    empty = [spec.RecPCA(lambda_=weight, graph=spec.EmptyGraph()).identity() for weight in (0.5, 3.0)]
    assert empty[0] == empty[1]
