"""The user-item graph against its dense matrix, and negatives against the rule that they follow."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.data import Sequences
from engine.models.bipartite import BipartiteGraph, Links

N_ITEMS = 6
Histories = list[list[int]]
HISTORIES: Histories = [[0, 1, 1, 2], [], [2], [5, 4, 3, 2, 1, 0], [1, 4]]
LIKE = torch.zeros((), dtype=torch.float64)


def sequences(histories: Histories) -> Sequences:
    items = np.array([item for history in histories for item in history], dtype=np.int64)
    return Sequences(items, np.cumsum([0, *map(len, histories)]))


def dense(histories: Histories) -> Tensor:
    """B [users, items]."""
    matrix = torch.zeros(len(histories), N_ITEMS, dtype=torch.float64)
    for user, history in enumerate(histories):
        matrix[user, history] = 1
    return matrix


histories = st.lists(st.lists(st.integers(0, N_ITEMS - 1), max_size=8), min_size=1, max_size=6).filter(any)


@settings(deadline=None, max_examples=50)
@given(histories)
def test_both_matrices_are_the_dense_ones(histories: Histories) -> None:
    b, graph = dense(histories), BipartiteGraph(sequences(histories), N_ITEMS)
    of_users, of_items = b.sum(1, keepdim=True).clamp(min=1), b.sum(0).clamp(min=1)
    for links, expected in (
        (graph.symmetric(LIKE), b / of_users.sqrt() / of_items.sqrt()),
        (graph.mean(LIKE), b / of_users),
    ):
        torch.testing.assert_close(links.matrix.to_dense(), expected)
        torch.testing.assert_close(links.transposed.to_dense(), expected.T)


def test_products_have_the_gradients_of_dense_products_also_the_second_ones() -> None:
    links: Links = BipartiteGraph(sequences(HISTORIES), N_ITEMS).symmetric(LIKE)
    torch.manual_seed(0)
    items = torch.randn(N_ITEMS, 3, dtype=torch.float64, requires_grad=True)
    users = torch.randn(len(HISTORIES), 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(links.to_users, (items,))
    assert torch.autograd.gradcheck(links.to_items, (users,))
    assert torch.autograd.gradgradcheck(links.to_users, (items,))


@settings(deadline=None, max_examples=30)
@given(histories, st.integers(0, 100))
def test_negatives_are_never_items_of_the_user(histories: Histories, seed: int) -> None:
    graph = BipartiteGraph(sequences(histories), N_ITEMS)
    drawn = graph.draw_negatives(graph.users, graph.items, 7, np.random.default_rng(seed))
    for user, target, items in zip(graph.users, graph.items, drawn, strict=True):
        consumed = set(histories[user])
        allowed = set(range(N_ITEMS)) - (consumed if len(consumed) < N_ITEMS else {int(target)})
        assert set(items.tolist()) <= allowed


@pytest.mark.parametrize(("user", "allowed"), [(0, [3, 4, 5]), (2, [0, 1, 3, 4, 5]), (4, [0, 2, 3, 5])])
def test_negatives_are_uniform_over_the_others(user: int, allowed: list[int]) -> None:
    graph = BipartiteGraph(sequences(HISTORIES), N_ITEMS)
    count = 20_000
    target = graph.items[graph.users == user][:1]
    drawn = graph.draw_negatives(np.array([user]), target, count, np.random.default_rng(0))[0]
    counts = Counter(drawn.tolist())
    assert sorted(counts) == allowed
    share = 1 / len(allowed)
    deviation = np.sqrt(count * share * (1 - share))
    assert all(abs(n - count * share) < 5 * deviation for n in counts.values())
