"""Records of runs as the store hands them out, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.records import CurvePoint, RunRecord, RunResult, RunStatus


def record(
    run: str,
    method: str = "tf-llmer",
    ablation: str | None = "full",
    *,
    value: float | None = 0.1,
    seed: int = 0,
    backbone: str = "sasrec",
    dataset: str = "ml-100k",
    embedding: str | None = "minilm-l6",
    status: str = "finished",
    overrides: Mapping[str, Any] | None = None,
    config: str | None = None,
) -> RunRecord:
    """A run whose test NDCG@10 is `value` and whose training CE falls from 7 to 7 - value at epoch 20.

    Runs are of one configuration where `config` (by default all that is not the seed) is the same.
    """
    config = config or f"{method}/{ablation}/{backbone}/{dataset}/{embedding}/{overrides}"
    return RunRecord(
        id=run,
        status=RunStatus(status),
        method=method,
        ablation=ablation,
        dataset=dataset,
        backbone=backbone,
        embedding=embedding,
        seed=seed,
        config_hash=config,
        spec_hash=f"{config}#{seed}",
        overrides=dict(overrides or {}),
        result=RunResult(
            epochs=20,
            best_epoch=17,
            train_ce=() if value is None else (CurvePoint(0, 7.0), CurvePoint(20, 7 - value)),
            valid={} if value is None else {"ndcg@10": value / 2},
            test={} if value is None else {"ndcg@10": value, "hr@10": 2 * value, "mrr": value},
            wall_s=74.2,
            targets_per_s=41234.0,
        ),
    )
