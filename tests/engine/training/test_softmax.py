"""The full softmax in tiles against torch's plain form in double precision, at and beyond the bound."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.training import softmax


def parts(count: int, n_items: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    h = torch.randn(count, 8, dtype=dtype, requires_grad=True)
    rows = torch.randn(n_items, 8, dtype=dtype, requires_grad=True)
    return h, rows, torch.randint(0, n_items, (count,))


def assert_equals_plain(h: Tensor, rows: Tensor, targets: Tensor, rtol: float = 1e-9) -> None:
    plain_h, plain_rows = (each.detach().double().requires_grad_() for each in (h, rows))
    plain = F.cross_entropy(plain_h @ plain_rows.T, targets)
    expected = torch.autograd.grad(3 * plain, [plain_h, plain_rows])
    measured = softmax.softmax_cross_entropy(h, rows, targets)
    torch.testing.assert_close(measured.double(), plain, rtol=rtol, atol=rtol)
    for one, other in zip(torch.autograd.grad(3 * measured, [h, rows]), expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=rtol, atol=rtol * max(1.0, float(other.abs().max())))


@pytest.mark.parametrize("shift", [True, False], ids=["shifted", "not shifted"])
@pytest.mark.parametrize(("targets", "items", "held"), [(7, 5, 1 << 26), (64, 17, 1 << 26), (5, 4, 40), (1, 1, 1)])
def test_any_tiling_equals_the_plain_form(
    targets: int, items: int, held: int, shift: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(softmax, "_TARGETS", targets)
    monkeypatch.setattr(softmax, "_ITEMS", items)
    monkeypatch.setattr(softmax, "_WHOLE", 0)
    monkeypatch.setattr(softmax, "_HELD", held)
    monkeypatch.setattr(softmax, "SAFE_LOG2", 0.0 if shift else softmax.SAFE_LOG2)
    assert_equals_plain(*parts(23, 17))


def test_a_small_catalogue_is_one_tile_of_as_many_targets_as_fit() -> None:
    assert_equals_plain(*parts(600, 3000))


@pytest.mark.parametrize("of_bound", [0.999, 1.001], ids=["at the bound", "beyond it"])
@pytest.mark.parametrize("sign", [1, -1])
def test_scores_at_the_bound_lose_nothing_in_float32(of_bound: float, sign: int) -> None:
    """The worst that the bound lets through: a query along the longest row, so that one score has the bound's size (or
    all others are as far below zero); the shift beyond it changes nothing that float32 can tell."""
    h, rows, targets = parts(40, 5000, torch.float32)
    rows = rows.detach() / rows.detach().norm(dim=1).max()
    h = sign * rows[:40] / rows[:40].norm(dim=1, keepdim=True)
    h = h * (of_bound * softmax.SAFE_LOG2 / softmax.LOG2_E / rows.norm(dim=1).max())
    assert softmax.bounded(h * softmax.LOG2_E, rows) == (of_bound < 1)
    assert_equals_plain(h.requires_grad_(), rows.requires_grad_(), targets, rtol=3e-5)


def test_every_score_at_either_end_of_the_bound_keeps_sums_and_gradients_normal() -> None:
    rows = torch.ones(1 << 10, 4) / 2  # all scores alike: the sum is n times the largest, or the smallest, weight
    for sign in (1, -1):
        h = sign * torch.full((2, 4), softmax.SAFE_LOG2 / softmax.LOG2_E / 2 * 0.999)
        assert_equals_plain(h.requires_grad_(), rows.clone().requires_grad_(), torch.tensor([0, 5]), rtol=1e-4)


def test_what_is_not_finite_is_shifted_and_stays_visible() -> None:
    h, rows, targets = parts(6, 9, torch.float32)
    for bad in (torch.nan, torch.inf):
        spoilt = rows.detach().clone()
        spoilt[3, 0] = bad
        assert not softmax.bounded(h.detach(), spoilt)
        assert not torch.isfinite(softmax.softmax_cross_entropy(h, spoilt, targets))


def test_only_what_is_trained_gets_a_gradient_and_large_scores_stay_finite() -> None:
    h, rows = torch.randn(5, 4, requires_grad=True), torch.randn(6, 4) * 1e4
    targets = torch.arange(5)
    loss = softmax.softmax_cross_entropy(h, rows, targets)
    torch.testing.assert_close(loss, F.cross_entropy(h @ rows.T, targets))
    loss.backward()
    assert h.grad is not None
    assert torch.isfinite(h.grad).all()
    with torch.no_grad():
        torch.testing.assert_close(softmax.softmax_cross_entropy(h, rows, targets), loss.detach())


@pytest.mark.parametrize("items", [17, 5000], ids=["one tile", "tiles"])
def test_bf16_factors_give_the_plain_form_of_rounded_ones(items: int) -> None:
    h, rows, targets = parts(300, items, torch.float32)
    plain = F.cross_entropy(h.double() @ rows.double().T, targets)
    measured = softmax.softmax_cross_entropy(h, rows, targets, torch.bfloat16)
    torch.testing.assert_close(measured.double(), plain, rtol=2e-3, atol=0)
    wanted = torch.autograd.grad(plain, [h, rows])
    for one, other in zip(torch.autograd.grad(measured, [h, rows]), wanted, strict=True):
        assert one.dtype == torch.float32
        assert 0 < (one - other).norm() < 0.02 * other.norm()  # bf16 keeps 8 digits of a number, 2^-9 = .002


def test_scores_beyond_the_bound_are_not_rounded_to_bf16() -> None:
    h, rows, targets = parts(6, 9, torch.float32)
    exact = softmax.softmax_cross_entropy(h * 1e3, rows, targets)
    assert torch.equal(softmax.softmax_cross_entropy(h * 1e3, rows, targets, torch.bfloat16), exact)
