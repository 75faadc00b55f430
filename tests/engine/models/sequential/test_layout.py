"""Packing: pad and unpad are inverse, and a window's representation does not depend on its company."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import spec
from engine.models.sequential.layout import Layout
from engine.models.sequential.recommender import SequentialRecommender, build
from tests.engine.data.test_windows import sequences
from tests.engine.parts import table_of

CPU = torch.device("cpu")
SMALL = {"width": 8, "max_length": 12}
BACKBONES: list[spec.Backbone] = [
    spec.SASRec(**SMALL, inner=16),
    spec.GRU4Rec(**SMALL, hidden=16),
    spec.BERT4Rec(**SMALL, inner=16),
    spec.HSTU(**SMALL, heads=2),
    spec.FMLPRec(**SMALL, inner=16),
    spec.BSARec(**SMALL, inner=16, components=3),
    spec.SRGNN(**SMALL, layers=2),
    spec.SASRec(**SMALL, inner=16, norm="post", positions="right"),
    spec.BERT4Rec(**SMALL, inner=16, norm="post", positions="right"),
]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_pad_and_unpad_are_inverse_and_positions_count_from_zero(sizes: list[int]) -> None:
    lengths = torch.tensor(sorted(sizes, reverse=True))
    layout = Layout.of(lengths, CPU)
    x = torch.randn(int(lengths.sum()), 3)
    assert torch.equal(torch.cat([group.unpad(group.pad(x)) for group in layout.groups]), x)
    assert layout.positions.tolist() == [p for size in lengths.tolist() for p in range(size)]
    assert (layout.last == lengths.cumsum(0) - 1).all()
    assert sum(group.count for group in layout.groups) == len(sizes)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_places_behind_a_window_hold_zeros_or_its_last_item(sizes: list[int]) -> None:
    lengths = torch.tensor(sorted(sizes, reverse=True))
    layout = Layout.of(lengths, CPU)
    x = torch.randn(int(lengths.sum()), 3)
    windows = iter(x.split(lengths.tolist()))
    for group in layout.groups:
        zeros, repeated = group.pad(x), group.repeat_part(x[group.start : group.stop])
        assert torch.equal(group.pad(x.clone().requires_grad_()).detach(), zeros)
        for padded, repeats in zip(zeros, repeated, strict=True):
            window = next(windows)
            assert torch.equal(padded[: len(window)], window) and not padded[len(window) :].any()
            assert torch.equal(repeats[: len(window)], window) and (repeats[len(window) :] == window[-1]).all()


def model_of(backbone: spec.Backbone, **table: object) -> SequentialRecommender:
    experiment = spec.Experiment(backbone=backbone, table=table_of(**({"init": "id", "id_sd": 1.0} | table)))
    return build(experiment, sequences([5]), 20).eval()


@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda b: b.name)
@settings(deadline=None, max_examples=15)
@given(sizes=st.lists(st.integers(1, 11), min_size=1, max_size=9), seed=st.integers(0, 1000))
def test_a_history_is_encoded_alike_alone_and_in_company(backbone: spec.Backbone, sizes: list[int], seed: int) -> None:
    model = model_of(backbone)
    assert max(sizes) <= model.history_length
    lengths = torch.tensor(sizes)
    items = torch.randint(0, 20, (sum(sizes),), generator=torch.Generator().manual_seed(seed))
    rows = model.table()[0]
    with torch.no_grad():
        together = model.after(rows, items, lengths)
        alone = torch.cat([model.after(rows, part, torch.tensor([len(part)])) for part in items.split(sizes)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", [*BACKBONES[:2], BACKBONES[3], BACKBONES[7]], ids=lambda b: b.name)
def test_causal_backbones_do_not_see_the_future(backbone: spec.Backbone) -> None:
    model = model_of(backbone)
    layout = Layout.of(torch.tensor([6, 4]), CPU)
    items = torch.arange(10)
    changed = items.clone()
    changed[4], changed[9] = 17, 18
    rows = model.table()[0]
    with torch.no_grad():
        before, after = (model.represent(rows, i, layout, None) for i in (items, changed))
    same = (before - after).abs().amax(1) < 1e-6
    assert same.tolist() == [True] * 4 + [False, False] + [True] * 3 + [False]


def test_masked_backbone_sees_both_sides_but_not_what_is_masked() -> None:
    model = model_of(BACKBONES[2])
    layout = Layout.of(torch.tensor([5]), CPU)
    masked = torch.tensor([False, False, True, False, False])
    rows = model.table()[0]

    def at_mask(items: list[int]) -> torch.Tensor:
        with torch.no_grad():
            return model.represent(rows, torch.tensor(items), layout, masked)[2]

    base = at_mask([1, 2, 3, 4, 5])
    torch.testing.assert_close(at_mask([1, 2, 9, 4, 5]), base)
    assert (at_mask([1, 2, 3, 4, 6]) - base).abs().max() > 1e-4
    assert (at_mask([7, 2, 3, 4, 5]) - base).abs().max() > 1e-4


def test_backbone_starts_alike_whatever_the_table() -> None:
    one, other = model_of(BACKBONES[0]), model_of(BACKBONES[0], normalize="none", id_sd=0.5)
    for name, weight in one.state_dict().items():
        assert name == "table.weight" or torch.equal(weight, other.state_dict()[name]), name
