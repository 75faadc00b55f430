"""Make a store of thousands of runs and millions of points, as years of work leave it: for measurements.

    python benchmarks/make_store.py FILE [--runs 5000] [--points 10000000]

Runs are made as `tfllmer run` makes them, row and folder; points go through the real tables and roll-ups, in
bulk. Mostly finished runs over arms, backbones, data sets and seeds, some failed, lost, cancelled and queued.
The numbers are drawn from a formula with a fixed seed: equal arguments give equal curves.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, update
from sqlmodel import col

from engine.presets import resolve
from engine.spec import Experiment
from engine.store import Run, Store, create_run, open_store
from engine.store.annotations import add_note, add_tag
from engine.store.curves.rollups import refresh

ARMS = ("full", "no-norm", "no-rec-pca", "no-both", "random-graph")
BACKBONES = ("sasrec", "gru4rec", "bert4rec")
DATASETS = ("ml-100k", "ml-1m", "books", "games", "toys")
EPOCHS = 40
PER_EPOCH = ("epoch", "train_ce", "valid_ce", "valid.ndcg@10", "valid.hr@10", "targets_per_s")
"""Series with one point per epoch; `loss` takes the rest of a run's points."""


def experiments(count: int) -> list[Experiment]:
    """Distinct configurations with five seeds each, as a store fills up: grids, then learning rates."""
    bases = [resolve(ablation=arm).experiment for arm in ARMS]
    made: list[Experiment] = []
    for variant in range(count):
        for dataset in DATASETS:
            for backbone in BACKBONES:
                for base in bases:
                    for seed in range(5):
                        tree = base.model_dump(mode="json", by_alias=True)
                        tree["data"]["source"] = {"kind": "files", "name": dataset, "fingerprint": f"{dataset:x<16}"}
                        tree["backbone"] = {"name": backbone}
                        tree["train"]["lr"] = round(1e-3 * 1.1**variant, 8)
                        made.append(Experiment.model_validate(tree | {"seed": seed}))
                        if len(made) == count:
                            return made
    return made


def result(draw: random.Random) -> dict[str, Any]:
    """What a finished run tells of itself."""
    low, quality = draw.uniform(4.5, 5.5), draw.uniform(0.05, 0.2)
    names = ("ndcg@5", "ndcg@10", "ndcg@20", "hr@5", "hr@10", "hr@20", "mrr")
    curve = [{"epoch": e, "value": low + 2.5 * math.exp(-e / 8)} for e in range(EPOCHS + 1)]
    return {
        "epochs": EPOCHS,
        "best_epoch": draw.randrange(20, EPOCHS),
        "train_ce": curve,
        "valid": {name: quality * draw.uniform(0.9, 1.1) for name in names},
        "test": {name: quality * draw.uniform(0.8, 1.0) for name in names},
        "wall_s": draw.uniform(60, 600),
        "targets_per_s": draw.uniform(2e4, 5e4),
    }


def make(store: Store, runs: int, points: int) -> None:
    draw = random.Random(0)
    began = datetime.now(UTC) - timedelta(days=runs / 100)
    states = draw.choices(("finished", "failed", "lost", "cancelled", "queued"), (94, 2, 1, 1, 2), k=runs)
    each = max(-(-points // (runs - states.count("queued"))), (EPOCHS + 1) * len(PER_EPOCH) + 1)
    for i, (experiment, status) in enumerate(zip(experiments(runs), states, strict=True)):
        overrides = {"train.lr": experiment.train.lr} if experiment.train.lr != 1e-3 else {}
        run = create_run(store, experiment, overrides=overrides, command=["tfllmer", "run"])
        at = began + timedelta(days=i / 100)
        with store.write() as session:
            values: dict[str, Any] = {"status": status, "created": at}
            if status != "queued":
                values |= {"attempt": 1, "started": at, "ended": at + timedelta(seconds=300)}
                values["facts"] = {"n_users": 6040, "n_items": 3706, "spectrum": [1 / (1 + k) for k in range(64)]}
            if status == "finished":
                values["result"] = result(draw)
            session.connection().execute(update(Run).where(col(Run.id) == run.id).values(values))
            if status != "queued":
                _write_points(session.connection(), run.id, each, at.timestamp(), draw)
        if i % 50 == 0:
            add_tag(store, [run.id], "baseline")
        if i % 100 == 0:
            add_note(store, run.id, "looked at the curve: flat from epoch 20 on")


def _write_points(connection: Connection, run_id: str, points: int, at: float, draw: random.Random) -> None:
    """`points` points: per-epoch series, and the loss of every step with a NaN now and then."""
    steps = points - (EPOCHS + 1) * len(PER_EPOCH)
    stride = max(steps // EPOCHS, 1)
    for name in (*PER_EPOCH, "loss"):
        connection.exec_driver_sql("INSERT INTO series (run_id, name) VALUES (?, ?)", (run_id, name))
        series_id = connection.exec_driver_sql("SELECT last_insert_rowid()").scalar_one()
        low, count, each = draw.uniform(4.5, 5.5), *((steps, 1) if name == "loss" else (EPOCHS + 1, stride))
        value = "CASE WHEN i % 9973 = 9972 THEN 'nan' ELSE :low + 2.5 / (1.0 + 0.01 * i) + 0.1 * sin(i) END"
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count)"
            " INSERT INTO point (series_id, step, value, wall, attempt)"
            f" SELECT :id, i * :each, {'i * 1.0' if name == 'epoch' else value}, :at + i * :each * 0.01, 1 FROM n",
            {"id": series_id, "count": count, "each": each, "low": low, "at": at},
        )
        refresh(connection, series_id, 0, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--points", type=int, default=10_000_000)
    given = parser.parse_args()
    if given.file.exists():
        parser.error(f"{given.file} is there already")
    began = time.monotonic()
    store = open_store(given.file)
    make(store, given.runs, given.points)
    print(f"{given.file}: {store.size / 2**20:.0f} MiB in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
