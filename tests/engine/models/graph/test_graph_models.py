"""Every propagation against dense matrices: rows, losses and gradients; and which nodes a gradient reaches."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import eval_jacobi
from torch import Tensor

from engine import spec
from engine.data import Sequences
from engine.data.cases import held_out
from engine.models.graph import gde
from engine.models.graph.jgcf import recurrence
from engine.models.graph.recommender import GraphRecommender, build
from engine.models.graph.svd_gcn import SVDGCNRecommender
from engine.models.registry import build as build_any
from engine.training.losses import adaptive_pairwise, criterion
from tests.engine.models.test_bipartite import HISTORIES, N_ITEMS, dense, sequences

WIDTH = 4
TRAIN = sequences(HISTORIES)
SETTINGS: list[spec.GraphBackbone] = [
    spec.NGCF(width=WIDTH, layers=2),
    spec.GCN(width=WIDTH, layers=3),
    spec.GIN(width=WIDTH, layers=2),
    spec.Perceptron(width=WIDTH, layers=3),
    spec.JGCF(width=WIDTH, layers=4, a=1.5, b=0.5, alpha=0.3),
    spec.JGCF(width=WIDTH, layers=0),
    spec.GDE(width=WIDTH, smooth_ratio=0.4, beta=2),
    spec.GDE(width=WIDTH, smooth_ratio=0.5, rough_ratio=0.5, beta=2),
]
EACH = pytest.mark.parametrize("settings", SETTINGS, ids=lambda each: f"{each.name}-{SETTINGS.index(each)}")


def model_of(settings: spec.GraphBackbone, users: str = "trained", **table: Any) -> GraphRecommender:
    given = settings.model_copy(update={"users": users, "reg": 0.1})
    experiment = spec.Experiment(
        backbone=given,
        table=spec.Table.model_validate({"init": {"kind": "id"}, "normalize": "none"} | table),
        train=spec.Train(batch_size=4, loss=spec.BPR(negatives=2)),
    )
    model = build(experiment, TRAIN, N_ITEMS)
    model.double()
    model.train(False)
    return model


def adjacency() -> Tensor:
    """A of all nodes, users first."""
    b = dense(HISTORIES)
    whole = torch.zeros(len(b) + N_ITEMS, len(b) + N_ITEMS, dtype=torch.float64)
    whole[: len(b), len(b) :], whole[len(b) :, : len(b)] = b, b.T
    return whole


def normalised(a: Tensor) -> Tensor:
    degree = a.sum(1).clamp(min=1)
    return a / degree.sqrt() / degree.sqrt()[:, None]


def of_ngcf(backbone: Any, settings: spec.NGCF, e: Tensor) -> Tensor:
    a, layers = normalised(adjacency()), [e]
    for w, v in zip(backbone.sums, backbone.products, strict=True):
        e = F.leaky_relu((a + torch.eye(len(a))) @ e @ w.weight.T + (a @ e * e) @ v.weight.T, 0.2)
        layers.append(e / e.norm(dim=1, keepdim=True).clamp(min=1e-12))
    return torch.cat(layers, dim=1)


def of_gcn(backbone: Any, settings: spec.GCN, e: Tensor) -> Tensor:
    a = adjacency() + torch.eye(len(e))
    a = a / a.sum(1).sqrt() / a.sum(1).sqrt()[:, None]
    for number, weights in enumerate(backbone.maps):
        e = a @ (F.relu(e) if number else e) @ weights.weight.T
    return e


def of_gin(backbone: Any, settings: spec.GIN, e: Tensor) -> Tensor:
    a, layers = adjacency(), [e]
    for eps, (first, norm, _, last) in zip(backbone.eps, backbone.perceptrons, strict=True):
        h = ((1 + eps) * e + a @ e) @ first.weight.T
        h = (h - h.mean(0)) / (h.var(0, unbiased=False) + norm.eps).sqrt() * norm.weight + norm.bias
        e = F.relu(h) @ last.weight.T + last.bias
        layers.append(e)
    return torch.cat(layers, dim=1)


def of_mlp(backbone: Any, settings: spec.Perceptron, e: Tensor) -> Tensor:
    for number, layer in enumerate(backbone.maps):
        e = (e.clamp(min=0) if number else e) @ layer.weight.T + layer.bias
    return e


def of_jgcf(backbone: Any, settings: spec.JGCF, e: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(normalised(adjacency()))
    shares = [eval_jacobi(k, settings.a, settings.b, values.numpy()) for k in range(settings.layers + 1)]
    low = vectors @ (torch.from_numpy(np.mean(shares, axis=0))[:, None] * (vectors.T @ e))
    return torch.cat([low, torch.tanh(settings.alpha * e - low)], dim=1)


def of_gde(backbone: Any, settings: spec.GDE, e: Tensor) -> Tensor:
    n_users = len(HISTORIES)
    r = normalised(adjacency())[:n_users, n_users:]
    parts = []
    for gram, rows in ((r @ r.T, e[:n_users]), (r.T @ r, e[n_users:])):
        values, vectors = torch.linalg.eigh(gram)
        smooth, rough = (round(share * len(gram)) for share in (settings.smooth_ratio, settings.rough_ratio))
        kept = torch.cat([torch.arange(len(gram))[:rough], torch.arange(len(gram))[len(gram) - smooth :]]).unique()
        filtered = torch.exp(settings.beta * values[kept])[:, None] * (vectors[:, kept].T @ rows)
        parts.append(vectors[:, kept] @ filtered)
    return torch.cat(parts)


REFERENCES: dict[str, Any] = {
    "ngcf": of_ngcf,
    "gcn": of_gcn,
    "gin": of_gin,
    "mlp": of_mlp,
    "jgcf": of_jgcf,
    "gde": of_gde,
}


def rows_of(model: GraphRecommender) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(initial users, initial items, final users, final items) by the dense reference."""
    b = dense(HISTORIES)
    items = model.table()[0]
    users = b / b.sum(1, keepdim=True).clamp(min=1) @ items if model.users is None else model.users
    settings = model.experiment.backbone
    final = REFERENCES[settings.name](model.backbone, settings, torch.cat([users, items]))
    return users, items, final[: len(b)], final[len(b) :]


@EACH
@pytest.mark.parametrize("users", ["trained", "mean"])
def test_rows_scores_losses_and_gradients_are_those_of_dense_matrices(settings: spec.GraphBackbone, users: str) -> None:
    model = model_of(settings, users)
    start_users, start_items, final_users, final_items = rows_of(model)
    found = model.rows()
    torch.testing.assert_close(found.users, final_users)
    torch.testing.assert_close(found.items, final_items)
    cases = held_out(TRAIN, np.array([3, -1, 0, 2, 5]))
    scores = final_users[torch.from_numpy(cases.users)] @ final_items.T
    torch.testing.assert_close(model.scorer().scores(cases), scores)

    (batch,) = model.batches(0)[1]
    assert batch.negatives is not None
    of, targets, negatives = map(torch.from_numpy, (batch.users, batch.targets, batch.negatives))
    squares = start_users[of].square().sum() + start_items[targets].square().sum()
    squares = squares + start_items[negatives].square().sum()
    gaps = (final_users[of][:, None] * (final_items[targets][:, None] - final_items[negatives])).sum(2)
    trained = [p for p in model.parameters() if p.requires_grad]
    for minimised, expected in (
        (spec.BPR(negatives=2), -F.logsigmoid(gaps).mean()),
        (spec.CE(), F.cross_entropy(final_users[of] @ final_items.T, targets)),
    ):
        loss, whole = model.loss(batch, criterion(minimised, N_ITEMS)), expected + 0.05 * squares / len(of)
        torch.testing.assert_close(loss, whole)
        wanted = torch.autograd.grad(whole, trained, retain_graph=True)
        for one, other in zip(torch.autograd.grad(loss, trained), wanted, strict=True):
            torch.testing.assert_close(one, other)


@EACH
def test_gradients_are_those_of_differences(settings: spec.GraphBackbone) -> None:
    """Of a sum of products of the rows that meet, by both sides' initial rows."""
    model = model_of(settings)
    links = model.graph.symmetric(torch.zeros((), dtype=torch.float64))
    torch.manual_seed(1)
    users = torch.randn(len(HISTORIES), WIDTH, dtype=torch.float64, requires_grad=True)
    items = torch.randn(N_ITEMS, WIDTH, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u, i: model.backbone.propagate(links, u, i), (users, items))


@pytest.mark.parametrize("settings", SETTINGS[:3] + SETTINGS[4:5], ids=lambda each: each.name)
def test_gradient_reaches_users_and_items_that_the_batch_does_not_name(settings: spec.GraphBackbone) -> None:
    """By the graph: user 0 meets 3 through their items."""
    model = model_of(settings)
    model.rows().users[0].sum().backward()
    assert model.users is not None
    assert model.users.grad is not None
    assert model.table.weight.grad is not None
    assert model.users.grad[3].abs().sum() > 0
    assert model.table.weight.grad[[0, 1, 2]].abs().sum(1).min() > 0


@EACH
def test_arms_of_the_item_table_are_seen(settings: spec.GraphBackbone) -> None:
    model = model_of(settings, normalize="both")
    _, items, _, final = rows_of(model)
    torch.testing.assert_close(items.norm(dim=1), torch.ones(N_ITEMS, dtype=torch.float64))
    torch.testing.assert_close(model.rows().items, F.normalize(final, dim=1))


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (0.0, 0.0), (2.0, -0.5), (-0.5, -0.5)])
def test_the_recurrence_gives_jacobi_polynomials(a: float, b: float) -> None:
    t = np.linspace(-1, 1, 7)
    before, now = np.zeros_like(t), np.ones_like(t)
    for k in range(1, 7):
        of_near, of_now, of_before = recurrence(k, a, b)
        before, now = now, of_near * t * now + of_now * now + of_before * before
        np.testing.assert_allclose(now, eval_jacobi(k, a, b, t), atol=1e-12)


def random_train(n_users: int, n_items: int) -> Sequences:
    draw = np.random.default_rng(0)
    sizes = draw.integers(2, 6, n_users)
    return Sequences(draw.integers(0, n_items, sizes.sum()), np.cumsum([0, *sizes]))


def test_rough_eigenvectors_of_a_large_side_are_those_of_a_dense_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gde, "_SMALL", 0)
    links = build_graph(random_train(80, 20), 20)
    r = links.csr()
    values, vectors = gde.smallest(r, 3)
    wanted, basis = np.linalg.eigh((r.T @ r).toarray())
    np.testing.assert_allclose(values, wanted[:3], atol=1e-8)
    np.testing.assert_allclose(vectors @ vectors.T, basis[:, :3] @ basis[:, :3].T, atol=1e-5)


def build_graph(train: Sequences, n_items: int) -> Any:
    from engine.models.bipartite import BipartiteGraph

    return BipartiteGraph(train, n_items).symmetric(torch.zeros((), dtype=torch.float64))


def svd_gcn(**settings: Any) -> SVDGCNRecommender:
    experiment = spec.Experiment(
        backbone=spec.SVDGCN(width=3, k=4, alpha=1.5, beta=2, reg=0.3, **settings),
        table=spec.Table(init=spec.RandomRows(), normalize="none"),
        train=spec.Train(batch_size=4, loss=spec.BPR(negatives=2)),
    )
    model = build_any(experiment, TRAIN, N_ITEMS)
    assert isinstance(model, SVDGCNRecommender)
    return model


def test_svd_gcn_scores_and_losses_are_those_of_a_dense_decomposition() -> None:
    model, b = svd_gcn(), dense(HISTORIES)
    model.double()
    of_users, of_items = (b.sum(1) + 1.5) ** -0.5, (b.sum(0) + 1.5) ** -0.5
    u, sigma, vt = torch.linalg.svd(of_users[:, None] * b * of_items, full_matrices=False)
    spread = torch.exp(2 * sigma[:4])
    users, items = (u[:, :4] * spread), (vt[:4].T * spread)
    signs = torch.sign((users * model.of_users).sum(0))  # of each pair of singular vectors
    torch.testing.assert_close(model.of_users, users * signs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.of_items, items * signs, rtol=1e-5, atol=1e-5)

    h, rows = model.of_users @ model.weight, model.of_items @ model.weight
    cases = held_out(TRAIN, np.array([3, -1, 0, 2, 5]))
    torch.testing.assert_close(model.scorer().scores(cases), h[torch.from_numpy(cases.users)] @ rows.T)
    (batch,) = model.batches(0)[1]
    assert batch.negatives is not None
    of, targets, negatives = map(torch.from_numpy, (batch.users, batch.targets, batch.negatives))
    gaps = (h[of][:, None] * (rows[targets][:, None] - rows[negatives])).sum(2)
    squares = h[of].square().sum() + rows[targets].square().sum() + rows[negatives].square().sum()
    expected = -F.logsigmoid(gaps).mean() + 0.15 * squares / len(of)
    loss = model.loss(batch, criterion(spec.BPR(negatives=2), N_ITEMS))
    torch.testing.assert_close(loss, expected)
    (one,), (other,) = (torch.autograd.grad(each, [model.weight]) for each in (loss, expected))
    torch.testing.assert_close(one, other)


def test_svd_gcn_trains_one_matrix_and_keeps_nothing_else() -> None:
    model = svd_gcn()
    assert [name for name, _ in model.named_parameters()] == list(model.state_dict()) == ["weight"]
    assert model.weight.shape == (4, 3)
    assert model.table is None
    assert model.n_items == N_ITEMS


def test_the_adaptive_loss_is_its_formula_and_its_weights_are_constants() -> None:
    torch.manual_seed(0)
    positive = torch.randn(6, 1, dtype=torch.float64, requires_grad=True)
    negative = (4 * torch.randn(6, 3, dtype=torch.float64)).requires_grad_()
    weights = 1 - torch.log10(1 - torch.sigmoid(negative).clamp(max=0.99)).detach()
    assert 2.99 < weights.max() < 3.01
    expected = -F.logsigmoid(positive - weights * negative).mean(1, keepdim=True)
    loss, d_positive, d_negative = adaptive_pairwise(positive.detach(), negative.detach())
    torch.testing.assert_close(loss, expected)
    wanted = torch.autograd.grad(expected.sum(), [positive, negative])
    torch.testing.assert_close((d_positive, d_negative), wanted)
