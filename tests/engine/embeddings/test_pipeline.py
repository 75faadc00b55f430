"""The pipeline: what the graph may see, what each step does, and the cache."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine import spec
from engine.data import Dataset, Split, load_dataset, split_dataset
from engine.embeddings import pipeline
from engine.embeddings import rows as blocks
from engine.embeddings.graph.cooccurrence import cooccurrence
from engine.embeddings.reduce import reductions
from engine.presets import list_presets, resolve
from tests.engine.parts import embedding_of, files_at

EXPERIMENT = spec.Experiment(
    data=spec.Data(source=spec.Demo(users=80, items=60, communities=4, dim=24)),
    backbone=spec.SASRec(width=8),
    embedding=embedding_of(lambda_=0.5),
)


@pytest.fixture(scope="module")
def demo() -> tuple[Dataset, Split]:
    dataset = load_dataset(EXPERIMENT.data)
    return dataset, split_dataset(dataset, EXPERIMENT.data)


@pytest.mark.parametrize("window", [None, 1, 3])
def test_held_out_items_add_no_edge(window: int | None, tmp_path: Path) -> None:
    """Plants a valid and a test item that occur in no training history: a leak would connect them."""
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "planted.item").write_text("item_id:token\n" + "".join(f"{i}\n" for i in "abcdyz"))
    lines = [f"{u}\t{i}\t{n}\n" for u in "uvwx" for n, i in enumerate("abcdyz")]
    (folder / "planted.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(lines))
    data = files_at("planted", folder)
    dataset = load_dataset(data)
    split = split_dataset(dataset, data)
    y, z = dataset.item_ids.index("y"), dataset.item_ids.index("z")
    assert set(split.valid.tolist()) == {y}
    assert set(split.test.tolist()) == {z}
    degree = cooccurrence(split.train, 6, spec.CoOccurrence(window=window)).sum(axis=1)
    assert degree[[y, z]].tolist() == [0, 0]
    assert (np.delete(degree, [y, z]) > 0).all()


def table(demo: tuple[Dataset, Split], **embedding: object) -> npt.NDArray[np.float32]:
    changed = embedding_of(**{"lambda_": 0.5, **embedding})
    return pipeline.item_vectors(EXPERIMENT.model_copy(update={"embedding": changed}), *demo)[0]


def test_each_step_does_what_it_says(demo: tuple[Dataset, Split]) -> None:
    x = pipeline.source_vectors(EXPERIMENT.vectors, demo[0]).array().astype(np.float64)
    centred = x - x.mean(0)
    raw = table(demo, center=False, pre_normalize=False, reduce="pca")
    np.testing.assert_allclose(raw @ raw.T, best_gram(x), atol=1e-3)
    plain = table(demo, pre_normalize=False, reduce="pca")
    np.testing.assert_allclose(plain @ plain.T, best_gram(centred), atol=1e-3)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(table(demo, reduce="pca") @ table(demo, reduce="pca").T, best_gram(unit), atol=1e-5)
    np.testing.assert_array_equal(table(demo, lambda_=0.0), table(demo, reduce="pca"))
    assert np.abs(table(demo) - table(demo, reduce="pca")).max() > 1e-3


def best_gram(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Z Z^T of a PCA to 8 dimensions without centring, through the SVD."""
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    best: npt.NDArray[np.float64] = (u[:, :8] * s[:8] ** 2) @ u[:, :8].T
    return best


def test_too_large_a_lambda_warns(demo: tuple[Dataset, Split]) -> None:
    extreme = EXPERIMENT.model_copy(update={"embedding": embedding_of(lambda_=100)})
    diagnostics = pipeline.item_vectors(extreme, *demo).diagnostics
    assert diagnostics["positive_eigenvalues"] < 8
    assert "embedding.reduce.lambda=100 is too large" in diagnostics["warnings"][0]


def test_vectors_without_a_direction_warn(demo: tuple[Dataset, Split]) -> None:
    dataset, split = demo
    assert dataset.vectors is not None
    vectors = dataset.vectors.copy()
    vectors[[3, 5]] = 0
    diagnostics = pipeline.item_vectors(EXPERIMENT, replace(dataset, vectors=vectors), split).diagnostics
    assert diagnostics["warnings"] == ["2 of 60 items' vectors are all zeros, which have no direction"]


def test_a_large_catalogue_gives_the_same_table_and_diagnostics(
    demo: tuple[Dataset, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Block by block in float32, as far as float32 goes."""
    exact = pipeline.item_vectors(EXPERIMENT, *demo)
    monkeypatch.setattr(reductions, "EXACT", 0)
    monkeypatch.setattr(blocks, "BLOCK", 100)
    changed = EXPERIMENT.model_copy(update={"embedding": embedding_of(lambda_=0.5, graph="content", neighbours=4)})
    assert pipeline.item_vectors(changed, *demo).diagnostics["edges"] >= 60 * 4 / 2
    large = pipeline.item_vectors(EXPERIMENT, *demo)
    np.testing.assert_allclose(large.z, exact.z, atol=1e-4)
    np.testing.assert_allclose(
        large.map.apply(pipeline.source_vectors(EXPERIMENT.vectors, demo[0]).array()), large.z, atol=1e-5
    )
    for name, value in exact.diagnostics.items():
        if isinstance(value, float):
            assert large.diagnostics[name] == pytest.approx(value, rel=1e-3), name
    assert large.diagnostics["positive_eigenvalues"] == exact.diagnostics["positive_eigenvalues"]


def test_diagnostics_tell_what_rec_pca_gives_up_before_training(demo: tuple[Dataset, Split], tmp_path: Path) -> None:
    made = pipeline.item_vectors(EXPERIMENT, *demo, tmp_path)
    told = made.diagnostics["trade_off"]
    assert told["variance"] / told["pca_variance"] <= 1
    assert 0 <= told["variance_lost"] <= told["most_lost"]
    assert told["variation"] / told["variance"] == pytest.approx(made.diagnostics["tv_ratio"])
    assert told["suggested_lambda"] in [point["lambda"] for point in told["sweep"]]
    assert json.loads(json.dumps(made.diagnostics, allow_nan=False)) == made.diagnostics
    plain = EXPERIMENT.model_copy(update={"embedding": embedding_of(reduce="pca")})
    assert "trade_off" not in pipeline.item_vectors(plain, *demo).diagnostics


def test_cache_returns_the_same_and_knows_different_content(
    demo: tuple[Dataset, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pipeline.item_vectors(EXPERIMENT, *demo, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    moved = EXPERIMENT.model_copy(update={"seed": 5, "note": "another run"})
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_compute", lambda *_: pytest.fail("computed again"))
        again = pipeline.item_vectors(moved, *demo, tmp_path)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    wider = EXPERIMENT.model_copy(update={"backbone": spec.SASRec(width=4)})
    assert pipeline.item_vectors(wider, *demo, tmp_path)[0].shape == (60, 4)
    for file in tmp_path.iterdir():
        file.write_bytes(b"damaged")
    np.testing.assert_array_equal(pipeline.item_vectors(EXPERIMENT, *demo, tmp_path)[0], first[0])


@pytest.fixture(scope="module")
def full_size() -> tuple[Dataset, Split]:
    data = resolve().experiment.data
    dataset = load_dataset(data)
    return dataset, split_dataset(dataset, data)


def test_every_preset_gives_a_table_that_its_map_explains(full_size: tuple[Dataset, Split], tmp_path: Path) -> None:
    methods: list[tuple[str, str | None]] = [("llm-init", None), ("llm-pca", None), ("ace", None)]
    ablations = [("tf-llmer", p.name) for p in list_presets("ablation") if "tf-llmer" in p.methods]
    id_table = np.random.default_rng(0).standard_normal((len(full_size[0].item_ids), 64)).astype(np.float32)
    for arm in [*methods, *ablations]:
        method, ablation = arm
        sets = ["embedding.reduce.steps=20"] if ablation == "autoencoder" else []
        experiment = resolve(method=method, ablation=ablation, sets=sets).experiment
        if not experiment.reads_vectors:
            continue
        embedding = experiment.vectors
        made = pipeline.item_vectors(experiment, *full_size, tmp_path, id_table)
        assert made.z.shape[0] == len(full_size[0].item_ids), arm
        assert np.isfinite(made.z).all(), arm
        if embedding.control.kind == "none" and embedding.reduce.kind != "graph-pca":
            x = pipeline.source_vectors(embedding, full_size[0]).array()
            np.testing.assert_allclose(made.map.apply(x), made.z, atol=1e-4, err_msg=str(arm))
        again = pipeline.item_vectors(experiment, *full_size, tmp_path, id_table)
        np.testing.assert_array_equal(again.z, made.z)
        np.testing.assert_array_equal(again.map.w, made.map.w)
        if embedding.post.kind in ("whiten", "zca", "cholesky"):
            assert made.diagnostics["table_kappa"] == pytest.approx(1.0, abs=1e-2), arm


def test_condition_numbers_are_those_of_the_curvature_at_uniform_p(demo: tuple[Dataset, Split]) -> None:
    made = pipeline.item_vectors(EXPERIMENT, *demo)
    z = made.z.astype(np.float64)
    p = np.full(len(z), 1 / len(z))
    for rows, name in ((z, "table_kappa"), (z / np.linalg.norm(z, axis=1)[:, None], "table_kappa_unit_rows")):
        values = np.linalg.eigvalsh(rows.T @ (np.diag(p) - np.outer(p, p)) @ rows)
        assert made.diagnostics[name] == pytest.approx(values[-1] / values[0], rel=1e-4)
    rotated, permuted = (
        pipeline.item_vectors(EXPERIMENT.model_copy(update={"embedding": changed}), *demo).diagnostics
        for changed in (embedding_of(lambda_=0.5, control=control) for control in ("rotation", "permuted-items"))
    )
    for other in (rotated, permuted):
        assert other["table_kappa"] == pytest.approx(made.diagnostics["table_kappa"])
        assert other["table_kappa_unit_rows"] == pytest.approx(made.diagnostics["table_kappa_unit_rows"])


def test_variance_picks_look_at_training_counts_only(demo: tuple[Dataset, Split]) -> None:
    dataset, split = demo
    z = table(demo, reduce="variance", popular_share=0.1)
    counts = [sum(int((split.train[u] == i).sum()) for u in range(len(split.train))) for i in range(60)]
    popular = sorted(range(60), key=lambda i: -counts[i])[:6]
    x = pipeline.source_vectors(EXPERIMENT.vectors, dataset).array().astype(np.float64)
    rows = (x - x.mean(0)) / np.linalg.norm(x - x.mean(0), axis=1)[:, None]
    picked = np.sort(np.argsort(-rows[popular].var(0))[:8])
    np.testing.assert_allclose(z, rows[:, picked], atol=1e-6)
