"""The item table: where rows are made unit length, how long raw rows are, rows without direction."""

import math

import numpy as np
import pytest
import torch

from engine.models.item_table import ItemTable, initial_table, row_length
from engine.models.sequential.recommender import build
from engine.spec import Experiment, Frozen, Initialise, LinearAdapter, MLPAdapter, RandomRows, Table
from tests.engine.data.test_windows import sequences

PLAIN = ("id", "id-median")
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
    rows, _ = initial_table(Table(normalize="none", rescale=True, row_length="as-it-comes"), 30, 6, Z, seeded())
    ratio = rows.numpy() / Z
    assert ratio.std() < 1e-6
    assert float(rows.norm(dim=1).mean()) == pytest.approx(1.0, abs=1e-6)
    assert float(rows.norm(dim=1).std()) > 0.1


def test_rows_without_direction_get_one_at_the_mean_norm() -> None:
    z = Z.copy()
    z[[3, 7]] = 0
    rows, bare = initial_table(Table(row_length="as-it-comes"), 30, 6, z, seeded())
    assert bare == 2
    np.testing.assert_allclose(rows[[3, 7]].norm(dim=1), np.linalg.norm(z, axis=1).mean(), rtol=1e-5)
    assert torch.equal(rows[:3], torch.tensor(z[:3]))


def test_id_table_has_the_stated_scale() -> None:
    rows, _ = initial_table(Table(init=RandomRows(id_sd=0.05)), 2000, 32, None, seeded())
    assert float(rows.std()) == pytest.approx(0.05, rel=0.02)
    assert abs(float(rows.mean())) < 0.001


@pytest.mark.parametrize(("asked", "length"), [("id", 0.02 * math.sqrt(6)), (0.5, 0.5), (3.0, 3.0)])
def test_one_constant_gives_vectors_their_row_length(asked: object, length: float) -> None:
    rows, _ = initial_table(Table.model_validate({"row_length": asked}), 30, 6, Z, seeded())
    assert row_length(rows) == pytest.approx(length, rel=1e-6)
    assert (rows.numpy() / Z).std() < 1e-6
    assert ItemTable(rows, Table(), 6).initial_length == pytest.approx(length, rel=1e-6)


def test_one_constant_gives_the_median_row_its_length() -> None:
    rows, _ = initial_table(Table(row_length="id-median"), 30, 6, Z, seeded())
    norms = np.linalg.norm(Z.astype(np.float64), axis=1)
    np.testing.assert_allclose(rows.numpy(), Z * (0.02 * math.sqrt(6) / np.median(norms)), rtol=1e-6)
    assert row_length(rows) > 1.05 * 0.02 * math.sqrt(6)
    ids = [initial_table(Table(init=RandomRows(), row_length=asked), 30, 6, None, seeded())[0] for asked in PLAIN]
    assert torch.equal(*ids)


@pytest.mark.parametrize("way", ["linear", "mlp", "sum", "moe", "shared", "dual", "contrasted", "spectral"])
def test_only_rows_of_the_table_have_a_median_length(way: str) -> None:
    with pytest.raises(ValueError, match="id-median is of rows that are the table's own"):
        Table.model_validate({"row_length": "id-median", "inject": {"kind": way}})


def test_an_id_table_has_the_default_length_by_its_own_spread_and_takes_another() -> None:
    plain, _ = initial_table(Table(init=RandomRows(id_sd=0.05)), 500, 32, None, seeded())
    longer, _ = initial_table(Table(init=RandomRows(id_sd=0.05), row_length=1.0), 500, 32, None, seeded())
    assert row_length(plain) == pytest.approx(0.05 * math.sqrt(32), rel=0.02)
    assert row_length(longer) == pytest.approx(1.0, rel=1e-6)
    torch.testing.assert_close(longer * row_length(plain), plain)


def turned(length: float, keep: bool = False, steps: int = 1) -> tuple[float, ItemTable]:
    """The mean angle by which one step of Adam turns unit rows that are this long, after some steps."""
    settings = Table(row_length=length, inject=Initialise(keep_lengths=keep))
    z = np.random.default_rng(1).standard_normal((40, 64)).astype(np.float32)
    table = ItemTable(initial_table(settings, 40, 64, z, seeded())[0], settings, 64)
    optimizer = torch.optim.Adam(table.parameters(), lr=1e-3)
    aim = torch.randn(40, 64, generator=seeded())
    for _ in range(steps):
        before = table()[1].detach().clone()
        optimizer.zero_grad()
        (table()[1] * aim).sum().backward()
        optimizer.step()
        table.restore_lengths()
    return float((before * table()[1].detach()).sum(1).clamp(max=1).arccos().mean()), table


def test_a_step_turns_rows_by_lr_root_d_over_their_length() -> None:
    long, short = turned(8.0)[0], turned(2.0)[0]
    assert long == pytest.approx(1e-3 * math.sqrt(64) / 8, rel=0.05)
    assert short == pytest.approx(1e-3 * math.sqrt(64) / 2, rel=0.05)
    assert short / long == pytest.approx(4, rel=0.02)


def test_rows_on_spheres_keep_their_lengths_and_free_ones_grow() -> None:
    kept, free = turned(0.5, keep=True, steps=50)[1], turned(0.5, steps=50)[1]
    assert kept.lengths is not None
    now = kept.weight.detach().norm(dim=1, keepdim=True)
    assert float((now / kept.lengths - 1).abs().max()) < 1e-6
    assert row_length(free.weight.detach()) > 0.5 * 1.01


@pytest.mark.parametrize(("scale", "factor"), [("one", 1.0), ("sqrt-d", math.sqrt(6)), ("trained", 1.0)])
def test_rows_are_scaled_where_they_enter_and_nowhere_else(scale: str, factor: float) -> None:
    table = ItemTable(torch.tensor(Z), Table.model_validate({"input_scale": scale, "normalize": "none"}), 6)
    entering, scoring = table()
    torch.testing.assert_close(entering, torch.tensor(Z) * factor)
    torch.testing.assert_close(scoring, torch.tensor(Z))
    names = {name for name, _ in table.named_parameters()}
    assert ("input_scale" in names) == (scale == "trained")


@pytest.mark.parametrize("adapter", [LinearAdapter(), MLPAdapter(), MLPAdapter(hidden="half-input")])
@pytest.mark.parametrize("asked", ["id", 0.5])
def test_an_adapter_makes_rows_of_the_length_that_is_asked_for_and_its_vectors_stay(
    adapter: LinearAdapter | MLPAdapter, asked: object
) -> None:
    settings = Table.model_validate({"inject": adapter, "row_length": asked})
    torch.manual_seed(0)
    table = ItemTable(initial_table(settings, 30, 4, Z, seeded())[0], settings, 4)
    torch.manual_seed(0)
    plain = ItemTable(torch.tensor(Z), Table(inject=adapter, row_length="as-it-comes"), 4)
    length = 0.02 * 2 if asked == "id" else 0.5
    assert torch.equal(table.weight, torch.tensor(Z))
    assert table.initial_length == pytest.approx(length, rel=1e-6)
    torch.testing.assert_close(table.rows() * (plain.initial_length / length), plain.rows())


def test_unit_rows_before_an_adapter_keep_their_root_mean_square() -> None:
    rows, _ = initial_table(Table(inject=LinearAdapter(unit_rows=True)), 30, 4, Z, seeded())
    torch.testing.assert_close(rows.norm(dim=1), torch.full((30,), row_length(torch.tensor(Z))))
