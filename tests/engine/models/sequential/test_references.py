"""Backbones against their equations in plain loops, one history at a time, in double precision."""

import cmath
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine import spec
from engine.models.sequential.bert4rec import BERT4RecEncoder
from engine.models.sequential.bsarec import BSARecEncoder
from engine.models.sequential.fmlp_rec import FMLPRecEncoder
from engine.models.sequential.hstu import HSTUEncoder
from engine.models.sequential.layout import Layout
from engine.models.sequential.post_norm import FeedForward, PositionedInput
from engine.models.sequential.recommender import SequentialRecommender, build
from engine.models.sequential.sasrec import SASRecEncoder
from engine.models.sequential.sr_gnn import SRGNNEncoder
from engine.models.sequential.transformer import Block
from tests.engine.data.test_windows import sequences
from tests.engine.parts import table_of

WIDTH, N_ITEMS = 6, 20
SIZES = [9, 8, 5, 2, 1]


def model_of(backbone: spec.Backbone) -> SequentialRecommender:
    experiment = spec.Experiment(backbone=backbone, table=table_of(init="id", id_sd=1.0))
    model = build(experiment, sequences([5]), N_ITEMS).eval().double()
    for name, parameter in model.named_parameters():
        if name.startswith("table."):
            continue
        with torch.no_grad():  # far from where training starts, so that every term counts
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    return model


def histories() -> list[list[int]]:
    """With items that come back."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 7, (size,), generator=generator).tolist() for size in SIZES]


def encoded(model: SequentialRecommender, windows: list[list[int]], times: Tensor | None = None) -> Tensor:
    """All positions of packed windows, [T, d]."""
    lengths = torch.tensor([len(window) for window in windows])
    items = torch.tensor([item for window in windows for item in window])
    layout = replace(Layout.of(lengths, items.device), times=times)
    return model.represent(model.table()[0], items, layout, None)


def norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    """[d] -> [d]."""
    centred = x - x.mean()
    return centred / torch.sqrt((centred**2).mean() + layer.eps) * layer.weight + layer.bias


def entered(layer: PositionedInput, vectors: Tensor) -> list[Tensor]:
    return [norm(layer.norm, v + layer.positions[len(vectors) - 1 - t]) for t, v in enumerate(vectors)]


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def fed_forward(layer: FeedForward, x: Tensor) -> Tensor:
    inner = gelu(layer.widen.weight @ x + layer.widen.bias)
    return norm(layer.residual.norm, x + layer.narrow.weight @ inner + layer.narrow.bias)


def transformed(signal: list[Tensor]) -> list[Tensor]:
    """Discrete Fourier transform of real vectors, term by term."""
    n = len(signal)
    spectrum = []
    for f in range(n):
        waves = [x.to(torch.complex128) * cmath.exp(-2j * cmath.pi * f * t / n) for t, x in enumerate(signal)]
        spectrum.append(torch.stack(waves).sum(0))
    return spectrum


def back(spectrum: list[Tensor]) -> list[Tensor]:
    """Its inverse; the real part."""
    n = len(spectrum)
    signal = []
    for t in range(n):
        waves = [x * cmath.exp(2j * cmath.pi * f * t / n) for f, x in enumerate(spectrum)]
        signal.append(torch.stack(waves).sum(0).real / n)
    return signal


def padded(rows: list[Tensor], length: int) -> list[Tensor]:
    """Zeros before the window, up to the full length."""
    return [torch.zeros(WIDTH, dtype=torch.float64)] * (length - len(rows)) + rows


def transformer(model: Any, vectors: Tensor, settings: spec.TransformerBackbone, causal: bool) -> Tensor:
    """Place by place, head by head, with the LayerNorms where `norm` says."""
    pre, n = settings.norm == "pre", len(vectors)
    places = [t if settings.positions == "left" else n - 1 - t for t in range(n)]
    x = [v + model.positions[place] for v, place in zip(vectors, places, strict=True)]
    x = x if pre else [norm(model.norm, row) for row in x]
    size = WIDTH // settings.heads
    for block in model.blocks:
        entering = [norm(block.before_attention, row) for row in x] if pre else x
        q, k, v = zip(*((block.qkv.weight @ row + block.qkv.bias).split(WIDTH) for row in entering), strict=True)
        new = []
        for t in range(n):
            seen = range(t + 1 if causal else n)
            heads = []
            for part in (slice(h * size, (h + 1) * size) for h in range(settings.heads)):
                p = torch.stack([q[t][part] @ k[s][part] / math.sqrt(size) for s in seen]).exp()
                heads.append(sum(w * v[s][part] for w, s in zip(p / p.sum(), seen, strict=True)))
            row = x[t] + block.out.weight @ torch.cat(heads) + block.out.bias
            row = row if pre else norm(block.before_attention, row)
            inner = block.widen.weight @ (norm(block.before_mlp, row) if pre else row) + block.widen.bias
            row = row + block.narrow.weight @ gelu(inner) + block.narrow.bias
            new.append(row if pre else norm(block.before_mlp, row))
        x = new
    return torch.stack([norm(model.norm, row) for row in x] if pre else x)


LAYOUTS = [("pre", "left"), ("pre", "right"), ("post", "left"), ("post", "right")]


@pytest.mark.parametrize(("where", "positions"), LAYOUTS)
def test_sasrec_is_its_equations_place_by_place(where: Any, positions: Any) -> None:
    settings = spec.SASRec(width=WIDTH, max_length=12, inner=10, norm=where, positions=positions)
    model = model_of(settings)
    rows, backbone = model.table()[0], model.backbone
    assert isinstance(backbone, SASRecEncoder)
    expected = [transformer(backbone.transformer, rows[window], settings, causal=True) for window in histories()]
    torch.testing.assert_close(encoded(model, histories()), torch.cat(expected))


@pytest.mark.parametrize(("where", "positions"), LAYOUTS)
def test_bert4rec_is_its_equations_behind_a_history(where: Any, positions: Any) -> None:
    """The query of each history is the head's output at a mask behind it."""
    settings = spec.BERT4Rec(width=WIDTH, max_length=12, inner=10, norm=where, positions=positions)
    model = model_of(settings)
    rows = model.table()[0]
    backbone: object = model.backbone
    assert isinstance(backbone, BERT4RecEncoder)
    mix, after_mix = backbone.head[0], backbone.head[2]
    assert isinstance(mix, nn.Linear) and isinstance(after_mix, nn.LayerNorm)
    expected = []
    for window in histories():
        last = transformer(backbone.transformer, torch.cat([rows[window], backbone.mask[None]]), settings, False)[-1]
        expected.append(norm(after_mix, gelu(mix.weight @ last + mix.bias)))
    flat = torch.tensor([item for window in histories() for item in window])
    torch.testing.assert_close(model.after(rows, flat, torch.tensor(SIZES)), torch.stack(expected))


def test_attention_dropout_drops_weights_and_keeps_their_mean() -> None:
    """In training alone, and as often as it says: over many draws the mean is what evaluation computes."""
    settings = spec.SASRec(width=WIDTH, max_length=12, layers=1, inner=10, dropout=0, attention_dropout=0.3)
    backbone = model_of(settings).backbone
    assert isinstance(backbone, SASRecEncoder)
    block = backbone.transformer.blocks[0]
    assert isinstance(block, Block)
    layout, x = Layout.of(torch.tensor([3]), torch.device("cpu")), torch.randn(3, WIDTH, dtype=torch.float64)
    for used in (None, torch.tensor([0, 2])):
        where = layout if used is None else Layout.of(torch.tensor([3]), x.device, used)
        with torch.no_grad():
            torch.manual_seed(0)
            kept = block.eval()._attended(x, where, used)
            block.train()
            drawn = torch.stack([block._attended(x, where, used) for _ in range(1500)])
        lost = (drawn[:, 0].abs().amax(1) < 1e-12).double().mean()  # the first place sees itself alone, in two heads
        assert abs(float(lost) - 0.3**2) < 0.04
        assert float((drawn.mean(0) - kept).abs().max()) < 0.1 * float(kept.abs().max())
    plain = model_of(spec.SASRec(width=WIDTH, max_length=12, layers=1, inner=10, dropout=0)).train()
    assert torch.equal(encoded(plain, histories()), encoded(plain, histories()))


def fmlp_rec(encoder: Any, vectors: Tensor, length: int) -> Tensor:
    x = entered(encoder.enter, vectors)
    for layer, mlp in zip(encoder.filters, encoder.mlps, strict=True):
        half = torch.view_as_complex(layer.weight.detach())
        spectrum = transformed(padded(x, length))
        kept = [half[f] * spectrum[f] for f in range(length // 2 + 1)]
        kept[0] = kept[0].real.to(torch.complex128)  # a real signal has a real mean, and a real last frequency
        if length % 2 == 0:
            kept[-1] = kept[-1].real.to(torch.complex128)
        whole = kept + [kept[length - f].conj() for f in range(length // 2 + 1, length)]
        filtered = back(whole)[length - len(x) :]
        x = [fed_forward(mlp, norm(layer.residual.norm, row + change)) for row, change in zip(x, filtered, strict=True)]
    return torch.stack(x)


@pytest.mark.parametrize("length", [9, 12, 20])
def test_fmlp_rec_is_its_equations_over_the_padded_sequence(length: int) -> None:
    model = model_of(spec.FMLPRec(width=WIDTH, max_length=length, inner=10))
    encoder, rows = model.backbone, model.table()[0]
    assert isinstance(encoder, FMLPRecEncoder)
    expected = [fmlp_rec(encoder, rows[window], length) for window in histories()]
    torch.testing.assert_close(encoded(model, histories()), torch.cat(expected))


def bsarec(encoder: Any, vectors: Tensor, length: int, components: int) -> Tensor:
    x = entered(encoder.enter, vectors)
    for block in encoder.blocks:
        spectrum = transformed(padded(x, length))
        low_ones = set(range(components // 2 + 1)) | {length - f for f in range(1, components // 2 + 1)}
        low = back([part if f in low_ones else 0 * part for f, part in enumerate(spectrum)])[length - len(x) :]
        beta, after_rescaler = block.rescaler.beta, block.rescaler.residual.norm
        rescaled = [norm(after_rescaler, row + slow + beta**2 * (row - slow)) for row, slow in zip(x, low, strict=True)]
        attention, attended = block.attention, []
        size = WIDTH // attention.heads
        for t in range(len(x)):
            q, k, v = zip(
                *((attention.qkv.weight @ x[s] + attention.qkv.bias).split(WIDTH) for s in range(t + 1)), strict=True
            )
            heads = []
            for part in (slice(h * size, (h + 1) * size) for h in range(attention.heads)):
                p = torch.stack([q[t][part] @ each[part] / math.sqrt(size) for each in k]).exp()
                heads.append(sum(w * each[part] for w, each in zip(p / p.sum(), v, strict=True)))
            out = attention.out.weight @ torch.cat(heads) + attention.out.bias
            attended.append(norm(attention.residual.norm, x[t] + out))
        x = [
            fed_forward(block.mlp, block.alpha * r + (1 - block.alpha) * a)
            for r, a in zip(rescaled, attended, strict=True)
        ]
    return torch.stack(x)


@pytest.mark.parametrize(("length", "components"), [(9, 1), (12, 5), (12, 9), (9, 9)])
def test_bsarec_is_its_equations_over_the_padded_sequence(length: int, components: int) -> None:
    model = model_of(spec.BSARec(width=WIDTH, max_length=length, inner=10, components=components, alpha=0.3))
    encoder, rows = model.backbone, model.table()[0]
    assert isinstance(encoder, BSARecEncoder)
    expected = [bsarec(encoder, rows[window], length, components) for window in histories()]
    torch.testing.assert_close(encoded(model, histories()), torch.cat(expected))


def sr_gnn(encoder: Any, rows: Tensor, session: list[int]) -> Tensor:
    """With the dense connection matrix of one session, item by item."""
    nodes = sorted(set(session))
    steps = [(nodes.index(a), nodes.index(b)) for a, b in pairwise(session)]
    v = [rows[item] for item in nodes]
    g = encoder.step
    for _ in range(encoder.steps):
        a_out, a_in = torch.zeros(len(nodes), len(nodes)).double(), torch.zeros(len(nodes), len(nodes)).double()
        for i, j in steps:
            a_out[i, j] += 1 / sum(source == i for source, _ in steps)
            a_in[j, i] += 1 / sum(target == j for _, target in steps)
        new = []
        for i in range(len(nodes)):
            sent = sum((a_out[i, j] * (g.outgoing.weight @ v[j]) for j in range(len(nodes))), torch.zeros(1))
            got = sum((a_in[i, j] * (g.incoming.weight @ v[j]) for j in range(len(nodes))), torch.zeros(1))
            a = torch.cat([sent, got]) + g.bias
            w_z, w_r, w_o = (g.from_graph.weight @ a + g.from_graph.bias).split(WIDTH)
            u_z, u_r = (g.from_node.weight @ v[i]).split(WIDTH)
            z, r = 1 / (1 + torch.exp(-w_z - u_z)), 1 / (1 + torch.exp(-w_r - u_r))
            candidate = torch.tanh(w_o + g.from_kept.weight @ (r * v[i]))
            new.append((1 - z) * v[i] + z * candidate)
        v = new
    read, outputs = encoder.readout, []
    at = [v[nodes.index(item)] for item in session]
    for last in at:
        whole = torch.zeros(WIDTH).double()
        for each in at:
            mixed = read.of_last.weight @ last + read.of_last.bias + read.of_each.weight @ each
            whole = whole + (read.weigh.weight @ (1 / (1 + torch.exp(-mixed)))) * each
        outputs.append(read.join.weight @ torch.cat([last, whole]))
    return torch.stack(outputs)


@pytest.mark.parametrize("layers", [1, 2])
def test_sr_gnn_is_its_equations_on_each_session(layers: int) -> None:
    model = model_of(spec.SRGNN(width=WIDTH, max_length=12, layers=layers))
    encoder, rows = model.backbone, model.table()[0]
    assert isinstance(encoder, SRGNNEncoder)
    expected = torch.cat([sr_gnn(encoder, rows, window) for window in histories()])
    torch.testing.assert_close(encoded(model, histories()), expected)


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def plain_norm(x: Tensor) -> Tensor:
    centred = x - x.mean()
    return centred / torch.sqrt((centred**2).mean() + 1e-5)


def hstu(encoder: Any, vectors: Tensor, times: list[int] | None, length: int, heads: int) -> Tensor:
    x = [vector + encoder.positions[t] for t, vector in enumerate(vectors)]
    size = WIDTH // heads
    for layer in encoder.layers:
        u, v, q, k = zip(*(silu(layer.mix.weight @ plain_norm(row)).split(WIDTH) for row in x), strict=True)
        new = []
        for i in range(len(x)):
            gathered = torch.zeros(WIDTH, dtype=torch.float64)
            for j in range(i + 1):
                bias = layer.by_lag[i - j]
                if times is not None:
                    bias = bias + layer.by_time[min(128, int(math.log(max(1, times[i] - times[j])) / 0.301))]
                for part in (slice(h * size, (h + 1) * size) for h in range(heads)):
                    gathered[part] += silu(q[i][part] @ k[j][part] + bias) / length * v[j][part]
            new.append(x[i] + layer.out.weight @ (plain_norm(gathered) * u[i]) + layer.out.bias)
        x = new
    return torch.stack(x)


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("clock", [True, False])
def test_hstu_is_its_equations_on_each_history(heads: int, clock: bool) -> None:
    model = model_of(spec.HSTU(width=WIDTH, max_length=12, heads=heads))
    encoder, rows = model.backbone, model.table()[0]
    assert isinstance(encoder, HSTUEncoder)
    generator = torch.Generator().manual_seed(2)
    times = [torch.randint(0, 10**n, (n,), generator=generator).cumsum(0).tolist() for n in SIZES]  # from seconds on
    flat = torch.tensor([time for window in times for time in window]) if clock else None
    with torch.no_grad():
        expected = [
            hstu(encoder, rows[window], when if clock else None, 12, heads)
            for window, when in zip(histories(), times, strict=True)
        ]
        found = encoded(model, histories(), flat)
    torch.testing.assert_close(found, torch.cat(expected))


def test_hstu_without_the_time_bias_has_no_weights_for_it_and_does_not_read_the_clock() -> None:
    model = model_of(spec.HSTU(width=WIDTH, max_length=12, time_bias=False))
    assert not any(name.endswith("by_time") for name in model.state_dict())
    times = torch.arange(sum(SIZES)) * 100
    assert torch.equal(encoded(model, histories(), times), encoded(model, histories()))
