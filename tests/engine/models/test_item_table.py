"""The item table: where rows are made unit length, rescaling, rows without direction."""

import numpy as np
import pytest
import torch

from engine.models.item_table import ItemTable, initial_table
from engine.models.sequential.recommender import build
from engine.spec import Experiment, Frozen, RandomRows, Table
from tests.engine.data.test_windows import sequences

Z = np.random.default_rng(0).lognormal(size=(30, 6)).astype(np.float32)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("where", "unit_input", "unit_scoring"),
    [("none", False, False), ("input", True, False), ("scoring", False, True), ("both", True, True)],
)
def test_rows_are_unit_length_where_asked(where: str, unit_input: bool, unit_scoring: bool) -> None:
    table = ItemTable(torch.tensor(Z), Table.model_validate({"normalize": where}), 6)
    unit = torch.tensor(Z / np.linalg.norm(Z, axis=1, keepdims=True))
    for rows, expected in zip(table(), (unit_input, unit_scoring), strict=True):
        torch.testing.assert_close(rows, unit if expected else torch.tensor(Z))


def test_rows_stay_unit_length_while_trained() -> None:
    table = ItemTable(torch.tensor(Z), Table(), 6)
    optimizer = torch.optim.Adam(table.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (table()[0] * torch.arange(6)).sum().backward()
        optimizer.step()
    assert not torch.equal(table.weight, torch.tensor(Z))
    torch.testing.assert_close(table()[1].norm(dim=1), torch.ones(30))


def test_frozen_rows_take_no_gradient() -> None:
    z = np.zeros((30, 64), np.float32) + 1
    model = build(Experiment(table=Table(inject=Frozen())), sequences([3]), 30, z)
    assert not model.table.weight.requires_grad
    assert all(p.requires_grad for name, p in model.named_parameters() if name.startswith("backbone."))


def test_rescale_is_one_constant_that_brings_the_mean_norm_to_one() -> None:
    rows, _ = initial_table(Table(normalize="none", rescale=True), 30, 6, Z, seeded())
    ratio = rows.numpy() / Z
    assert ratio.std() < 1e-6
    assert float(rows.norm(dim=1).mean()) == pytest.approx(1.0, abs=1e-6)
    assert float(rows.norm(dim=1).std()) > 0.1


def test_rows_without_direction_get_one_at_the_mean_norm() -> None:
    z = Z.copy()
    z[[3, 7]] = 0
    rows, bare = initial_table(Table(), 30, 6, z, seeded())
    assert bare == 2
    np.testing.assert_allclose(rows[[3, 7]].norm(dim=1), np.linalg.norm(z, axis=1).mean(), rtol=1e-5)
    assert torch.equal(rows[:3], torch.tensor(z[:3]))


def test_id_table_has_the_stated_scale() -> None:
    rows, _ = initial_table(Table(init=RandomRows(id_sd=0.05)), 2000, 32, None, seeded())
    assert float(rows.std()) == pytest.approx(0.05, rel=0.02)
    assert abs(float(rows.mean())) < 0.001
