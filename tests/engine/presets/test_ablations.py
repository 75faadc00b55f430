"""Every method and ablation that is shipped: says what it asks, changes something, and trains."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from engine import spec
from engine.data import load_dataset, split_dataset
from engine.embeddings.pipeline import item_vectors
from engine.models.base import TrainingBatch
from engine.models.graph.recommender import GraphRecommender
from engine.models.registry import build
from engine.presets import list_presets, resolve
from engine.spec import config_hash
from engine.training.loop import train_step
from engine.training.losses import criterion
from engine.training.optimizer import make_optimizer
from tests.engine.data.test_windows import batches

ABLATIONS = [preset.name for preset in list_presets("ablation")]
ARMS = [*((None, name) for name in ABLATIONS), *((preset.name, None) for preset in list_presets("method"))]
SMALL = [
    *("data.source.users=40", "data.source.items=40", "data.source.communities=4", "data.source.dim=24"),
    "backbone.width=8",
]


def test_no_two_ablations_are_the_same() -> None:
    hashes = {name: config_hash(resolve(ablation=name).experiment) for name in ABLATIONS}
    assert len(set(hashes.values())) == len(ABLATIONS), hashes


@pytest.mark.parametrize(("method", "ablation"), ARMS)
def test_every_method_and_ablation_asks_a_question_and_trains(method: str | None, ablation: str | None) -> None:
    presets = list_presets("ablation" if ablation else "method")
    assert next(p for p in presets if p.name == (ablation or method)).question.endswith("?")
    experiment = resolve(method=method, ablation=ablation, sets=SMALL).experiment
    if isinstance(experiment.backbone, spec.SASRec):
        backbone = experiment.backbone.model_copy(update={"inner": 8})
        experiment = experiment.model_copy(update={"backbone": backbone})
    settings, loss = experiment.train, experiment.train.loss
    if loss.n_negatives > 16:
        loss = loss.model_copy(update={"negatives": 16})
    dataset = load_dataset(experiment.data)
    split = split_dataset(dataset, experiment.data)
    z = id_table = np.random.default_rng(0).normal(0, 0.1, (len(dataset.item_ids), 8)).astype(np.float32)
    if experiment.reads_vectors:
        z, *_ = item_vectors(experiment, dataset, split, id_table=id_table)
    if isinstance(experiment.backbone, spec.GraphBackbone):
        experiment = experiment.model_copy(
            update={"train": settings.model_copy(update={"batch_size": 64, "loss": loss})}
        )
    model = build(experiment, split.train, len(dataset.item_ids), z)
    optimizer = make_optimizer(model, settings.model_copy(update={"lr": 0.01}))
    each: Sequence[TrainingBatch]
    if isinstance(model, GraphRecommender):
        each = [batch for one in model.batches(0) for batch in one]
    else:
        each = batches(split.train, random_cut=False, negatives=loss.n_negatives, n_items=40, batch_size=16)
    minimised = criterion(loss, 40)
    losses = [float(train_step(model, optimizer, b, minimised)) for _ in range(3) for b in each]
    assert sum(losses[-5:]) < sum(losses[:5])


def test_shipped_presets_name_real_settings(real_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFLLMER_DATA", str(real_data("ml-100k").parent))
    for dataset in list_presets("dataset"):
        assert resolve(dataset=dataset.name).experiment.data.name == dataset.name
