"""Adapters and views against loops, and what public code of this field has got wrong with them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from engine import spec
from engine.data.cases import training_probe
from engine.embeddings.reduce.post import post_step
from engine.models.adapters import Alignment, MixedWhitenings, SharedMap, ViewAttention
from engine.models.item_table import principal_components, row_length
from engine.models.sequential.layout import Layout
from engine.models.sequential.recommender import SequentialRecommender, build
from engine.models.sequential.views import CrossAttention
from engine.training.losses import criterion
from tests.engine.models.sequential.test_traps import N_ITEMS, SMALL, UNSEEN, histories, scored_in_training
from tests.engine.parts import table_of

D, WIDTH = 10, 16
KINDS = ("moe", "aligned", "shared", "attended", "dual")
DRAW = np.random.default_rng(0)
Z = DRAW.standard_normal((N_ITEMS, D)).astype(np.float32)
REFERENCE = DRAW.standard_normal((N_ITEMS, WIDTH)).astype(np.float32)


def model_of(kind: str, backbone: str = "sasrec", **table: Any) -> tuple[SequentialRecommender, spec.Experiment]:
    part = spec.BACKBONES[backbone]
    settings = {key: value for key, value in SMALL.items() if key in part.model_fields}
    post = spec.TwoViews(groups=2) if kind in ("shared", "attended") else spec.NoPost()
    experiment = spec.Experiment(
        backbone=part.model_validate(settings),
        embedding=spec.Embedding(reduce=spec.NoReduction(), post=post),
        table=table_of(**({"inject": kind, "normalize": "none"} | table)),
    )
    z = np.concatenate([Z, REFERENCE], axis=1) if kind == "aligned" else Z
    return build(experiment, histories(), N_ITEMS, z).eval().double(), experiment


# ------------------------------------------------------------------------------------ against loops


@pytest.mark.parametrize("activation", ["gelu", "relu", "leaky-relu", "none"])
def test_linear_and_mlp_are_one_and_two_maps(activation: str) -> None:
    linear, mlp = model_of("linear")[0].table, model_of("mlp", activation=activation)[0].table
    maps = mlp.adapter
    assert isinstance(maps, torch.nn.Sequential)
    functions: dict[str, Callable[[float], float]] = {
        "gelu": lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2,
        "relu": lambda v: max(v, 0.0),
        "leaky-relu": lambda v: v if v > 0 else 0.01 * v,
        "none": lambda v: v,
    }
    act = functions[activation]

    def mapped(part: Any, x: list[float]) -> list[float]:
        weight, bias = part.weight.tolist(), part.bias.tolist()
        return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(weight, bias, strict=True)]

    for item in (0, 7):
        x = Z[item].astype(float).tolist()
        assert linear.rows()[item].tolist() == pytest.approx(mapped(linear.adapter, x))
        assert mlp.rows()[item].tolist() == pytest.approx(mapped(maps[2], [act(v) for v in mapped(maps[0], x)]))


def test_mixed_whitenings_are_the_published_sum() -> None:
    torch.manual_seed(0)
    settings = spec.MoEAdapter(experts=3, vector_dropout=0.5)
    mixed = MixedWhitenings(settings, 4, 2).eval()
    with torch.no_grad():
        for parameter in mixed.parameters():
            parameter.normal_()
            parameter.requires_grad_(False)
    x = torch.randn(5, 4)
    expected = torch.zeros(5, 2)
    for i in range(5):
        gates = [math.exp(sum(float(x[i, a] * mixed.gates[a, k]) for a in range(4))) for k in range(3)]
        for k in range(3):
            for b in range(2):
                white = sum(float((x[i, a] - mixed.centres[k, a]) * mixed.maps[k, a, b]) for a in range(4))
                expected[i, b] += gates[k] / sum(gates) * white
    torch.testing.assert_close(mixed(x), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(mixed.train()(x), mixed(x)), "gates are noisy while training"


def test_both_halves_go_through_one_map() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 8)
    added, apart = SharedMap(8, 3, added=True), SharedMap(8, 3, added=False)
    apart.load_state_dict(added.state_dict())
    first, _, last = added.map
    assert isinstance(first, torch.nn.Linear) and isinstance(last, torch.nn.Linear)
    halves = [
        (x[:, :4] @ first.weight.T + first.bias).clamp(min=0),
        (x[:, 4:] @ first.weight.T + first.bias).clamp(min=0),
    ]
    views = [half @ last.weight.T + last.bias for half in halves]
    torch.testing.assert_close(apart(x), torch.cat(views, 1))
    torch.testing.assert_close(added(x), views[0] + views[1])


def test_the_alignment_is_the_published_formula() -> None:
    draw = np.random.default_rng(1)
    x, r = draw.standard_normal((4, 3)), draw.standard_normal((6, 3))
    items, tau = [5, 0, 2, 0], 2.0
    distinct = sorted(set(items))
    rows = np.zeros((6, 3))
    rows[distinct] = x[: len(distinct)]
    a, b = r[distinct], rows[distinct]

    def softmax(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.array([[math.exp(v) / sum(math.exp(u) for u in row) for v in row] for row in values])

    targets, logits = softmax((a @ a.T + b @ b.T) / 2 * tau), a @ b.T / tau
    costs = []
    for i in range(len(distinct)):
        by_row = -sum(targets[i, j] * math.log(softmax(logits)[i, j]) for j in range(len(distinct)))
        by_column = -sum(targets[j, i] * math.log(softmax(logits.T)[i, j]) for j in range(len(distinct)))
        costs.append((by_row + by_column) / 2)
    found = Alignment(torch.tensor(r), tau, 0.01)(torch.tensor(rows), torch.tensor(items))
    assert float(found) == pytest.approx(0.01 * sum(costs) / len(costs))


def test_attention_mixes_two_views() -> None:
    torch.manual_seed(0)
    mix = ViewAttention(3).double().requires_grad_(False)
    views = torch.randn(5, 6, dtype=torch.float64) * 30
    for i in range(5):
        both = [views[i, :3], views[i, 3:]]
        shares = [math.exp(float(mix.readout @ (view @ mix.weight))) for view in both]
        expected = sum((share / sum(shares)) * view for share, view in zip(shares, both, strict=True))
        torch.testing.assert_close(mix(views)[i], expected)


def test_cross_attention_reads_a_window_up_to_each_place() -> None:
    torch.manual_seed(0)
    cross, sizes = CrossAttention(4, 2).double().eval(), [3, 2]
    asking, asked = torch.randn(2, 5, 4, dtype=torch.float64)
    with torch.no_grad():
        found = cross(asking, asked, Layout.of(torch.tensor(sizes), asking.device))
        q, k, v = cross.query(asking), cross.key(asked), cross.value(asked)
        for start, size in ((0, 3), (3, 2)):
            for place in range(size):
                heads = []
                for part in (slice(0, 2), slice(2, 4)):
                    seen = range(start, start + place + 1)
                    weights = [math.exp(float(q[start + place, part] @ k[j, part]) / math.sqrt(2)) for j in seen]
                    heads.append(sum(w / sum(weights) * v[j, part] for w, j in zip(weights, seen, strict=True)))
                torch.testing.assert_close(found[start + place], cross.out(torch.cat(heads)))


def test_two_views_are_both_whitenings_side_by_side() -> None:
    x = DRAW.standard_normal((200, 6)) @ DRAW.standard_normal((6, 6))
    x = x - x.mean(0)
    covariance = x.T @ x / 200
    made = x @ post_step(covariance, 200, 0.0, spec.TwoViews(groups=2, epsilon=0.0))
    apart = [
        post_step(covariance, 200, 0.0, post) for post in (spec.ZCA(epsilon=0), spec.GroupWhiten(groups=2, epsilon=0))
    ]
    np.testing.assert_allclose(made, np.hstack([x @ each for each in apart]))
    np.testing.assert_allclose(made[:, :6].T @ made[:, :6] / 200, np.eye(6), atol=1e-9)
    for start in (6, 9):
        block = made[:, start : start + 3]
        np.testing.assert_allclose(block.T @ block / 200, np.eye(3), atol=1e-9)


def test_the_collaborative_view_starts_from_principal_components() -> None:
    centred = Z - Z.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    scores = principal_components(torch.tensor(Z), 4).numpy()
    np.testing.assert_allclose(np.abs(scores), np.abs(left[:, :4] * sizes[:4]), atol=1e-4)
    assert principal_components(torch.tensor(Z), WIDTH)[:, D:].abs().max() == 0
    model, _ = model_of("dual", row_length="0.5")
    table = model.table.float()
    for view in table.rows().chunk(2, dim=1):
        assert row_length(view.detach()) == pytest.approx(0.5, rel=1e-5)


# ------------------------------------------------------------------------------------ traps


@pytest.mark.parametrize("kind", KINDS)
def test_training_and_ranking_score_alike_and_nothing_later_is_seen(kind: str) -> None:
    """Windows side by side score as each history alone does; of attention see `tests/engine/test_every_method.py`."""
    model, _ = model_of(kind, "gru4rec")
    probe = training_probe(histories(), 10**6)
    alone = [model.scorer().scores(probe[place : place + 1]).detach().numpy()[0] for place in range(len(probe))]
    asked = sorted((int(t), tuple(row)) for t, row in zip(probe.targets, alone, strict=True))
    found = sorted(scored_in_training(model))
    assert [target for target, _ in found] == [target for target, _ in asked]
    np.testing.assert_allclose([row for _, row in found], [row for _, row in asked], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_comes_through_what_scores_and_frozen_parts_stay(kind: str) -> None:
    model, experiment = model_of(kind)
    (batch,) = model.batches(0)[0]
    assert UNSEEN not in batch.items
    _, scoring = model.tables()
    detached = torch.randn(3, scoring.shape[1], dtype=torch.float64)
    criterion(spec.CE(), N_ITEMS)(detached, scoring, torch.tensor([0, 1, UNSEEN]), None).backward()
    trained = {name: p for name, p in model.table.named_parameters() if p.requires_grad}
    reached = {name for name, p in trained.items() if p.grad is not None and bool(p.grad.abs().max() > 0)}
    assert reached >= trained.keys() - {"adapter.noise"} and "weight" not in trained
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.1)
    optimizer.zero_grad()
    model.train().loss(batch, criterion(experiment.train.loss, N_ITEMS)).backward()
    optimizer.step()
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert "table.weight" not in moved and "table.alignment.reference" not in moved
    assert {f"table.{name}" for name in trained} <= moved


def test_what_a_mask_stands_for_is_seen_by_nobody() -> None:
    model, _ = model_of("dual", "bert4rec")
    rows, _ = model.tables()
    layout, masked = Layout.of(torch.tensor([4]), rows.device), torch.tensor([False, True, False, False])
    found = [model.represent(rows, torch.tensor([1, item, 3, 4]), layout, masked) for item in (2, 9)]
    torch.testing.assert_close(found[0], found[1])


def test_an_alignment_adds_to_the_loss_what_it_says() -> None:
    model, experiment = model_of("aligned")
    (batch,) = model.batches(0)[0]
    whole = model.loss(batch, criterion(experiment.train.loss, N_ITEMS))
    _, scoring = model.tables()
    assert model.table.alignment is not None
    extra = model.table.alignment(scoring, torch.from_numpy(batch.targets))
    model.table.alignment = None
    torch.testing.assert_close(whole, model.loss(batch, criterion(experiment.train.loss, N_ITEMS)) + extra)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"table": {"inject": {"kind": "shared"}}}, "embedding.post=two-views is for table.inject=shared or attended"),
        ({"embedding": {"reduce": {"kind": "none"}, "post": {"kind": "two-views"}}}, "two-views is for"),
        (
            {"table": {"inject": {"kind": "dual"}}, "backbone": {"name": "lightgcn"}},
            "dual needs a backbone that reads histories",
        ),
        ({"table": {"init": {"kind": "id-trained"}, "inject": {"kind": "aligned"}}}, "needs LLM vectors"),
        ({"table": {"init": {"kind": "id"}, "inject": {"kind": "moe"}}}, "needs LLM vectors"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        spec.Experiment.model_validate(settings)
