"""LLM-ESR's retrieval self-distillation against loops over users, and what it must not do."""

from typing import Any

import numpy as np
import pytest
import torch

from engine import spec
from engine.data import Sequences
from engine.data.windows import Batch
from engine.models.sequential.recommender import SequentialRecommender, build
from engine.models.sequential.similar_users import SimilarUsers
from engine.training.losses import criterion
from tests.engine.models.sequential.test_traps import N_ITEMS, UNSEEN, backbone_of, histories
from tests.engine.parts import table_of

Z = np.random.default_rng(0).standard_normal((N_ITEMS, 10)).astype(np.float32)
WEIGHT, K = 0.1, 2
BACKBONES = ("sasrec", "gru4rec", "bert4rec", "sr-gnn")


def model_of(name: str = "sasrec", train: Sequences | None = None, **inject: Any) -> SequentialRecommender:
    dual = {"inject": "dual", "similar_users": K, "normalize": "none"} | inject
    more = {"prefix_share": 1} if name == "sr-gnn" else {}
    experiment = spec.Experiment(
        backbone=backbone_of(name, **more),
        embedding=spec.Embedding(reduce=spec.NoReduction()),
        table=table_of(**dual),
    )
    return build(experiment, train or histories(), N_ITEMS, Z).eval().double()


def nearest() -> list[list[int]]:
    """Of each user the two most similar others, by cosine of means; users of one item have none and are nobody's."""
    train = histories()
    means = {user: Z[train[user]].astype(float).mean(0) for user in range(len(train)) if len(train[user]) >= 2}
    found = []
    for user in range(len(train)):
        others = [other for other in means if other != user] if user in means else []
        cosines = {
            other: means[user] @ means[other] / np.linalg.norm(means[user]) / np.linalg.norm(means[other])
            for other in others
        }
        found.append(sorted(cosines, key=lambda other: -cosines[other])[:K])
    return found


def one_batch(model: SequentialRecommender) -> Batch:
    (batch,) = model.batches(0)[0]
    return batch


@pytest.mark.parametrize("name", BACKBONES)
def test_each_user_is_drawn_to_the_mean_state_of_the_most_similar_ones(name: str) -> None:
    train, model = histories(), model_of(name)
    rows, _ = model.tables()
    states = {}
    for user in range(len(train)):
        if len(train[user]) >= 2:
            history = train[user][:-1][-model.history_length :]
            end = train.offsets[user + 1] - 1
            assert train.times is not None
            times = torch.from_numpy(train.times[end - len(history) : end])
            states[user] = model.after(rows, torch.from_numpy(history), torch.tensor([len(history)]), times)[0].detach()
    expected = 0.0
    for user, state in states.items():
        teacher = sum(states[other] for other in nearest()[user]) / K
        expected += float(((state - teacher) ** 2).sum()) / len(state)
    batch = one_batch(model)
    assert sorted(batch.users[batch.users >= 0].tolist()) == sorted(states), "every history ends once an epoch"
    minimised = criterion(spec.CE(), N_ITEMS)
    whole = model.loss(batch, minimised)
    model.similar = None
    added = float((whole - model.loss(batch, minimised)).detach())
    share = model.n_targets * (model.backbone.mask_share or 1) / len(batch.targets)
    assert added == pytest.approx(WEIGHT * share * expected / len(states), rel=1e-9)


def test_no_gradient_goes_through_those_who_teach() -> None:
    train, model = histories(), model_of()
    similar, parameter = model.similar, torch.nn.Parameter(torch.arange(6, dtype=torch.float64)[:, None].repeat(1, 3))
    assert similar is not None
    sizes = np.diff(train.offsets)

    def states(given: Sequences) -> torch.Tensor:
        lengths = np.diff(given.offsets)  # users of the same size are told apart by their first item
        users = [
            next(u for u in range(6) if sizes[u] - 1 == n and train[u][0] == given[at][0])
            for at, n in enumerate(lengths)
        ]
        return parameter[users]

    cost = similar.distance(np.array([0, -1]), states)
    assert cost is not None
    cost.backward()
    assert parameter.grad is not None
    reached = parameter.grad.abs().sum(1) > 0
    assert reached.tolist() == [True] + [False] * 5
    assert similar.distance(np.array([-1, -1]), states) is None


def test_the_last_item_of_a_history_is_seen_by_nobody_and_a_window_that_goes_on_teaches_nothing() -> None:
    train = histories()
    other = Sequences(train.items.copy(), train.offsets, train.times)
    other.items[train.offsets[1:][np.diff(train.offsets) >= 2] - 1] = UNSEEN
    one, two = (model_of("gru4rec", each) for each in (train, other))
    assert one.similar is not None and two.similar is not None
    two.similar.nearest = one.similar.nearest
    rows, _ = one.tables()
    users = np.flatnonzero(np.diff(train.offsets) >= 2)
    costs = [of.similar.distance(users, lambda given: one._states(rows, given)) for of in (one, two) if of.similar]
    assert costs[0] is not None and costs[1] is not None
    torch.testing.assert_close(costs[0], costs[1], rtol=0, atol=0)
    cut = model_of("gru4rec")
    cut._settings = cut._settings.model_copy(update={"max_length": 3})
    windows = [batch for one_of in cut.batches(0) for batch in one_of]
    ended = np.concatenate([batch.users for batch in windows])
    assert sorted(ended[ended >= 0].tolist()) == users.tolist() and (ended < 0).any()


def test_parts_of_a_batch_add_up_and_ties_go_to_the_first() -> None:
    model, minimised = model_of(), criterion(spec.CE(), N_ITEMS)
    batch = one_batch(model)
    shares = [model.loss(part, minimised) * (len(part.targets) / len(batch.targets)) for part in batch.parts(2)]
    torch.testing.assert_close(torch.stack(shares).sum(), model.loss(batch, minimised))
    same = Sequences(np.zeros(8, dtype=np.int64), np.arange(0, 9, 2))
    similar = SimilarUsers(same, torch.ones(1, 3), spec.DualViews(similar_users=2))
    assert similar.nearest.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


@pytest.mark.parametrize("sizes", [[], [1, 1], [2, 1]])
def test_too_few_users_teach_nobody(sizes: list[int]) -> None:
    train = Sequences(np.zeros(sum(sizes), dtype=np.int64), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
    similar = SimilarUsers(train, torch.ones(1, 3), spec.DualViews(similar_users=2))
    users = np.arange(len(sizes))
    assert similar.distance(users, lambda given: torch.zeros(len(given), 2)) is None
