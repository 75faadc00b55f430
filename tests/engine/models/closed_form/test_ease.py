"""EASE against least squares solved column by column, without the closed form."""

import numpy as np
import pytest
import torch

from engine import spec
from engine.data import Sequences
from engine.data.cases import held_out
from engine.models.closed_form.ease import EASEModel

N_USERS, N_ITEMS, L2 = 40, 9, 3.0


def histories() -> Sequences:
    generator = np.random.default_rng(0)
    sizes = generator.integers(0, 12, N_USERS)
    return Sequences(generator.integers(0, N_ITEMS, sizes.sum()), np.concatenate([[0], np.cumsum(sizes)]))


def binary(of: Sequences) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    x = np.zeros((len(of), N_ITEMS))
    for row in range(len(of)):
        x[row, of[row]] = 1
    return x


def fitted(train: Sequences) -> EASEModel:
    model = EASEModel(spec.EASE(l2=L2), train, N_ITEMS)
    model.fit()
    return model


def test_every_column_is_the_ridge_regression_on_the_other_items() -> None:
    train = histories()
    x = binary(train)
    weights = np.zeros((N_ITEMS, N_ITEMS))
    for item in range(N_ITEMS):
        others = np.arange(N_ITEMS) != item
        rows = np.vstack([x[:, others], np.sqrt(L2) * np.eye(N_ITEMS - 1)])
        wanted = np.concatenate([x[:, item], np.zeros(N_ITEMS - 1)])
        weights[others, item] = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    cases = held_out(train, np.zeros(N_USERS, np.int64))
    found = fitted(train).scorer().scores(cases)
    np.testing.assert_allclose(found.numpy(), binary(cases.history) @ weights, rtol=1e-5, atol=1e-6)


def test_a_case_is_scored_by_its_own_history_and_not_by_what_was_trained_on() -> None:
    train = histories()
    model = fitted(train)
    one = Sequences(np.array([2, 5, 5]), np.array([0, 3]))
    same = Sequences(np.array([5, 2]), np.array([0, 2]))
    scores = [model.scorer().scores(held_out(history, np.array([0]))) for history in (one, same)]
    assert torch.equal(*scores)


def test_it_is_not_ranked_before_it_is_fitted() -> None:
    with pytest.raises(ValueError, match="not fitted"):
        EASEModel(spec.EASE(), histories(), N_ITEMS).scorer()
