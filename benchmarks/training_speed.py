"""Training speed: real targets per CPU second against a plain torch loop on the same model, in one process.

    python benchmarks/training_speed.py --dataset ml-100k --backbone sasrec

The plain loop pads every window to the longest history, keeps all logits and calls
torch.nn.functional.cross_entropy at the real targets. Both loops take the same batches, alternate, and
are timed by CPU seconds of this process. `sgemm_share` is the arithmetic of the products (forward and
backward, real positions only) over what the same thread reaches on a 1024 x 1024 product.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine import spec
from engine.data import load_dataset, split_dataset
from engine.data.windows import Batch
from engine.models.sequential.bert4rec import BERT4RecEncoder
from engine.models.sequential.gru4rec import GRU4RecEncoder
from engine.models.sequential.recommender import SequentialRecommender, build
from engine.models.sequential.sasrec import SASRecEncoder
from engine.presets import resolve
from engine.training import loop
from engine.training.losses import criterion
from engine.training.optimizer import make_optimizer
from engine.training.process import settle


def plain_step(model: SequentialRecommender, optimizer: torch.optim.Optimizer, batch: Batch, length: int) -> None:
    """The usual way, in torch's own layers: one padded block, all logits at once."""
    lengths = torch.from_numpy(batch.lengths)
    real = torch.arange(length) < lengths[:, None]
    items = torch.zeros(len(lengths), length, dtype=torch.int64)
    items[real] = torch.from_numpy(batch.items)
    input_rows, scoring_rows = model.tables()
    x = F.embedding(items, input_rows)
    backbone: Any = model.backbone
    if isinstance(backbone, GRU4RecEncoder):
        h = backbone.down(backbone.gru(F.dropout(x, backbone.drop.p))[0])
    elif isinstance(backbone, BERT4RecEncoder):
        masked = torch.zeros(len(lengths), length, dtype=torch.bool)
        masked[real] = torch.from_numpy(batch.masked)
        h = backbone.head(
            plain_transformer(backbone.transformer, torch.where(masked[..., None], backbone.mask, x), real)
        )
    elif isinstance(backbone, SASRecEncoder):
        h = plain_transformer(backbone.transformer, x, None)
    else:
        raise SystemExit(f"no plain form of {type(backbone).__name__}")
    loss = F.cross_entropy(h[real][torch.from_numpy(batch.at)] @ scoring_rows.T, torch.from_numpy(batch.targets))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def plain_transformer(encoder: Any, x: Tensor, real: Tensor | None) -> Tensor:
    """[B, length, d] -> [B, length, d]; `real` [B, length] marks what is no padding, None for causal attention."""
    p = encoder.drop.p
    x = F.dropout(x + encoder.positions[: x.shape[1]], p)
    mask = None if real is None else real[:, None, None]
    for block in encoder.blocks:
        q, k, v = block.qkv(block.before_attention(x)).unflatten(-1, (3, block.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=real is None)
        x = x + F.dropout(block.out(mixed.transpose(1, 2).flatten(2)), p)
        x = x + F.dropout(block.narrow(F.gelu(block.widen(block.before_mlp(x)))), p)
    out: Tensor = encoder.norm(x)
    return out


def products(backbone: spec.ItemBackbone, n_items: int, batch: Batch) -> float:
    """Multiply-adds of the matrix products of one forward pass over real positions."""
    t, n, d = len(batch.items), len(batch.targets), backbone.width
    scores = n * n_items * d
    match backbone:
        case spec.GRU4Rec():
            return t * (3 * backbone.hidden * (d + backbone.hidden) + backbone.hidden * d) + scores
        case spec.SASRec() | spec.BERT4Rec():
            attention = 2 * float((batch.lengths.astype(np.float64) ** 2).sum()) * d
            return backbone.layers * (t * (4 * d * d + 2 * d * backbone.inner) + attention) + scores
        case _:
            raise SystemExit(f"no count of the products of {backbone.name}")


def sgemm_rate() -> float:
    """Floating-point operations per CPU second on a square product, the best of a few."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    rates = []
    for _ in range(12):
        tick = time.process_time()
        torch.mm(a, b)
        rates.append(2 * 1024**3 / (time.process_time() - tick))
    return max(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--backbone", default="sasrec")
    parser.add_argument("--steps", type=int, default=10, help="steps per round")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds")
    given = parser.parse_args()
    settle(torch.device("cpu"), 1)

    experiment = resolve(method="id", dataset=given.dataset, backbone=given.backbone).experiment
    dataset = load_dataset(experiment.data)
    split = split_dataset(dataset, experiment.data)
    backbone = experiment.backbone
    if not isinstance(backbone, spec.Sequential):
        raise SystemExit(f"--backbone {backbone.name}: reads no histories")
    n_items = len(dataset.item_ids)
    source = build(experiment, split.train, n_items)
    batches = [batch for epoch in range(3) for one in source.batches(epoch) for batch in one][: given.steps]
    minimised = criterion(experiment.train.loss, n_items)

    def contestant(
        step: Callable[[SequentialRecommender, torch.optim.Optimizer, Batch], object],
    ) -> Callable[[], float]:
        model = build(experiment, split.train, n_items)
        optimizer = make_optimizer(model, experiment.train)
        model.train()

        def round_() -> float:
            tick = time.process_time()
            for batch in batches:
                step(model, optimizer, batch)
            return sum(len(batch.targets) for batch in batches) / (time.process_time() - tick)

        round_()
        return round_

    ours = contestant(lambda model, optimizer, batch: loop.train_step(model, optimizer, batch, minimised))
    plain = contestant(lambda model, optimizer, batch: plain_step(model, optimizer, batch, backbone.max_length))
    pairs = [(ours(), plain()) for _ in range(given.rounds)]
    mean_ours = statistics.median(one for one, _ in pairs)
    work = sum(3 * 2 * products(backbone, n_items, b) for b in batches)
    per_target = work / sum(len(b.targets) for b in batches)
    print(
        json.dumps(
            {
                "dataset": given.dataset,
                "backbone": given.backbone,
                "threads": 1,
                "targets_per_cpu_s": round(mean_ours),
                "plain_targets_per_cpu_s": round(statistics.median(other for _, other in pairs)),
                "ratio": round(statistics.median(one / other for one, other in pairs), 2),
                "ratios": [round(one / other, 2) for one, other in pairs],
                "sgemm_share": round(mean_ours * per_target / sgemm_rate(), 2),
            }
        )
    )


if __name__ == "__main__":
    main()
