"""What identity counts: what a run computes and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from engine import spec
from engine.spec import NOT_IDENTITY, Experiment, Neutral, Part, leaves

GOLDEN = Path(__file__).with_name("golden.json")
"""`python -m tests.engine.spec.golden` writes it, after IDENTITY_VERSION was raised."""


def changed(**settings: Any) -> Experiment:
    return Experiment.model_validate(settings)


BASE = Experiment()
SAME: dict[str, Experiment] = {
    "names": changed(method="other", ablation="full", note="hello"),
    "execution": changed(execution={"device": "cpu", "threads": 3, "checkpoint_s": 1}),
    "what is measured beside": changed(evaluate={"curvature": 3}),
    "place of vectors": changed(embedding={"path": "/elsewhere"}),
}
OTHER: dict[str, Experiment] = {
    "lambda": changed(embedding={"reduce": {"kind": "rec-pca", "lambda": 0.1}}),
    "files": changed(data={"source": {"kind": "files", "name": "shop", "fingerprint": "ab"}}),
    "vectors": changed(embedding={"fingerprint": "ab"}),
    "dial": changed(data={"source": {"kind": "demo", "norm_sd": 0.1}}),
    "split": changed(data={"split": {"kind": "temporal"}}),
    "backbone": changed(backbone={"name": "gru4rec"}),
    "windows": changed(backbone={"name": "sasrec", "windows": "fixed"}),
    "pairs": changed(backbone={"name": "lightgcn", "pairs": "users"}),
    "masking": changed(evaluate={"mask_seen": False}),
    "test split": changed(evaluate={"test": False}),
    "post step": changed(embedding={"post": {"kind": "whiten"}}),
    "basis": changed(embedding={"basis": {"kind": "random"}}),
    "scale": changed(embedding={"scale": 1}, table={"row_length": "as-it-comes"}),
    "row length": changed(table={"row_length": 1}),
    "median row": changed(table={"row_length": "id-median"}),
    "rows as they come": changed(table={"row_length": "as-it-comes"}),
    "rows on spheres": changed(table={"inject": {"kind": "initialise", "keep_lengths": True}}),
    "input scale": changed(table={"input_scale": "sqrt-d"}),
    "control": changed(embedding={"control": {"kind": "rotation"}}),
    "loss": changed(train={"loss": {"kind": "sampled-ce"}}),
    "end": changed(train={"until": {"kind": "patience"}}),
    "no vectors": changed(table={"init": {"kind": "id"}}),
}


@pytest.mark.parametrize("name", SAME)
def test_what_does_not_change_the_numbers_does_not_change_the_identity(name: str) -> None:
    assert spec.spec_hash(SAME[name]) == spec.spec_hash(BASE)


@pytest.mark.parametrize("name", OTHER)
def test_what_changes_the_numbers_changes_the_identity(name: str) -> None:
    assert spec.config_hash(OTHER[name]) != spec.config_hash(BASE)


def test_all_that_differ_differ_from_one_another() -> None:
    hashes = [spec.config_hash(experiment) for experiment in (BASE, *OTHER.values())]
    assert len(set(hashes)) == len(hashes)


def test_the_seed_counts_for_the_run_and_not_for_the_row() -> None:
    other = changed(seed=1)
    assert spec.config_hash(other) == spec.config_hash(BASE)
    assert spec.spec_hash(other) != spec.spec_hash(BASE)


def test_the_place_of_files_does_not_count() -> None:
    here, there = (spec.Data(source=spec.Files(name="shop", path=path, fingerprint="ab")) for path in ("/a", "/b"))
    assert spec.data_hash(here) == spec.data_hash(there)
    assert spec.data_hash(here) != spec.data_hash(spec.Data(source=spec.Files(name="shop", fingerprint="cd")))


def _marked(part: type[Part], mark: object) -> set[str]:
    return {name for name, info in part.model_fields.items() if mark in info.metadata}


def test_identity_has_every_field_but_the_marked_ones() -> None:
    assert set(BASE.identity()) == set(Experiment.model_fields) - _marked(Experiment, NOT_IDENTITY)
    assert _marked(Experiment, NOT_IDENTITY) == {"method", "ablation", "execution", "note", "tuning"}
    assert _marked(spec.Embedding, NOT_IDENTITY) == _marked(spec.Files, NOT_IDENTITY) == {"path"}
    assert _marked(spec.Evaluate, NOT_IDENTITY) == {"curvature"}
    marked = {leaf.name for leaf in leaves() if NOT_IDENTITY in leaf.info.metadata}
    assert marked == {
        *("method", "ablation", "note", "embedding.path", "data.source.path", "evaluate.curvature"),
        "train.distil.teacher",
    }


def test_a_new_setting_with_a_neutral_default_leaves_no_trace() -> None:
    class Longer(spec.Table):
        stretch: Annotated[float, Neutral(1.0)] = Field(1.0, gt=0, description="later")

    assert Longer().identity() == spec.Table().identity()
    assert Longer(stretch=2.0).identity() == spec.Table().identity() | {"stretch": 2.0}


def test_hashes_are_what_they_were_and_defaults_change_with_the_version_alone() -> None:
    """A changed default means something else by what was stored without it."""
    kept = json.loads(GOLDEN.read_text("utf-8"))
    assert kept["version"] == spec.IDENTITY_VERSION
    assert golden() == kept


def golden() -> dict[str, Any]:
    """The default of every setting of every kind, and the hashes of a few specifications."""
    defaults: dict[str, Any] = {}
    for leaf in leaves():
        needs = ", ".join(f"{union}={kind}" for union, kind in leaf.needs)
        defaults[f"{leaf.name} [{needs}]" if needs else leaf.name] = leaf.default
    named = {"base": BASE, "seed": changed(seed=3), **OTHER}
    hashes = {name: [spec.config_hash(e), spec.spec_hash(e), spec.data_hash(e.data)] for name, e in named.items()}
    return {"version": spec.IDENTITY_VERSION, "defaults": defaults, "hashes": hashes}


def test_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    fingerprint: Callable[..., str] = lambda *paths: spec.file_fingerprint(paths)  # noqa: E731
    assert fingerprint(write("a", "1"), write("b", "2")) == fingerprint(write("c", "1"), write("d", "2"))
    assert fingerprint(write("a", "1"), write("b", "2")) != fingerprint(write("a", "12"), write("b", ""))


def test_arms_are_named_after_method_and_ablation() -> None:
    assert changed(method="tf-llmer", ablation="no-norm").arm == "tf-llmer/no-norm"
    assert changed(method="id").arm == "id"
