"""The losses on sampled negatives against their formulas, values and gradients."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.data.windows import draw_negatives
from engine.errors import UserError
from engine.spec import BCE, BPR, GBCE, BinaryLoss, LossPart, SampledCE
from engine.training import losses

# ------------------------------------------------------------------------------------ sampled negatives

N, ITEMS, K = 23, 17, 5


def plain(loss: LossPart, scores: Tensor, target: int, negatives: list[int]) -> Tensor:
    """One target's loss from all its scores [n], as the formulas are written."""
    k, n = len(negatives), len(scores)
    drawn = scores[torch.tensor(negatives)]
    if isinstance(loss, SampledCE):
        if loss.log_q:
            drawn = drawn + math.log((n - 1) / k)
        return -torch.log(scores[target].exp() / (scores[target].exp() + drawn.exp().sum()))
    if isinstance(loss, BPR):
        return -torch.log(torch.sigmoid(scores[target] - drawn)).mean()
    beta = 1.0
    if isinstance(loss, GBCE):
        alpha, t = k / (n - 1), loss.t
        beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    assert isinstance(loss, BinaryLoss)
    if loss.offset:
        scores = scores + math.log(beta / k)
        drawn = drawn + math.log(beta / k)
    positive, negative = torch.sigmoid(scores[target]), torch.sigmoid(drawn)
    return -(torch.log(positive**beta) + torch.log(1 - negative).sum()) / (k + 1)


def minimised(loss: LossPart, h: Tensor, rows: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    return losses.criterion(loss, len(rows))(h, rows, targets, negatives)


SAMPLED = [
    SampledCE(negatives=K),
    SampledCE(negatives=K, log_q=True),
    BCE(negatives=K),
    BCE(),
    GBCE(negatives=K),
    GBCE(negatives=K, t=0.2),
    GBCE(negatives=K, offset=True),
    BPR(),
    BPR(negatives=K),
]


def spec_text(loss: LossPart) -> str:
    return "-".join(map(str, loss.model_dump().values()))


@pytest.mark.parametrize("dense", [0, 100], ids=["rows of the negatives", "all rows"])
@pytest.mark.parametrize("cells", [1, 100, 1 << 20])
@pytest.mark.parametrize("loss", SAMPLED, ids=spec_text)
def test_sampled_losses_equal_the_formulas(
    loss: LossPart, cells: int, dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "_CPU_CELLS", cells)
    monkeypatch.setattr(losses, "_DENSE", dense)
    torch.manual_seed(0)
    h = torch.randn(N, 8, dtype=torch.float64, requires_grad=True)
    rows = torch.randn(ITEMS, 8, dtype=torch.float64, requires_grad=True)
    targets = np.random.default_rng(0).integers(0, ITEMS, N)
    drawn = draw_negatives(targets, loss.n_negatives, ITEMS, np.random.default_rng(1))
    each = [plain(loss, rows @ h[i], int(targets[i]), drawn[i].tolist()) for i in range(N)]
    mean = torch.stack(each).mean()
    expected = torch.autograd.grad(3 * mean, [h, rows])
    found = minimised(loss, h, rows, torch.from_numpy(targets), torch.from_numpy(drawn))
    torch.testing.assert_close(found, mean)
    for one, other in zip(torch.autograd.grad(3 * found, [h, rows]), expected, strict=True):
        torch.testing.assert_close(one, other)


def others(targets: Tensor, n: int) -> Tensor:
    """All other items of each target."""
    return torch.tensor([[i for i in range(n) if i != target] for target in targets.tolist()])


@pytest.mark.parametrize("log_q", [False, True])
def test_a_softmax_over_every_other_item_is_the_full_one(log_q: bool) -> None:
    torch.manual_seed(0)
    h, rows, targets = torch.randn(N, 8), torch.randn(ITEMS, 8), torch.randint(0, ITEMS, (N,))
    loss = SampledCE(negatives=ITEMS - 1, log_q=log_q)
    found = minimised(loss, h, rows, targets, others(targets, ITEMS))
    torch.testing.assert_close(found, F.cross_entropy(h @ rows.T, targets))


def test_log_q_makes_the_sum_over_negatives_estimate_the_sum_over_all_others() -> None:
    torch.manual_seed(0)
    h, rows, target, k = torch.randn(1, 8), 0.3 * torch.randn(ITEMS, 8), torch.tensor([3]), 4
    drawn = torch.from_numpy(draw_negatives(np.full(20_000, 3), k, ITEMS, np.random.default_rng(0)))
    scores = (h @ rows.T)[0]
    sums = scores[drawn].exp().sum(1) * (ITEMS - 1) / k
    exact = scores.exp().sum() - scores[3].exp()
    assert abs(float(sums.mean() - exact)) < 4 * float(sums.std()) / math.sqrt(len(sums))
    one = minimised(SampledCE(negatives=k, log_q=True), h, rows, target, drawn[:1])
    torch.testing.assert_close(one, torch.log(scores[3].exp() + sums[0]) - scores[3])


def test_the_exponent_of_gbce() -> None:
    assert losses.gbce_beta(256, 1025, 0.0) == 1
    assert losses.gbce_beta(256, 1025, 1.0) == pytest.approx(0.25)
    assert losses.gbce_beta(256, 1025, 0.75) == pytest.approx(0.25 * (0.75 * (1 - 4) + 4))  # = .4375
    assert losses.gbce_beta(16, 17, 0.75) == 1
    torch.manual_seed(0)
    h, rows, targets = torch.randn(N, 8), torch.randn(ITEMS, 8), torch.randint(0, ITEMS, (N,))
    drawn = others(targets, ITEMS)[:, :K]
    bce = minimised(BCE(negatives=K), h, rows, targets, drawn)
    gbce = minimised(GBCE(negatives=K, t=0.0), h, rows, targets, drawn)
    assert torch.equal(bce, gbce)


def test_with_the_offset_an_untrained_model_gives_candidates_the_share_of_targets() -> None:
    """At scores of 0 the gradient of a target and that of its k negatives weigh the same, to first order in 1 / k."""
    zero, k = torch.zeros(1, 1), 400
    _, target, negatives = losses.binary(zero, torch.zeros(1, k), beta=1.0, offset=math.log(1 / k))
    assert float(negatives.sum() / -target.sum()) == pytest.approx(1, abs=2 / k)
    _, target, negatives = losses.binary(zero, torch.zeros(1, k), beta=1.0)
    assert float(negatives.sum() / -target.sum()) == pytest.approx(k)


@pytest.mark.parametrize(
    ("loss", "odds"),
    [
        (SampledCE(negatives=5), lambda p: p),
        (BCE(negatives=5), lambda p: p / (1 - p)),
        (GBCE(negatives=5, t=0.5), lambda p: p / (1 - p)),
        (GBCE(negatives=5, t=0.5, offset=True), lambda p: p / (1 - p)),
    ],
    ids=lambda v: getattr(v, "kind", ""),
)
def test_every_loss_is_least_where_scores_follow_what_comes_next(
    loss: LossPart, odds: Callable[[Tensor], Tensor]
) -> None:
    """Free scores of six items, targets in proportion to p: e^score is in proportion to `odds` of p at the minimum."""
    counts = torch.tensor([40, 25, 15, 10, 6, 4])
    p = counts / counts.sum()
    targets = torch.repeat_interleave(torch.arange(6), counts)
    scores = torch.zeros(6, 1, dtype=torch.float64, requires_grad=True)
    h = torch.ones(len(targets), 1, dtype=torch.float64)
    optimizer = torch.optim.LBFGS([scores], lr=1, max_iter=200, tolerance_grad=1e-10)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = minimised(loss, h, scores, targets, others(targets, 6))
        value.backward()
        return value

    optimizer.step(closure)
    expected = odds(p.double())
    torch.testing.assert_close(torch.softmax(scores.detach()[:, 0], 0), expected / expected.sum(), atol=1e-4, rtol=1e-3)


def test_more_negatives_than_other_items_are_refused_in_one_line() -> None:
    losses.criterion(GBCE(negatives=16), ITEMS)
    with pytest.raises(UserError, match=r"^train.loss.negatives: 17 against each target, but the catalogue has"):
        losses.criterion(GBCE(negatives=17), ITEMS)
    with pytest.raises(UserError, match=r"256 against each target"):
        losses.criterion(SampledCE(), ITEMS)
