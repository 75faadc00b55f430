"""Curvature while training: at the right steps, the same each time, and without any effect on training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine import spec
from engine.data import Split, load_dataset, split_dataset
from engine.embeddings.pipeline import item_vectors
from engine.models.registry import build
from engine.presets import resolve
from engine.training.curvature import SHARES, CurvatureProbe, probe_cases
from engine.training.diagnosis import Diagnosis, run, start_facts
from tests.engine.training.test_loop import BACKBONES, DATA, DEMO, Notes, comparable, experiment, train


@pytest.fixture(scope="module")
def split() -> Split:
    return split_dataset(load_dataset(DATA), DATA)


def probing(backbone: spec.Backbone, prefixes: int, **settings: Any) -> spec.Experiment:
    e = experiment(backbone, **settings)
    return e.model_copy(update={"evaluate": spec.Evaluate(curvature=prefixes)})


@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda b: b.name)
def test_measuring_changes_no_number_of_the_run(backbone: spec.Backbone, split: Split, tmp_path: Path) -> None:
    with_, without = Notes(), Notes()
    one = train(probing(backbone, 32, epochs=2), split, tmp_path / "a", with_)
    other = train(probing(backbone, 0, epochs=2), split, tmp_path / "b", without)
    assert comparable(one) == comparable(other)
    seen = {key: value for key, value in with_.kept.items() if not key[1].startswith("curvature.")}
    assert seen == without.kept
    for name in ("last", "best", "ranks"):
        a, b = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("a", "b"))
        assert all(torch.equal(a[key], b[key]) for key in a), name
    steps = sorted({step for step, name in with_.kept if name == "curvature.kappa"})
    assert steps[0] == 0
    assert steps[-1] == max(step for step, _ in with_.kept)
    assert len(steps) >= 4
    assert 0 <= with_.kept[0, "curvature.flat_gradient"] <= 1


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 40, 300])
@pytest.mark.parametrize("batches", [1, 2, 9, 100])
def test_each_share_is_due_once(epochs: int, batches: int, split: Split) -> None:
    e = probing(BACKBONES[0], 8, epochs=epochs)
    model = build(e, split.train, DEMO.items)
    probe = CurvatureProbe(e, split, model, Notes())
    due = [(at, b) for at in range(epochs) for b in range(1, batches + 1) if probe.is_due(at, b, batches)]
    done = [(at * batches + b) / (epochs * batches) for at, b in due]
    assert len(due) <= len(SHARES)
    for share in SHARES:
        assert min(abs(d - share) for d in done) <= 1 / (epochs * batches)


def test_the_probe_is_a_fixed_sample_of_validation_prefixes(split: Split) -> None:
    cases = probe_cases(split, 10)
    assert len(cases.users) == 10
    np.testing.assert_array_equal(cases.targets, split.valid[cases.users])
    np.testing.assert_array_equal(probe_cases(split, 10).users, cases.users)
    assert len(probe_cases(split, 10**6).users) == int((split.valid >= 0).sum())


def test_the_start_of_a_run_has_its_geometry(split: Split) -> None:
    e = probing(BACKBONES[0], 8)
    facts = start_facts(e, split, build(e, split.train, DEMO.items))
    assert facts["norms"]["mean"] == pytest.approx(0.02 * 4, rel=0.1)  # sd .02 in 16 columns
    assert facts["tv_ratio"] == pytest.approx(1.0, abs=0.1)
    assert facts["misalignment"] == pytest.approx(1.0, abs=0.2)


def test_the_facts_of_runs_recover_each_dial_of_demo_and_leave_the_other_where_it_was() -> None:
    """Of the arm that trains the vectors as they are, PCA without dropping a dimension and nothing normalised."""
    small = ["users=300", "items=200", "communities=8", "dim=32"]

    def facts(norm_sd: float, misalignment: float) -> dict[str, Any]:
        dials = [*small, f"norm_sd={norm_sd}", f"misalignment={misalignment}"]
        sets = [*(f"data.source.{dial}" for dial in dials), "backbone.width=32", "embedding.pre_normalize=false"]
        e = resolve(ablation="no-both", sets=sets).experiment
        dataset = load_dataset(e.data)
        split = split_dataset(dataset, e.data)
        z = item_vectors(e, dataset, split).z
        return start_facts(e, split, build(e, split.train, len(dataset.item_ids), z))

    sds, shares = (0.0, 0.6, 1.2), (0.0, 0.5, 1.0)
    found = {(sd, share): facts(sd, share) for sd in sds for share in shares}
    for share in shares:
        cv = [found[sd, share]["norms"]["cv"] for sd in sds]
        np.testing.assert_allclose(cv, np.sqrt(np.expm1(np.square(sds))), rtol=0.25, atol=1e-5)  # log-normal norms
        kappa = [found[sd, share]["curvature"]["kappa"] for sd in sds]
        assert kappa == sorted(kappa)
        for name in ("misalignment", "edge_auc"):
            assert np.ptp([found[sd, share][name] for sd in sds]) < 0.05
    for sd in sds:
        misalignment = [found[sd, share]["misalignment"] for share in shares]
        assert misalignment[0] + 0.4 < misalignment[1] < misalignment[2] - 0.1
        assert misalignment[2] == pytest.approx(1.0, abs=0.05)  # chance
        auc = [found[sd, share]["edge_auc"] for share in shares]
        assert auc[0] - 0.05 > auc[1] > auc[2] + 0.02
        for part, name in (("norms", "cv"), ("norms", "p99_p1"), ("curvature", "kappa"), ("angles", "c1")):
            np.testing.assert_allclose(
                [found[sd, share][part][name] for share in shares], found[sd, 0.0][part][name], rtol=1e-3, atol=1e-6
            )


@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda b: b.name)
def test_a_finished_runs_curvature_in_parameter_space(
    backbone: spec.Backbone, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.training.diagnosis.STEPS", (12, 4))
    monkeypatch.setattr("engine.training.diagnosis.PROBES", 3)
    monkeypatch.setattr("engine.training.diagnosis.BATCH", 16)
    monkeypatch.setattr("engine.training.diagnosis._SAMPLES", 2)
    e = probing(backbone, 32, epochs=1)
    notes = Notes()
    train(e, split, tmp_path / "run", notes)
    found = run(Diagnosis(experiment=e, weights=str(tmp_path / "run" / "best.safetensors")), notes)
    space, factor = found["parameter_space"], found["other_factor"]
    bands = found["score_bands"]
    assert [sum(bands[name]["shares"]) for name in ("user_item", "item_graph")] == pytest.approx([1, 1])
    assert space["gauss_newton"]["lambda_1"] > 0
    assert space["gauss_newton"]["lowest_node"] > -1e-8 * space["gauss_newton"]["lambda_1"]
    assert factor["inside"] == pytest.approx(1.0)
    assert factor["dominant"] in ("H", "JJ^T")
