"""Lanczos and products with Hessians against dense matrices, on a tiny model."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.geometry.curvature.lanczos import lanczos, quadrature
from engine.geometry.curvature.parameter_space import (
    flat,
    gauss_newton_product,
    hessian_product,
    other_factor,
    parameter_curvature,
    unflat,
)


def spread(seed: int, size: int) -> Tensor:
    draw = np.random.default_rng(seed)
    q, _ = np.linalg.qr(draw.standard_normal((size, size)))
    return torch.from_numpy((q * np.linspace(-1, 5, size) ** 3) @ q.T)


def test_lanczos_of_as_many_steps_as_dimensions_finds_every_eigenvalue() -> None:
    a = spread(0, 30)
    ritz = lanczos(lambda v: a @ v, torch.from_numpy(np.random.default_rng(0).standard_normal(30)), 99)
    np.testing.assert_allclose(ritz.nodes, np.linalg.eigvalsh(a.numpy()), atol=1e-8)
    assert ritz.weights.sum() == pytest.approx(1.0)
    few = lanczos(lambda v: a @ v, torch.ones(30, dtype=torch.float64), 12)
    assert few.nodes.max() == pytest.approx(125.0, rel=1e-4)


def test_lanczos_ends_where_the_krylov_space_ends() -> None:
    ritz = lanczos(lambda v: 3.0 * v, torch.ones(10, dtype=torch.float64), 8)
    np.testing.assert_allclose(ritz.nodes, [3.0])


def test_quadrature_is_within_its_stated_error() -> None:
    a = spread(1, 200)
    found = quadrature(lambda v: a @ v, 200, steps=(60, 30), probes=20, like=torch.zeros(1, dtype=torch.float64))
    values = np.linalg.eigvalsh(a.numpy())
    assert found.largest == pytest.approx(values[-1], rel=1e-6)
    mean, error = found.mean(lambda x: x)
    assert abs(mean - values.mean()) < 4 * error
    below, error = found.mean(lambda x: (x < 1).astype(np.float64))
    assert abs(below - (values < 1).mean()) < 4 * error + 0.03  # a step function has a resolution


class Tiny(torch.nn.Module):
    """Two layers and a table of 6 items; float64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = torch.nn.Linear(4, 5), torch.nn.Linear(5, 3)
        self.table = torch.nn.Parameter(torch.randn(6, 3))
        self.register_buffer("x", torch.randn(7, 4))
        self.double()

    def h(self) -> Tensor:
        out: Tensor = self.two(torch.tanh(self.one(self.x)))
        return out

    def scores(self) -> Tensor:
        return self.h() @ self.table.T


@pytest.fixture
def tiny() -> Tiny:
    return Tiny()


TARGETS = torch.tensor([0, 1, 2, 3, 4, 5, 0])


def dense(product: object, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    assert callable(product)
    return np.stack([product(torch.eye(size, dtype=torch.float64)[i]).numpy() for i in range(size)])


def of_vector(tiny: Tiny, vector: Tensor) -> Tensor:
    """The scores as a function of one vector of all parameters."""
    names = [name for name, _ in tiny.named_parameters()]
    parts = unflat(vector, list(tiny.parameters()))
    out: Tensor = torch.func.functional_call(tiny, dict(zip(names, parts, strict=True)), ())
    return out


def test_products_equal_autograds_dense_matrices(tiny: Tiny) -> None:
    tiny.forward = tiny.scores
    parameters = list(tiny.parameters())
    start = flat(parameters, parameters)
    size = len(start)
    full = hessian_product(F.cross_entropy(tiny.scores(), TARGETS), parameters)
    expected = torch.autograd.functional.hessian(lambda v: F.cross_entropy(of_vector(tiny, v), TARGETS), start)
    np.testing.assert_allclose(dense(full, size), expected.numpy(), atol=1e-10)

    jacobian = torch.autograd.functional.jacobian(lambda v: of_vector(tiny, v), start)
    newton = torch.zeros(size, size, dtype=torch.float64)
    for rows, p in zip(jacobian, tiny.scores().detach().softmax(1), strict=True):
        newton += rows.T @ (torch.diag(p) - torch.outer(p, p)) @ rows / len(TARGETS)
    np.testing.assert_allclose(dense(gauss_newton_product(tiny.scores(), parameters), size), newton.numpy(), atol=1e-10)

    found = parameter_curvature(tiny.scores, TARGETS, parameters, steps=(size, size), probes=12)
    values, of_newton = (np.linalg.eigvalsh(m.numpy()) for m in (expected, newton))
    assert found["hessian"]["lambda_1"] == pytest.approx(values[-1], rel=1e-6)
    assert found["gauss_newton"]["lambda_1"] == pytest.approx(of_newton[-1], rel=1e-6)
    assert abs(found["hessian"]["trace"] - values.sum()) < 4 * found["hessian"]["trace_se"] + 1e-9
    assert found["gauss_newton"]["negative_mass"] == pytest.approx(0.0, abs=1e-8)
    assert 0 < found["hessian"]["negative_mass"] < 0.6
    small = (np.abs(of_newton) < 1e-3 * of_newton[-1]).mean()
    assert found["gauss_newton"]["below_1e-3"] == pytest.approx(small, abs=0.15)
    assert sum(cell["share"] for cell in found["hessian"]["density"]) == pytest.approx(1.0)
    rest = np.linalg.norm(expected - newton) / np.linalg.norm(expected)
    assert found["rest"] == pytest.approx(rest, rel=0.3)


def test_a_parameter_that_takes_no_part_changes_nothing(tiny: Tiny) -> None:
    idle = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    parameters = [*tiny.parameters(), idle]
    v = torch.ones(sum(p.numel() for p in parameters), dtype=torch.float64)
    for product in (
        hessian_product(F.cross_entropy(tiny.scores(), TARGETS), parameters),
        gauss_newton_product(tiny.scores(), parameters),
    ):
        assert not product(v)[-2:].any()


def test_ostrowski_holds_and_the_dominant_factor_is_named(tiny: Tiny) -> None:
    network = [*tiny.one.parameters(), *tiny.two.parameters()]
    table = tiny.table.detach().numpy()
    p = tiny.scores().detach().softmax(1).numpy()
    found = other_factor(lambda s: tiny.h()[s], table, p, network)
    assert found["inside"] == 1.0
    assert found["samples"] == 7
    assert found["kappa_h"] / found["kappa_k"] <= found["kappa_jhj"] * (1 + 1e-9) or found["samples"] > 1
    stretched = table * np.array([100.0, 1.0, 0.01])
    assert other_factor(lambda s: tiny.h()[s], stretched, p, network)["dominant"] == "H"
    with torch.no_grad():
        tiny.two.weight[:, :] = tiny.two.weight[0]  # one direction of h moves much more than the others
    assert (
        other_factor(lambda s: tiny.h()[s] * torch.tensor([100.0, 1.0, 0.01]), table, p, network)["dominant"] == "JJ^T"
    )
