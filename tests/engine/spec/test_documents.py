"""Specifications as JSON: round trips of every kind, refusals in one line, documents of earlier versions."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import spec
from engine.errors import UserError
from engine.spec import Experiment, Leaf, leaves
from engine.spec.upgrade import MOVED
from tests.golden.identities import kept_identities


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"train":{"epoch":1}}', "train.epoch: no such setting (did you mean epochs?)"),
        ('{"trian":{}}', "trian: no such setting (did you mean train?)"),
        (
            '{"embedding":{"reduce":{"kind":"rec-pca","lamda":3}}}',
            "embedding.reduce.lamda: no such setting (did you mean lambda?)",
        ),
        (
            '{"embedding":{"reduce":{"kind":"rec-pca","graph":{"kind":"rewired","windw":3}}}}',
            "embedding.reduce.graph.windw: no such setting (did you mean window?)",
        ),
        ('{"backbone":{"name":"sasrc"}}', "backbone.name: no backbone 'sasrc' (did you mean sasrec?)"),
        ('{"train":{"loss":{"kind":"bcee"}}}', "train.loss: no such kind 'bcee' (did you mean bce?)"),
        ('{"train":{"optimizer":{"momentum":1}}}', "train.optimizer: name one of adam, adamw, lazy-adam, sgd"),
        (
            '{"train":{"optimizer":{"kind":"adam","momentum":0.9}}}',
            "train.optimizer.momentum: no such setting (there are kind)",
        ),
        (
            '{"backbone":{"name":"gru4rec","heads":3}}',
            "backbone.heads: no such setting (there are name, width, max_length, dropout, windows, layers, hidden)",
        ),
        ('{"train":{"lr":-1}}', "train.lr: input should be greater than 0, not -1"),
        ('{"backbone":{"name":"sasrec","heads":3}}', "backbone.heads=3 does not divide backbone.width=64"),
        (
            '{"table":{"rescale":true}}',
            "table.rescale changes nothing when table.normalize is both; set table.normalize=none",
        ),
        ('{"embedding":null}', "table.init=embedding needs the part embedding"),
        (
            '{"embedding":{},"table":{"init":{"kind":"id"}}}',
            "embedding: table.init=id reads no vectors; leave embedding out",
        ),
        (
            '{"train":{"loss":{"kind":"bce","negatives":0}}}',
            "train.loss.negatives: input should be greater than or equal to 1, not 0",
        ),
        (
            "{",
            "the specification is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 "
            "(char 1)",
        ),
        ("[]", "the specification is not a JSON object"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, message: str) -> None:
    if text.startswith('{"'):
        text = '{"version":2,' + text[1:]
    with pytest.raises(UserError) as caught:
        spec.from_json(text)
    assert str(caught.value) == message


def test_a_newer_version_is_refused() -> None:
    with pytest.raises(UserError, match="has version 9, this program reads up to 3; update tfllmer"):
        spec.from_json('{"version":9}')


def _values(leaf: Leaf) -> st.SearchStrategy[Any]:
    """Values of a setting of one kind, as pydantic's own limits allow."""
    limits = {
        name: getattr(rule, name)
        for rule in leaf.info.metadata
        for name in ("ge", "gt", "le", "lt")
        if hasattr(rule, name)
    }
    default = leaf.default
    if isinstance(default, bool):
        return st.booleans()
    if isinstance(default, int):
        return st.integers(limits.get("ge", 0), 10_000).map(lambda n: n * 2)
    if isinstance(default, float):
        low, high = limits.get("ge", limits.get("gt", 0.0)), limits.get("le", limits.get("lt", 100.0))
        return st.floats(low, high, exclude_min="gt" in limits, exclude_max="lt" in limits)
    return st.just(default)


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Any kind of every step, with any value of its settings."""
    tree: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    for leaf in sorted(leaves(), key=lambda leaf: (not leaf.kinds, len(leaf.needs))):
        if not leaf.is_there(kinds):
            continue
        value = draw(st.sampled_from(leaf.kinds)) if leaf.kinds else draw(_values(leaf))
        if leaf.kinds:
            kinds[leaf.name] = value
        node = tree
        for group in leaf.path[:-1]:
            node = node.setdefault(group, {})
        node[leaf.path[-1]] = value
    try:
        return Experiment.model_validate(tree)
    except ValueError:
        return Experiment()  # a combination that is refused, as by heads that do not divide the width


@settings(max_examples=150, deadline=None)
@given(experiments())
def test_every_kind_survives_json(experiment: Experiment) -> None:
    again = spec.from_json(spec.to_json(experiment))
    assert again == experiment
    assert spec.spec_hash(again) == spec.spec_hash(experiment)
    assert all(leaf.is_there(spec.flat(again)) for leaf in leaves() if leaf.name == "seed")
    assert json.loads(spec.to_json(experiment))["version"] == spec.FORMAT


@settings(max_examples=150, deadline=None)
@given(experiments())
def test_flat_names_every_setting_that_is_there(experiment: Experiment) -> None:
    values = spec.flat(experiment)
    assert set(values) == {leaf.name for leaf in leaves() if leaf.is_there(values)}


# ------------------------------------------------------------------------------------ earlier versions


def test_a_document_of_version_1_means_what_it_meant() -> None:
    old = {
        "data": {"name": "ml-1m", "path": "/d", "fingerprint": "f", "split": "temporal", "test_share": 0.2},
        "embedding": {
            "source": "minilm",
            "lambda": 0.3,
            "post": "group-whiten",
            "groups": 4,
            "basis": "random",
            "seed": 5,
            "control": "id-norms",
            "graph": {"kind": "rewired", "window": None, "users": 0.5, "seed": 7},
        },
        "table": {"inject": "split", "id_sd": 0.3, "id_dims": 8, "bias": "free"},
        "backbone": {"name": "gru4rec", "hidden": 32},
        "train": {"loss": "bce", "optimizer": "sgd", "momentum": 0.9, "windows": "fixed", "patience": 4},
        "seed": 3,
    }
    users = spec.SampledUsers(share=0.5, seed=7)
    reduce = spec.RecPCA(lambda_=0.3, graph=spec.Rewired(window=None, users=users, seed=7))
    assert spec.from_document(old) == Experiment(
        data=spec.Data(
            source=spec.Files(name="ml-1m", path="/d", fingerprint="f"), split=spec.Temporal(test_share=0.2)
        ),
        embedding=spec.Embedding(
            source="minilm",
            reduce=reduce,
            post=spec.GroupWhiten(groups=4),
            basis=spec.RandomBasis(seed=5),
            control=spec.IdNorms(id_sd=0.3),
        ),
        table=spec.Table(row_length="as-it-comes", inject=spec.SplitWithID(id_sd=0.3, id_dims=8), bias=spec.FreeBias()),
        backbone=spec.GRU4Rec(hidden=32, windows="fixed"),
        train=spec.Train(
            loss=spec.BCE(), optimizer=spec.SGD(momentum=0.9), until=spec.Patience(patience=4), probe_run=1
        ),
        seed=3,
    )


def test_every_kept_specification_is_read_and_written_in_the_present_form() -> None:
    for number, identity in enumerate(kept_identities()):
        if number % 7:
            continue
        experiment = spec.from_json(identity.spec)
        assert spec.from_json(spec.to_json(experiment)) == experiment


def test_names_that_have_moved_lead_to_settings() -> None:
    names = {leaf.name for leaf in leaves()}
    assert not names & MOVED.keys() - {"data.source"}
    assert {new for moved in MOVED.values() for new in moved} <= names


@pytest.mark.parametrize("lacks", ["version", "train", "table", "embedding", "data"])
def test_a_specification_of_mixed_versions_is_one_line(lacks: str) -> None:
    document = json.loads(spec.to_json(Experiment())) | {"version": 1}
    del document[lacks]
    with pytest.raises(UserError) as caught:
        spec.from_document(document)
    assert str(caught.value)
