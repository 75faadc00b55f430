"""Linear discriminant analysis against its generalised eigenproblem, and where its classes come from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.linalg import eigh

from engine import spec
from engine.data import load_dataset, split_dataset
from engine.embeddings.classes import item_classes
from engine.embeddings.pipeline import item_vectors
from engine.embeddings.reduce import reductions
from engine.embeddings.reduce.reductions import fit, prepare
from engine.embeddings.rows import Vectors
from engine.errors import UserError
from engine.presets import resolve
from tests.engine.parts import files_at

N, D, CLASSES = 60, 7, 5
DRAW = np.random.default_rng(0)
LABELS = DRAW.integers(0, CLASSES, N)
X = (DRAW.standard_normal((N, D)) + 2 * DRAW.standard_normal((CLASSES, D))[LABELS]).astype(np.float32)
SETTINGS = spec.Embedding(reduce=spec.LDA(), pre_normalize=False)


def table(k: int, x: np.ndarray[Any, Any] = X) -> reductions.FittedTable:
    return fit(prepare(Vectors(x, np.arange(len(x))), SETTINGS), k, SETTINGS, classes=LABELS)


def test_scores_are_those_of_the_generalised_eigenproblem() -> None:
    x = X.astype(np.float64)
    x -= x.mean(0)
    within, between = np.zeros((D, D)), np.zeros((D, D))
    for label in range(CLASSES):
        rows = x[label == LABELS]
        mean = rows.mean(0)
        for row in rows:
            within += np.outer(row - mean, row - mean)
        between += len(rows) * np.outer(mean, mean)
    _, vectors = eigh(between, within / (N - CLASSES))  # v^T S_w v = 1
    expected = x @ vectors[:, ::-1][:, : CLASSES - 1]
    fitted = table(4)
    np.testing.assert_allclose(np.abs(fitted.z), np.abs(expected), atol=1e-8)
    np.testing.assert_allclose(fitted.map.apply(X), fitted.z, atol=1e-9)
    assert (fitted.map.w.sum(axis=0) >= 0).all()


def test_columns_behind_the_directions_of_the_classes_are_zeros() -> None:
    fitted = table(6)
    np.testing.assert_allclose(fitted.z[:, :4], table(4).z)
    assert not fitted.z[:, 4:].any()
    assert fitted.retained == pytest.approx(table(4).retained)
    twice = np.concatenate([X[:, :3], X[:, :3], X[:, 3:4] * 0], axis=1)  # directions without any variance
    assert np.isfinite(table(6, twice).z).all()


def test_a_catalogue_read_in_blocks_has_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = table(4).z
    monkeypatch.setattr(reductions, "EXACT", 0)
    np.testing.assert_allclose(table(4).z, exact, rtol=1e-3, atol=1e-3)


def test_classes_are_what_a_field_says(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text("user_id:token\titem_id:token\nu\ta\nu\tb\nu\tc\n")
    items = ["item_id:token\ttitle:token_seq\tcategories:token_seq"]
    items += ["a\tOne\tNails, Polish", "b\tTwo\tHair, Polish", "c\tThree\tNails, Polish"]
    (tmp_path / "x.item").write_text("\n".join(items) + "\n")
    dataset = load_dataset(files_at("x", tmp_path))
    for settings, expected in (
        ({}, [1, 0, 1]),
        ({"field": "title"}, [0, 2, 1]),
        ({"categories": "first"}, [1, 0, 1]),
    ):
        assert item_classes(dataset, spec.LDA.model_validate(settings)).tolist() == expected
    for settings, message in (
        ({"categories": "last"}, "all items are of one class by field categories"),
        ({"field": "genre"}, r"no field genre for embedding.reduce=lda; .*\(there are: title, categories\)"),
    ):
        with pytest.raises(UserError, match=message):
            item_classes(dataset, spec.LDA.model_validate(settings))


def test_generated_items_have_genres_and_their_table_says_how_many_directions_there_are() -> None:
    small = ["data.source.users=40", "data.source.items=60", "data.source.communities=4", "data.source.dim=16"]
    experiment = resolve(method="llm2x", ablation="lda", sets=[*small, "backbone.width=8"]).experiment
    dataset = load_dataset(experiment.data)
    vectors = item_vectors(experiment, dataset, split_dataset(dataset, experiment.data))
    assert vectors.diagnostics["classes"] == 4
    assert vectors.diagnostics["warnings"][-1] == "4 classes of items have 3 directions; 5 columns are 0"
    np.testing.assert_allclose(np.linalg.norm(vectors.z, axis=1), 1, rtol=1e-6)
