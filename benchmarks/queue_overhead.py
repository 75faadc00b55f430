"""What the queue adds to a run, and how many small runs it does in an hour: prints JSON with ratios.

    python benchmarks/queue_overhead.py [RUNS]

The overhead is measured from the claim of a run to its process's first record, and to the points of step 0
(right before the first training step, so with the run's own preparation: data, vectors, evaluation), each
against a bare `python -c "import torch"`. Aim: at most 0.1. Runs per hour: tiny runs through one worker with
one slot, against one process of `engine.job` after another.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from engine import spec
from engine.queue import enqueue
from engine.queue.executors.base import thread_environment
from engine.queue.executors.local.devices import Devices
from engine.queue.executors.local.executor import LocalExecutor
from engine.queue.worker import Worker
from engine.spool import read_records
from engine.store import Run, Store, events, get_run, list_runs, open_store

TINY: dict[str, Any] = {
    "data": {"source": {"kind": "demo", "users": 60, "items": 40, "communities": 4, "dim": 16}},
    "backbone": {"name": "sasrec", "width": 16, "inner": 32, "max_length": 10},
    "train": {"epochs": 1, "batch_size": 16, "probe": 64},
}


def import_s() -> float:
    """Wall seconds of a process that imports torch."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


def experiments(n: int) -> list[spec.Experiment]:
    return [spec.Experiment.model_validate(TINY | {"seed": seed}) for seed in range(n)]


def one_after_another(root: Path, n: int) -> float:
    """Wall seconds of n runs, each in a process of its own."""
    began = time.perf_counter()
    for number, experiment in enumerate(experiments(n)):
        folder = root / f"cold{number}"
        folder.mkdir()
        (folder / "spec.json").write_text(spec.to_json(experiment))
        subprocess.run(
            [sys.executable, "-P", "-m", "engine.job", str(folder)],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | thread_environment(1),
        )
    return time.perf_counter() - began


def through_the_queue(store: Store, n: int) -> list[Run]:
    """The runs, done by a worker with one slot."""
    for experiment in experiments(n):
        enqueue(store, experiment, overrides={}, command=[])
    Worker(store, LocalExecutor(store.files, Devices((), 1, 1)), lambda text: None, linger_s=0.0).run()
    return list_runs(store, status="finished")[::-1]


def claim_to_start_s(store: Store, run: Run) -> float:
    """From the claim to the first record of the run's own process."""
    (claimed,) = [event.at for event in events(store, run.id) if event.text.startswith("taken by")]
    return (_at(_records(store, run)[0]) - claimed).total_seconds()


def claim_to_first_points_s(store: Store, run: Run) -> float:
    """From the claim to the points of step 0, right before the first training step."""
    (claimed,) = [event.at for event in events(store, run.id) if event.text.startswith("taken by")]
    first = next(record for record in _records(store, run) if record["r"] == "points")
    return float(first["wall"]) - claimed.timestamp()


def _records(store: Store, run: Run) -> list[dict[str, Any]]:
    return read_records(store.folder(run.id).spool)[0]


def _at(record: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(record["at"])


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = open_store(root / "experiments.db")
        torch_s = [import_s() for _ in range(4)][1:]
        runs = through_the_queue(store, n)[1:]  # the first waits for the server
        spans = [get_run(store, run.id) for run in runs]
        began, ended = min(r.started for r in spans if r.started), max(r.ended for r in spans if r.ended)
        queue_s = (ended - began).total_seconds() / len(runs)
        cold_n = max(3, n // 5)
        cold_s = one_after_another(root, cold_n) / cold_n
        torch_median = statistics.median(torch_s)
        to_start = statistics.median(claim_to_start_s(store, run) for run in runs)
        to_points = statistics.median(claim_to_first_points_s(store, run) for run in runs)
    shown = {
        "runs": n,
        "import_torch_s": round(torch_median, 3),
        "claim_to_process_s": round(to_start, 4),
        "claim_to_first_step_s": round(to_points, 4),
        "ratio_process": round(to_start / torch_median, 3),
        "ratio_first_step": round(to_points / torch_median, 3),
        "aim": 0.1,
        "queue_runs_per_hour": round(3600 / queue_s),
        "one_after_another_runs_per_hour": round(3600 / cold_s),
        "times_as_many": round(cold_s / queue_s, 1),
    }
    print(json.dumps(shown, indent=2))


if __name__ == "__main__":
    main()
