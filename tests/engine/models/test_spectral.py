"""The SpecTran-like adapter: the spectrum it reads, its attention against a loop, its gradients."""

import math

import numpy as np
import pytest
import torch

from engine.errors import UserError
from engine.models.spectral import SpectralAttention, spectrum

Z = np.random.default_rng(0).standard_normal((40, 9)) * np.linspace(3, 0.1, 9) + 2.0


def adapter(log_shares: torch.Tensor, width: int = 4) -> SpectralAttention:
    torch.manual_seed(0)
    return SpectralAttention(log_shares, width)


@pytest.mark.parametrize("shape", [(40, 9), (6, 9)], ids=["tall", "more columns than items"])
def test_spectrum_is_that_of_the_centred_rows(shape: tuple[int, int]) -> None:
    z = Z[: shape[0]]
    scores, log_shares = spectrum(torch.tensor(z, dtype=torch.float32))
    centred = z - z.mean(0)
    singular = np.linalg.svd(centred, compute_uv=False)
    rank = min(len(z) - 1, 9)
    np.testing.assert_allclose(log_shares, np.log(singular[:rank] / singular[0]), atol=1e-5)
    a = scores.double().numpy()
    assert a.shape == (len(z), rank)
    np.testing.assert_allclose(a.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(a.T @ a / len(z), np.eye(rank), atol=1e-4)
    np.testing.assert_allclose((a * singular[:rank] ** 2) @ a.T / len(z), centred @ centred.T, atol=1e-3)


def test_rows_that_are_all_equal_are_refused() -> None:
    with pytest.raises(UserError, match="all item vectors are equal"):
        spectrum(torch.ones(5, 3))


def test_columns_attend_over_the_whole_spectrum_and_see_nothing_of_a_component_but_its_singular_value() -> None:
    log_shares = torch.tensor([0.0, -0.5, -0.5, -2.0, -8.0])
    layer = adapter(log_shares)
    w = layer.attention().detach()
    torch.testing.assert_close(w.sum(1), torch.ones(4))
    assert (w > 0).all()
    torch.testing.assert_close(w[:, 1], w[:, 2])
    with torch.no_grad():
        for parameter in layer.position.parameters():
            parameter.zero_()
    torch.testing.assert_close(layer.attention(), torch.softmax(log_shares, 0).expand(4, 5))


def test_forward_is_the_written_formula() -> None:
    scores, log_shares = spectrum(torch.tensor(Z, dtype=torch.float32))
    layer = adapter(log_shares)
    w = layer.attention()
    mixed = torch.zeros(len(scores), 4)
    for c in range(4):
        for j in range(len(log_shares)):
            mixed[:, c] += w[c, j] * (layer.readout[c] @ layer.values[j]) * scores[:, j]
    torch.testing.assert_close(layer(scores), mixed + layer.feed_forward(mixed))


def test_gradients_are_those_of_finite_differences() -> None:
    scores, log_shares = spectrum(torch.tensor(Z, dtype=torch.float32))
    layer = adapter(log_shares).double()
    names = [name for name, _ in layer.named_parameters()]

    def of(*values: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = torch.func.functional_call(
            layer, dict(zip(names, values, strict=True)), (scores[:5].double(),)
        )
        return rows

    weights = tuple(p.detach().clone().requires_grad_() for p in layer.parameters())
    assert torch.autograd.gradcheck(of, weights)
    assert all((g != 0).any() for g in torch.autograd.grad(of(*weights).square().sum(), weights))


@pytest.mark.parametrize("weakest", [0.001, 1.0])
def test_rows_start_at_length_one_whatever_the_spectrum(weakest: float) -> None:
    z = torch.randn(500, 384, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, math.log10(weakest), 384)
    scores, log_shares = spectrum(z)
    mixed = scores @ adapter(log_shares, 64).weights().detach().T
    assert float(mixed.square().sum(1).mean().sqrt()) == pytest.approx(1.0, abs=1e-3)
