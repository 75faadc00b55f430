"""Specifications: refusals in one line, round trips, and what identity counts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import spec
from engine.errors import UserError
from engine.spec import Experiment


def changed(**settings: Any) -> Experiment:
    return Experiment.model_validate(settings)


BASE = Experiment()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"train":{"patiense":1}}', "train.patiense: no such setting (did you mean patience?)"),
        ('{"trian":{}}', "trian: no such setting (did you mean train?)"),
        ('{"embedding":{"lamda":3}}', "embedding.lamda: no such setting (did you mean lambda?)"),
        ('{"embedding":{"graph":{"windw":3}}}', "embedding.graph.windw: no such setting (did you mean window?)"),
        ('{"backbone":{"name":"sasrc"}}', "backbone.name: no backbone 'sasrc' (did you mean sasrec?)"),
        (
            '{"backbone":{"name":"gru4rec","heads":3}}',
            "backbone.heads: no such setting (there are width, max_length, dropout, name, layers, hidden)",
        ),
        ('{"train":{"lr":-1}}', "train.lr: input should be greater than 0, not -1"),
        ('{"backbone":{"name":"sasrec","heads":3}}', "backbone.heads=3 does not divide backbone.width=64"),
        (
            '{"table":{"rescale":true}}',
            "table.rescale changes nothing when table.normalize is both; set table.normalize=none",
        ),
        (
            '{"train":{"negatives":8}}',
            "train.negatives needs train.loss=sampled-ce, bce or gbce; ce sums over all items",
        ),
        ('{"train":{"loss":"gbce","log_q":true}}', "train.log_q needs train.loss=sampled-ce, not gbce"),
        ('{"train":{"offset":true}}', "train.offset needs train.loss=bce or gbce, not ce"),
        ('{"train":{"loss":"bce","gbce_t":0.5}}', "train.gbce_t needs train.loss=gbce, not bce"),
        (
            '{"train":{"loss":"bce","negatives":0}}',
            "train.negatives: input should be greater than or equal to 1, not 0",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        spec.from_json(text)
    assert str(caught.value) == message


def test_round_trip_keeps_every_field() -> None:
    odd = changed(
        backbone={"name": "bert4rec", "mask_share": 0.3}, embedding={"lambda": 0.1}, train={"lr": 3e-4}, seed=7
    )
    assert spec.from_json(spec.to_json(odd)) == odd


SAME: dict[str, Experiment] = {
    "names": changed(method="other", ablation="full", note="hello"),
    "execution": changed(execution={"device": "cpu", "threads": 3, "checkpoint_s": 1}),
    "paths": changed(data={"path": "/somewhere"}, embedding={"path": "/elsewhere"}),
    "unused patience": changed(train={"min_steps": 5}),
    "unused temporal shares": changed(data={"test_share": 0.3}),
    "unused id scale": changed(table={"id_sd": 1.0}),
    "steps not taken": changed(
        embedding={
            "popular_share": 0.1,
            "ae_steps": 1,
            "epsilon": 0,
            "groups": 3,
            "shrinkage": 1,
            "norm_sd": 2,
            "clusters": 5,
            "seed": 9,
        }
    ),
}
OTHER: dict[str, Experiment] = {
    "lambda": changed(embedding={"lambda": 0.1}),
    "content": changed(data={"fingerprint": "ab"}),
    "vectors": changed(embedding={"fingerprint": "ab"}),
    "dial": changed(data={"demo": {"norm_sd": 0.1}}),
    "backbone": changed(backbone={"name": "gru4rec"}),
    "masking": changed(evaluate={"mask_seen": False}),
    "post step": changed(embedding={"post": "whiten"}),
    "basis": changed(embedding={"basis": "random"}),
    "scale": changed(embedding={"scale": 1}),
    "control": changed(embedding={"control": "rotation"}),
    "loss": changed(train={"loss": "sampled-ce"}),
}


@pytest.mark.parametrize("name", SAME)
def test_what_does_not_change_the_numbers_does_not_change_the_identity(name: str) -> None:
    assert spec.spec_hash(SAME[name]) == spec.spec_hash(BASE)


@pytest.mark.parametrize("name", OTHER)
def test_what_changes_the_numbers_changes_the_identity(name: str) -> None:
    assert spec.config_hash(OTHER[name]) != spec.config_hash(BASE)


def test_the_seed_counts_for_the_run_and_not_for_the_row() -> None:
    other = changed(seed=1)
    assert spec.config_hash(other) == spec.config_hash(BASE)
    assert spec.spec_hash(other) != spec.spec_hash(BASE)


def test_settings_that_are_never_read_do_not_count() -> None:
    pca = {"reduce": "pca"}
    assert spec.config_hash(changed(embedding=pca)) == spec.config_hash(
        changed(embedding=pca | {"lambda": 0.3, "graph": {"window": 1}})
    )
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"reduce": "gaussian"}, {"seed": 1}),
        ({"reduce": "variance"}, {"popular_share": 0.2}),
        ({"reduce": "autoencoder"}, {"ae_steps": 3}),
        ({"reduce": "graph-pca"}, {"lambda": 0.3}),
        ({"reduce": "graph-pca"}, {"graph": {"window": 1}}),
        ({"post": "whiten"}, {"epsilon": 0.1}),
        ({"post": "group-whiten"}, {"groups": 4}),
        ({"post": "ace"}, {"shrinkage": 1}),
        ({"control": "lognormal-norms"}, {"norm_sd": 2}),
        ({"control": "permuted-items"}, {"seed": 1}),
        ({"control": "cluster-permuted"}, {"clusters": 5}),
    ]
    for step, setting in steps:
        assert spec.config_hash(changed(embedding=step)) != spec.config_hash(changed(embedding=step | setting))
    borrowing = {"control": "id-norms"}
    one = changed(embedding=borrowing)
    assert spec.config_hash(one) == spec.config_hash(changed(embedding=borrowing | {"seed": 1}))
    assert spec.config_hash(one) != spec.config_hash(changed(embedding=borrowing, table={"id_sd": 0.1}))
    table = {"init": "id"}
    one, other = changed(table=table), changed(table=table, embedding={"source": "minilm-l6", "center": False})
    assert spec.config_hash(one) == spec.config_hash(other)
    assert spec.config_hash(one) != spec.config_hash(changed(table=table | {"id_sd": 0.1}))
    real = {"name": "ml-100k"}
    assert spec.data_hash(spec.Data.model_validate(real)) == spec.data_hash(
        spec.Data.model_validate(real | {"demo": {"seed": 5}})
    )


def test_the_identity_of_runs_under_the_full_softmax_is_what_it_was_when_there_was_no_other_loss() -> None:
    known = [
        (BASE, "2b9e647c6f8b721f"),
        (changed(train={"optimizer": "sgd", "patience": 5}), "546f7b828c5c216d"),
    ]
    for experiment, digest in known:
        assert spec.config_hash(experiment) == digest
    assert spec.spec_hash(changed(seed=3)) == "1209842ceabb24b7"
    assert spec.config_hash(changed(train={"loss": "ce", "gbce_t": 0.75, "log_q": False})) == known[0][1]


def test_settings_of_a_loss_count_where_it_reads_them() -> None:
    def row(**train: Any) -> str:
        return spec.config_hash(changed(train=train))

    usual = {"bce": 1, "sampled-ce": 256, "gbce": 256}
    for loss, negatives in usual.items():
        assert row(loss=loss) == row(loss=loss, negatives=negatives) != row(loss=loss, negatives=7)
    assert len({row(loss=loss, negatives=9) for loss in usual}) == 3
    assert row(loss="gbce") != row(loss="gbce", gbce_t=0.5)
    assert row(loss="gbce") != row(loss="gbce", offset=True)
    assert row(loss="sampled-ce") != row(loss="sampled-ce", log_q=True)


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
