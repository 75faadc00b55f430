"""The whole diagnosis, and the acceptance of the two dials of `demo`: each moves its own diagnostic alone."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import spec
from engine.data import load_dataset, split_dataset
from engine.embeddings.graph.cooccurrence import cooccurrence
from engine.embeddings.rows import Vectors
from engine.geometry import report
from engine.geometry.report import Subject, at_start, diagnose
from engine.training.diagnosis import finite

DEMO: dict[str, Any] = {"users": 300, "items": 200, "communities": 8, "dim": 32}


def subject_of(norm_sd: float, misalignment: float, k: int = 16) -> Subject:
    data = spec.Data(source=spec.Demo(**DEMO, norm_sd=norm_sd, misalignment=misalignment))
    dataset = load_dataset(data)
    split = split_dataset(dataset, data)
    assert dataset.vectors is not None
    x = dataset.vectors
    graph = spec.CoOccurrence()
    return Subject(
        table=x[:, :k],
        unit=True,
        popularity=np.bincount(split.train.items, minlength=len(x)),
        graph=cooccurrence(split.train, len(x), graph),
        ppmi=lambda: cooccurrence(split.train, len(x), graph.model_copy(update={"weight": "ppmi"})),
        source=Vectors.of(x),
    )


@pytest.fixture(autouse=True)
def few_nulls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "NULLS", 4)
    monkeypatch.setattr(report, "CLUSTERS", (8, 20))


def dials(norm_sd: float, misalignment: float) -> dict[str, float]:
    """What a person reads off the dials: disparity of the centred vectors, misalignment, and how neighbours point."""
    found = diagnose(subject_of(norm_sd, misalignment))
    centred = found["tables"]["x_centred"]
    return {
        "cv": centred["norms"]["cv"],
        "misaligned": found["misalignment"]["x_centred"][0]["1-ami"],
        "auc": centred["edge_auc"]["auc"],
    }


def test_each_dial_of_demo_moves_its_own_diagnostic_and_leaves_the_others() -> None:
    at = {(sd, m): dials(sd, m) for sd in (0.0, 0.6, 1.2) for m in (0.0, 0.5, 1.0)}
    for m in (0.0, 0.5, 1.0):
        cv = [at[sd, m]["cv"] for sd in (0.0, 0.6, 1.2)]
        expected = [np.sqrt(np.expm1(sd**2)) for sd in (0.0, 0.6, 1.2)]  # of a log-normal norm
        np.testing.assert_allclose(cv, expected, rtol=0.25, atol=1e-5)
        for name in ("misaligned", "auc"):  # the first dial leaves the second's diagnostics where they were
            assert np.ptp([at[sd, m][name] for sd in (0.0, 0.6, 1.2)]) < 0.1
    for sd in (0.0, 0.6, 1.2):
        values = [at[sd, m] for m in (0.0, 0.5, 1.0)]
        assert values[0]["misaligned"] + 0.25 < values[1]["misaligned"] < values[2]["misaligned"] - 0.1
        assert values[0]["auc"] > values[1]["auc"] + 0.05
        assert values[1]["auc"] > values[2]["auc"]
        assert np.ptp([value["cv"] for value in values]) < 1e-6  # the second dial leaves the first's


def test_the_whole_is_json_and_names_before_and_after() -> None:
    subject = subject_of(0.6, 0.3)
    heard: list[float] = []
    found = finite(diagnose(subject, lambda text, done: heard.append(done)))
    assert heard == sorted(heard)
    told: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    assert (told["before"], told["after"]) == ("pca", "arm_unit")
    assert list(told["tables"]) == ["x", "x_centred", "pca", "arm", "arm_unit"]
    assert told["tables"]["x"]["curvature"]["kappa"] == pytest.approx(told["tables"]["x_centred"]["curvature"]["kappa"])
    assert told["tables"]["arm_unit"]["norms"]["max_min"] == pytest.approx(1.0)
    assert told["tables"]["pca"]["tv"]["nulls"] == 4
    assert subject.source is not None
    x = subject.source.array()
    singular = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)[:16]
    assert told["tables"]["pca"]["curvature"]["kappa"] == pytest.approx((singular[0] / singular[-1]) ** 2, rel=1e-3)
    assert diagnose(subject)["tables"] == found["tables"]  # the same again


def test_vectors_in_a_file_are_read_where_they_are(tmp_path: Path) -> None:
    """float16 in a file, in another order, with rows that are no items: the same as from memory, up to rounding."""
    subject = subject_of(0.6, 0.3)
    assert subject.source is not None
    x = subject.source.array().astype(np.float16)
    place = np.random.default_rng(0).permutation(len(x) + 5)[: len(x)]
    stored = np.full((len(x) + 5, x.shape[1]), np.inf, np.float16)
    stored[place] = x
    np.save(tmp_path / "x.npy", stored)
    mapped = Vectors(np.load(tmp_path / "x.npy", mmap_mode="r"), place)
    assert diagnose(replace(subject, source=mapped)) == diagnose(replace(subject, source=Vectors.of(x)))


def test_an_id_table_and_an_empty_graph_are_diagnosed_as_far_as_they_go() -> None:
    subject = subject_of(0.0, 0.0)
    empty = type(subject.graph)(subject.graph.shape)
    found = finite(diagnose(Subject(subject.table, False, subject.popularity, empty, lambda: empty)))
    assert (found["before"], found["after"]) == (None, "arm")
    assert "tv" not in found["tables"]["arm"]
    assert any("no two items co-occur" in note for note in found["notes"])


def test_at_start_agrees_with_the_whole() -> None:
    subject = subject_of(0.6, 0.3)
    small = at_start(subject.table, subject.popularity, subject.graph, unit=True, tau=0.5)
    whole = diagnose(subject)["tables"]
    assert small["norms"] == whole["arm"]["norms"]
    assert small["curvature"]["kappa"] == pytest.approx(whole["arm_unit"]["curvature"]["kappa"])
    assert small["curvature"]["trace"] == pytest.approx(4 * whole["arm_unit"]["curvature"]["trace"])
    assert small["tv_ratio"] == pytest.approx(whole["arm_unit"]["tv"]["value"])
    assert "tv_ratio" not in at_start(subject.table, subject.popularity, None, unit=True, tau=1.0)


def test_a_graph_too_large_to_rewire_is_compared_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_NULL_EDGES", 10)
    found = diagnose(subject_of(0.0, 0.0))
    assert found["tables"]["pca"]["tv"]["nulls"] is None
    assert found["tables"]["pca"]["tv"]["z"] < -5
    assert found["tables"]["pca"]["fourier"][0]["null_kind"] == "permuted items"
    assert any("closed form" in note for note in found["notes"])
