"""The packed step against slow plain forms in double precision: values, gradients, and which positions are computed."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from engine import spec
from engine.models.dropout import Dropout
from engine.models.sequential import recurrence
from engine.models.sequential.attention import attend, attend_used
from engine.models.sequential.layout import Layout
from engine.models.sequential.recommender import build
from engine.models.sequential.recurrence import TimeOrder, recur
from tests.engine.data.test_windows import sequences
from tests.engine.parts import table_of

CPU = torch.device("cpu")
HEADS, WIDTH = 2, 6
LENGTHS = [[5, 5, 5], [9, 8, 4, 4, 1], [1, 1], [3], [7, 2]]


def layout_of(lengths: list[int], used: list[int] | None = None) -> Layout:
    return Layout.of(torch.tensor(lengths), CPU, None if used is None else torch.tensor(used))


def plain_attention(qkv: Tensor, lengths: list[int], causal: bool) -> Tensor:
    """Softmax over the keys of each window, query by query."""
    out = []
    for window in qkv.split(lengths):
        q, k, v = window.view(len(window), 3, HEADS, -1).unbind(1)
        for i in range(len(window)):
            keys = slice(0, i + 1 if causal else len(window))
            p = (torch.einsum("hc,khc->hk", q[i], k[keys]) / math.sqrt(q.shape[-1])).softmax(-1)
            out.append(torch.einsum("hk,khc->hc", p, v[keys]).flatten())
    return torch.stack(out)


def assert_same(measured: Tensor, plain: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(measured, plain)
    upstream = torch.randn(plain.shape, generator=torch.Generator().manual_seed(5), dtype=plain.dtype)
    found, expected = (torch.autograd.grad(each, inputs, upstream, retain_graph=True) for each in (measured, plain))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_attention_equals_the_loop_over_queries(lengths: list[int], causal: bool) -> None:
    torch.manual_seed(0)
    qkv = torch.randn(sum(lengths), 3 * WIDTH, dtype=torch.float64, requires_grad=True)
    plain = plain_attention(qkv, lengths, causal)
    for once in (True, False):
        assert_same(attend(qkv, layout_of(lengths), HEADS, causal=causal, once=once), plain, [qkv])


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("which", ["last", "some", "one"])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_attention_at_the_positions_that_are_used_is_that_of_all(lengths: list[int], which: str, causal: bool) -> None:
    torch.manual_seed(0)
    total = sum(lengths)
    last = (torch.tensor(lengths).cumsum(0) - 1).tolist()
    used = {"last": last, "some": sorted({0, total // 2, total - 1}), "one": [total // 3]}[which]
    qkv = torch.randn(total, 3 * WIDTH, dtype=torch.float64, requires_grad=True)
    plain = plain_attention(qkv, lengths, causal)[used]
    layout = layout_of(lengths, used)
    if layout.used is None:
        assert len(used) == total
        return
    q, kv = qkv[:, :WIDTH].index_select(0, layout.used), qkv[:, WIDTH:]
    assert_same(attend_used(q, kv, layout, HEADS, causal=causal), plain, [qkv])


@pytest.mark.parametrize("rows", [1, 5, 512])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_the_recurrence_equals_torchs_own_on_every_window_alone(
    lengths: list[int], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many steps are taken together."""
    monkeypatch.setattr(recurrence, "_ROWS", rows)
    torch.manual_seed(0)
    gru = nn.GRU(4, 3, batch_first=True).double()
    x = torch.randn(sum(lengths), 4, dtype=torch.float64, requires_grad=True)
    plain = torch.cat([gru(window[None])[0][0] for window in x.split(lengths)])
    time = TimeOrder.of(torch.tensor(lengths))
    assert sum(time.counts) == len(x)
    assert torch.equal(time.order[time.back], torch.arange(len(x)))
    measured = recur(x[time.order], time.counts, gru.all_weights[0])[time.back]
    assert_same(measured, plain, [x, *gru.parameters()])


@pytest.mark.parametrize("lengths", [*LENGTHS, [50] * 40 + [31, 8, 8, 1]], ids=lambda lengths: str(lengths[-5:]))
def test_the_recurrence_gives_the_same_without_gradients(lengths: list[int]) -> None:
    gru, x, counts = nn.GRU(64, 128), torch.randn(sum(lengths), 64), TimeOrder.of(torch.tensor(lengths)).counts
    with torch.no_grad():
        alone = recur(x, counts, gru.all_weights[0])
    beside = recur(x, counts, gru.all_weights[0]).detach()
    torch.testing.assert_close(alone, beside)


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e5])
def test_the_recurrence_keeps_its_digits_for_small_and_for_huge_inputs(size: float) -> None:
    torch.manual_seed(0)
    gru = nn.GRU(8, 16, batch_first=True)
    x, counts = torch.randn(6, 8) * size, TimeOrder.of(torch.tensor([6])).counts
    exact = copy.deepcopy(gru).double()(x.double()[None])[0][0].float()
    states = recur(x, counts, gru.all_weights[0])
    torch.testing.assert_close(states, exact, atol=5e-7, rtol=0)
    states.sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in gru.parameters() if weight.grad is not None)


BACKBONES: list[spec.Backbone] = [
    spec.SASRec(width=8, max_length=12, inner=16),
    spec.GRU4Rec(width=8, max_length=12, hidden=16, layers=2),
    spec.BERT4Rec(width=8, max_length=12, inner=16),
    spec.HSTU(width=8, max_length=12, heads=2),
    spec.FMLPRec(width=8, max_length=12, inner=16),
    spec.BSARec(width=8, max_length=12, inner=16, components=3),
    spec.SRGNN(width=8, max_length=12, layers=2),
    spec.SASRec(width=8, max_length=12, inner=16, norm="post", positions="right"),
    spec.BERT4Rec(width=8, max_length=12, inner=16, norm="post", positions="right"),
]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda b: b.name)
def test_what_is_used_is_what_all_would_give_dropout_included(backbone: spec.Backbone, training: bool) -> None:
    """Also between evaluation with gradients, which takes the plain forms, and without, which takes the packed ones."""
    experiment = spec.Experiment(backbone=backbone, table=table_of(init="id", id_sd=1.0))
    model = build(experiment, sequences([5]), 20).train(training).double()
    lengths, used = [9, 8, 4, 4, 1], [1, 5, 8, 16, 22, 25]
    items = torch.randint(0, 20, (sum(lengths),))
    masked = None
    if isinstance(backbone, spec.BERT4Rec):
        masked = torch.zeros(len(items), dtype=torch.bool)
        masked[used] = True
    rows = model.table()[0]

    def represented(layout: Layout) -> Tensor:
        torch.manual_seed(3)
        return model.represent(rows, items, layout, masked)

    whole, part = represented(layout_of(lengths)), represented(layout_of(lengths, used))
    assert len(part) == len(used)
    torch.testing.assert_close(part, whole[used])
    with torch.no_grad():
        torch.testing.assert_close(represented(layout_of(lengths, used)), part)


def test_dropout_of_rows_draws_for_the_whole() -> None:
    drop, x, rows = Dropout(0.4).train(), torch.randn(7, 5), torch.tensor([1, 2, 6])
    torch.manual_seed(0)
    whole = drop(x)
    torch.manual_seed(0)
    part = drop.of_rows(x[rows], rows, len(x))
    assert torch.equal(part, whole[rows])
    assert drop.eval().of_rows(x[rows], rows, len(x)) is not None
    assert torch.equal(drop.of_rows(x[rows], rows, len(x)), x[rows])


def test_a_backbone_that_computes_all_positions_may_ignore_what_is_used() -> None:
    layout = layout_of([3, 2], [2, 4])
    x = torch.arange(5)
    assert layout.of_used(x).tolist() == [2, 4]
    assert layout.of_used(x[:2]).tolist() == [0, 1]
    assert layout_of([3, 2]).of_used(x) is x
    assert layout_of([1, 1], [0, 1]).used is None  # all are used
