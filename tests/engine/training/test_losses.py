"""The blocked cross-entropy against torch's plain one, values and gradients."""

import pytest
import torch
import torch.nn.functional as F

from engine.training import losses


@pytest.mark.parametrize("cells", [1, 40, 1 << 20])
def test_equals_the_plain_form(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "_CPU_CELLS", cells)
    torch.manual_seed(0)
    h, rows = torch.randn(23, 8, requires_grad=True), torch.randn(17, 8, requires_grad=True)
    targets = torch.randint(0, 17, (23,))
    plain = F.cross_entropy(h @ rows.T, targets)
    expected = torch.autograd.grad(3 * plain, [h, rows])
    found = losses.softmax_cross_entropy(h, rows, targets)
    torch.testing.assert_close(found, plain)
    for one, other in zip(torch.autograd.grad(3 * found, [h, rows]), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_only_what_is_trained_gets_a_gradient_and_large_scores_stay_finite() -> None:
    h, rows = torch.randn(5, 4, requires_grad=True), torch.randn(6, 4) * 1e4
    targets = torch.arange(5)
    loss = losses.softmax_cross_entropy(h, rows, targets)
    torch.testing.assert_close(loss, F.cross_entropy(h @ rows.T, targets))
    loss.backward()
    assert h.grad is not None
    assert torch.isfinite(h.grad).all()
    with torch.no_grad():
        torch.testing.assert_close(losses.softmax_cross_entropy(h, rows, targets), loss.detach())
