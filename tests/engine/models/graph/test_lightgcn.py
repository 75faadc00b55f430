"""LightGCN against dense matrices: rows, scores, losses and their gradients; what the graph is made of."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine import spec
from engine.data.cases import held_out
from engine.models.graph.recommender import GraphRecommender, build
from engine.training.losses import criterion
from tests.engine.models.test_bipartite import HISTORIES, N_ITEMS, dense, sequences

WIDTH, LAYERS = 4, 3
TRAIN = sequences(HISTORIES)


def model_of(reg: float = 0.1, users: str = "trained", n_batch: int = 4, **table: object) -> GraphRecommender:
    backbone = spec.LightGCN.model_validate({"width": WIDTH, "layers": LAYERS, "reg": reg, "users": users})
    settings = spec.Table.model_validate({"init": {"kind": "id"}, "normalize": "none"} | table)
    train = spec.Train(batch_size=n_batch, loss=spec.BPR(negatives=2))
    experiment = spec.Experiment(backbone=backbone, table=settings, train=train)
    model = build(experiment, TRAIN, N_ITEMS)
    model.double()
    return model


def rows_of(users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Final rows by powers of the dense normalised adjacency of all nodes."""
    b = dense(HISTORIES)
    adjacency = torch.zeros(len(b) + N_ITEMS, len(b) + N_ITEMS, dtype=torch.float64)
    adjacency[: len(b), len(b) :], adjacency[len(b) :, : len(b)] = b, b.T
    degree = adjacency.sum(1).clamp(min=1)
    normalised = adjacency / degree.sqrt() / degree.sqrt()[:, None]
    start = torch.cat([users, items])
    final = torch.stack([torch.linalg.matrix_power(normalised, k) @ start for k in range(LAYERS + 1)]).mean(0)
    return final[: len(b)], final[len(b) :]


def initial(model: GraphRecommender) -> tuple[Tensor, Tensor]:
    items = model.table.weight
    if model.users is not None:
        return model.users, items
    b = dense(HISTORIES)
    return b / b.sum(1, keepdim=True).clamp(min=1) @ items, items


@pytest.mark.parametrize("users", ["trained", "mean"])
def test_scores_are_those_of_dense_propagation(users: str) -> None:
    model = model_of(users=users)
    final_users, final_items = rows_of(*initial(model))
    cases = held_out(TRAIN, np.array([3, -1, 0, 2, 5]))
    expected = final_users[torch.from_numpy(cases.users)] @ final_items.T
    torch.testing.assert_close(model.scorer().scores(cases), expected)


def test_normalised_tables_are_unit_length_where_they_enter_and_where_they_score() -> None:
    model = model_of(normalize="both")
    assert model.users is not None
    _, items = rows_of(model.users, F.normalize(model.table.weight, dim=1))
    torch.testing.assert_close(model.scorer().items, F.normalize(items, dim=1))


def plain_bpr(h: Tensor, items: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    terms = [
        -F.logsigmoid(h[n] @ items[target] - h[n] @ items[other])
        for n, target in enumerate(targets)
        for other in negatives[n]
    ]
    return torch.stack(terms).mean()


def plain_ce(h: Tensor, items: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    return F.cross_entropy(h @ items.T, targets)


@pytest.mark.parametrize(
    ("minimised", "plain"),
    [
        (spec.BPR(negatives=2), plain_bpr),
        (spec.CE(), plain_ce),
    ],
    ids=["bpr", "ce"],
)
@pytest.mark.parametrize("users", ["trained", "mean"])
def test_losses_and_gradients_are_those_of_dense_matrices(
    users: str, minimised: spec.LossPart, plain: Callable[..., Tensor]
) -> None:
    model = model_of(users=users)
    (batch,) = model.batches(0)[1]
    assert batch.negatives is not None
    loss = model.loss(batch, criterion(minimised, N_ITEMS))
    start_users, start_items = initial(model)
    final_users, final_items = rows_of(start_users, start_items)
    of, targets, negatives = map(torch.from_numpy, (batch.users, batch.targets, batch.negatives))
    expected = plain(final_users[of], final_items, targets, negatives)
    squares = start_users[of].square().sum() + start_items[targets].square().sum()
    squares = squares + start_items[negatives].square().sum()
    expected = expected + 0.1 / 2 * squares / len(of)
    torch.testing.assert_close(loss, expected)
    trained = list(model.parameters())
    assert len(trained) == (2 if users == "trained" else 1)
    for one, other in zip(torch.autograd.grad(loss, trained), torch.autograd.grad(expected, trained), strict=True):
        torch.testing.assert_close(one, other)


def test_an_epoch_holds_every_edge_once_in_an_order_of_its_own() -> None:
    model = model_of()

    def edges(epoch: int) -> list[tuple[int, int]]:
        made = [batch for one in model.batches(epoch) for batch in one]
        return [pair for batch in made for pair in zip(batch.users.tolist(), batch.targets.tolist(), strict=True)]

    expected = sorted({(user, item) for user, history in enumerate(HISTORIES) for item in history})
    assert sorted(edges(0)) == sorted(edges(1)) == expected
    assert edges(0) == edges(0) != edges(1)
    assert model.n_targets == len(expected)


def test_an_epoch_may_draw_users_all_alike() -> None:
    backbone = spec.LightGCN(width=WIDTH, pairs="users")
    table = spec.Table(init=spec.RandomRows(), normalize="none")
    train = spec.Train(batch_size=4, loss=spec.BPR(negatives=2))
    model = build(spec.Experiment(backbone=backbone, table=table, train=train), TRAIN, N_ITEMS)

    def drawn(epoch: int) -> list[tuple[int, int]]:
        made = [batch for one in model.batches(epoch) for batch in one]
        return [pair for batch in made for pair in zip(batch.users.tolist(), batch.targets.tolist(), strict=True)]

    edges = {(user, item) for user, history in enumerate(HISTORIES) for item in history}
    pairs = [pair for epoch in range(2_000) for pair in drawn(epoch)]
    assert len(drawn(0)) == len(edges) and drawn(0) == drawn(0) != drawn(1)
    assert set(pairs) == edges
    active = {user for user, _ in edges}
    for user, item in edges:
        expected = len(pairs) / len(active) / len(set(HISTORIES[user]))
        found = pairs.count((user, item))
        assert abs(found - expected) < 5 * expected**0.5, (user, item)


def test_parts_of_a_batch_hold_it_together() -> None:
    model = model_of(n_batch=100)
    (batch,) = model.batches(0)[0]
    parts = list(batch.parts(4))
    assert max(len(part.targets) for part in parts) == 4
    np.testing.assert_array_equal(np.concatenate([part.users for part in parts]), batch.users)
    np.testing.assert_array_equal(np.concatenate([part.targets for part in parts]), batch.targets)


def test_without_layers_it_is_matrix_factorisation() -> None:
    backbone = spec.LightGCN(width=WIDTH, layers=0)
    experiment = spec.Experiment(backbone=backbone, table=spec.Table(init=spec.RandomRows(), normalize="none"))
    model = build(experiment, TRAIN, N_ITEMS)
    assert model.users is not None
    scorer = model.scorer()
    assert torch.equal(scorer.items, model.table.weight)
    cases = held_out(TRAIN, np.array([3, -1, 0, 2, 5]))
    assert torch.equal(scorer.queries(cases), model.users[torch.from_numpy(cases.users)])
