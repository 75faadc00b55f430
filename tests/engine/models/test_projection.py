"""Linear maps in bf16 products against torch's own in double precision."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from engine import spec
from engine.errors import UserError
from engine.models.projection import Projection, use_bf16_products
from engine.models.registry import build
from engine.presets import resolve
from engine.training.losses import criterion
from tests.engine.data.test_windows import sequences

OUTPUTS = [slice(None), slice(16), slice(16, None)]


@pytest.mark.parametrize("outputs", OUTPUTS, ids=str)
@pytest.mark.parametrize("bf16", [False, True])
def test_a_projection_is_torchs_linear_map_up_to_the_digits_of_its_factors(bf16: bool, outputs: slice) -> None:
    torch.manual_seed(0)
    layer = Projection(32, 48)
    if bf16:
        use_bf16_products(nn.Sequential(layer))
    x, slope = torch.randn(200, 32, requires_grad=True), torch.randn(200, 48)[:, outputs]
    inputs = [x, layer.weight, layer.bias]
    measured = layer.part(x, outputs)
    plain = F.linear(x.double(), layer.weight[outputs].double(), layer.bias[outputs].double())
    pairs = [(measured, plain)]
    pairs += zip(
        torch.autograd.grad(measured, inputs, slope), torch.autograd.grad(plain, inputs, slope.double()), strict=True
    )
    for one, other in pairs:
        assert one.dtype == torch.float32
        assert (one - other).norm() < (0.01 if bf16 else 1e-6) * other.norm()


def test_evaluation_is_not_in_bf16() -> None:
    layer, x = Projection(32, 48), torch.randn(5, 32)
    use_bf16_products(layer)
    rounded = layer(x)
    layer.eval()
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    assert not torch.equal(layer(x), rounded)


@pytest.mark.parametrize("backbone", ["sasrec", "bert4rec", "gru4rec"])
def test_a_step_in_bf16_is_close_to_one_in_fp32_and_another_experiment(backbone: str) -> None:
    train = sequences([9, 5, 6])
    results = {}
    hashes = set()
    for precision in ("fp32", "bf16"):
        sets = (f"train.precision={precision}", "backbone.width=16", "backbone.dropout=0")
        experiment = resolve(method="id", backbone=backbone, sets=sets).experiment
        hashes.add(spec.config_hash(experiment))
        model = build(experiment, train, 20)
        batch = next(iter(model.batches(0)[0]))
        loss = model.loss(batch, criterion(experiment.train.loss, 20, experiment.train.precision))
        loss.backward()
        results[precision] = (float(loss.detach()), [p.grad for p in model.parameters()])
    assert len(hashes) == 2
    (exact, slopes), (rounded, others) = results["fp32"], results["bf16"]
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=1e-3)
    for one, other in zip(slopes, others, strict=True):
        assert one is not None
        assert other is not None
        assert (one - other).norm() <= 0.1 * one.norm() + 1e-6


def test_bf16_belongs_to_the_full_softmax() -> None:
    with pytest.raises(UserError, match=r"train\.precision=bf16 is for train\.loss=ce, not bce"):
        resolve(method="id", sets=("train.loss=bce", "train.precision=bf16"))
