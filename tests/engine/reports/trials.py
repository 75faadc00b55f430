"""Finished runs with invented results, for tests of statistics and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors.numpy import save_file

from engine import spec
from engine.presets import Resolved, resolve
from engine.records import CurvePoint, RunFacts, RunRecord, RunResult, RunStatus
from engine.reports.boards.budgets import budget_of, shared_of
from engine.reports.boards.evidence import Evidence

USERS = 40
CORE = {
    "both": {"ablation": "full"},
    "norm": {"ablation": "no-rec-pca"},
    "rec-pca": {"ablation": "no-norm"},
    "neither": {"ablation": "no-both"},
    "id": {"method": "id"},
    "id-norm": {"method": "id-norm"},
}


@cache
def _resolved(flags: tuple[tuple[str, str], ...], sets: tuple[str, ...]) -> Resolved:
    return resolve(**dict(flags), sets=list(sets))  # type: ignore[arg-type]


def trial(
    arm: str | Mapping[str, str],
    *,
    ce: float,
    ndcg: float = 0.1,
    valid: float | None = None,
    seed: int = 0,
    sets: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    epochs_done: int | None = None,
    curve: Mapping[int, float] | None = None,
    files: Mapping[str, Path] | None = None,
) -> Evidence:
    """A run of an arm (a key of CORE, or the flags of one) on `demo` whose training CE ends at `ce`, after `curve` by
    epoch."""
    flags = CORE[arm] if isinstance(arm, str) else arm
    resolved = _resolved(tuple(flags.items()), tuple(sets))
    e = resolved.experiment.model_copy(update={"seed": seed})
    last = e.train.epochs if epochs_done is None else epochs_done
    record = RunRecord(
        id=spec.spec_hash(e),
        status=RunStatus.FINISHED,
        method=e.method,
        ablation=e.ablation,
        dataset=e.data.name,
        backbone=e.backbone.name,
        embedding=e.vectors.source if e.reads_vectors else None,
        seed=e.seed,
        config_hash=spec.config_hash(e),
        spec_hash=spec.spec_hash(e),
        data_hash=spec.data_hash(e.data),
        created=datetime(2026, 1, 1, tzinfo=UTC),
        overrides=dict(resolved.overrides),
        mask_seen=e.evaluate.mask_seen,
        budget=budget_of(e),
        shared=shared_of(e),
        result=RunResult(
            epochs=last,
            train_ce=tuple(CurvePoint(*point) for point in {0: ce + 2, **(curve or {}), last: ce}.items()),
            valid={"ndcg@10": ndcg if valid is None else valid},
            test={"ndcg@10": ndcg, "hr@10": 2 * ndcg, "mrr": ndcg},
            valid_ce=ce + 0.1,
        ),
    )
    run = Evidence(record, e, RunFacts.decode(facts), files or {})
    return replace(run, record=replace(record, row_length=run.row_length))


def trials(arm: str | Mapping[str, str], ces: Sequence[float], **more: Any) -> list[Evidence]:
    """The arm with one seed per CE."""
    return [trial(arm, ce=ce, seed=seed, **more) for seed, ce in enumerate(ces)]


def ranks_of(folder: Path, name: str, ranks: Sequence[int]) -> dict[str, Path]:
    """Files of a run that ranked every user's target so, with the split that belongs to them: the first half of
    the users have popular targets, every second one a long history."""
    file, split, items = folder / f"{name}.safetensors", folder / "split.parquet", folder / "items.parquet"
    save_file({"valid": np.array(ranks, np.int32), "test": np.array(ranks, np.int32)}, file)
    n = len(ranks)
    targets = [f"i{0 if user < n // 2 else 5 + user % 5}" for user in range(n)]
    pl.DataFrame(
        {
            "user_id": [f"u{i}" for i in range(n)],
            "valid_item_id": targets,
            "test_item_id": targets,
            "history": [5 + 5 * (i % 2) for i in range(n)],
        }
    ).write_parquet(split)
    pl.DataFrame({"item_id": [f"i{i}" for i in range(10)], "popularity": list(range(100, 0, -10))}).write_parquet(items)
    return {"ranks": file, "split": split, "items": items}
