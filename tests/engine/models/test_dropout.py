"""Dropout: the share that is dropped, the scale of the rest, the gradient, and the generator that decides."""

import pytest
import torch

from engine.models.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_drops_the_share_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1001, 333)
    out = Dropout(p)(x)
    share = float((out == 0).float().mean())
    sd = (p * (1 - p) / x.numel()) ** 0.5
    assert share == pytest.approx(p, abs=5 * sd)
    assert float(out.max()) == pytest.approx(1 / (1 - p), rel=1e-3)
    assert float(out.mean()) == pytest.approx(1, abs=6 * sd / (1 - p))


def test_elements_are_dropped_independently_of_their_neighbours() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(400_000)) != 0).double() - 0.5
    for lag in (1, 2, 3, 4, 5, 64):
        correlation = float((kept[:-lag] * kept[lag:]).mean()) * 4
        assert abs(correlation) < 5 / 400_000**0.5


def test_the_gradient_passes_where_the_value_did() -> None:
    torch.manual_seed(0)
    x = torch.randn(50, 7, requires_grad=True)
    out = Dropout(0.3)(x)
    (slope,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(slope * x, out)
    assert 0 < int((slope == 0).sum()) < x.numel()


def test_nothing_happens_in_evaluation_and_at_zero() -> None:
    x = torch.randn(9, 4)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_the_state_of_the_generator_decides() -> None:
    x = torch.ones(123)
    torch.manual_seed(3)
    first, second = Dropout(0.4)(x), Dropout(0.4)(x)
    torch.manual_seed(3)
    torch.testing.assert_close(Dropout(0.4)(x), first, rtol=0, atol=0)
    assert not torch.equal(first, second)
