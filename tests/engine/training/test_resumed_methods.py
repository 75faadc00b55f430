"""Methods with parts of their own, stopped and resumed."""

from pathlib import Path

import numpy as np
import pytest

from engine import spec
from engine.data import Split, load_dataset, split_dataset
from engine.data.arrays import FloatArray
from engine.models.registry import build
from engine.presets import list_presets, resolve
from tests.engine.training.test_loop import DATA, DEMO, one_thread, resumed_to_the_bit

__all__ = ["one_thread"]
WIDTH = 8
Z = np.random.default_rng(0).standard_normal((DEMO.items, 12)).astype(np.float32)
REFERENCE = np.random.default_rng(1).standard_normal((DEMO.items, WIDTH)).astype(np.float32)
METHODS = (
    "unisrec",
    "llmemb",
    "whitenrec-plus",
    "dwsrec",
    "llm-esr",
    "whitenrec",
    "alphafuse",
    "spectran-like",
    "said",
)
GRAPH_METHODS = ("alpharec", "rlmrec-con", "rlmrec-gen", "darec")


@pytest.fixture(scope="module")
def split() -> Split:
    return split_dataset(load_dataset(DATA), DATA)


def test_every_way_in_of_a_method_is_stopped_below() -> None:
    """Tables that are merely trained or frozen are those of `test_loop.py`."""
    found = [resolve(method=each.name, backbone=each.usual_backbone or "sasrec") for each in list_presets("method")]
    ways = {one.experiment.method: one.experiment.table.inject.kind for one in found}
    tried = {ways[method] for method in (*METHODS, *GRAPH_METHODS)}
    assert set(ways.values()) - {"initialise", "frozen"} <= tried, ways


def vectors_of(experiment: spec.Experiment, method: str) -> FloatArray:
    reduced = not isinstance(experiment.vectors.reduce, spec.NoReduction)
    return np.concatenate([Z, REFERENCE], axis=1) if method == "llmemb" else Z[:, :WIDTH] if reduced else Z


@pytest.mark.parametrize(
    ("method", "more"),
    [
        *((method, ["backbone.max_length=10"]) for method in METHODS),
        ("id", ["backbone.max_length=10", "train.precision=bf16"]),
        ("alpharec", ["train.loss.negatives=16"]),
        *((method, ["train.lr=0.01"]) for method in GRAPH_METHODS[1:]),
    ],
    ids=str,
)
def test_a_method_that_is_stopped_goes_on_to_the_bit(
    method: str, more: list[str], split: Split, tmp_path: Path
) -> None:
    sets = [
        f"backbone.width={WIDTH}",
        "train.epochs=1",
        f"train.batch_size={256 if method in GRAPH_METHODS else 16}",
        "train.probe=64",
    ]
    found = resolve(method=method, sets=[*sets, *more, "evaluate.curvature=0"]).experiment
    always = spec.Execution(checkpoint_s=1e-9)
    experiment = found.model_copy(update={"data": DATA, "execution": always})
    z = vectors_of(experiment, method) if experiment.embedding is not None else Z
    resumed_to_the_bit(experiment, [1], split, tmp_path, lambda: build(experiment, split.train, DEMO.items, z))
