"""The process entry of the science wing: trains one run, prints what a data set holds, or encodes item text.

    python -m engine.job RUN_FOLDER
    python -m engine.job --inspect SPEC_JSON OUT_JSON
    python -m engine.job --embed SPEC_JSON OUT_DIR

A run's folder holds `spec.json`; everything that happens goes to its spool. Exit codes: 0 finished or
stopped as asked, 1 failed, 2 wrong use.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from engine import spec
from engine.spool import Level, RunFolder, SpoolWriter, held, read_records


class JobRecorder(SpoolWriter):
    """The spool, with events repeated in the log for people who follow it."""

    def event(self, text: str, level: Level = "info") -> None:
        super().event(text, level)
        print(f"{time.strftime('%H:%M:%S')} {level}: {text}", flush=True)


def main(arguments: list[str]) -> int:
    if len(arguments) == 3 and arguments[0] == "--inspect":
        return inspect(Path(arguments[1]), Path(arguments[2]))
    if len(arguments) == 3 and arguments[0] == "--embed":
        return embed(Path(arguments[1]), RunFolder(Path(arguments[2])))
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        return run(RunFolder(Path(arguments[0]).resolve()))
    print(__doc__, file=sys.stderr)
    return 2


# ------------------------------------------------------------------------------------ train


def run(folder: RunFolder) -> int:
    """Train the run in the folder, or continue it; its last record says how it ended."""
    if not folder.spec.exists():
        print(f"{folder.root}: holds no spec.json; runs are made by `tfllmer run`", file=sys.stderr)
        return 2
    stop = _StopRequest()
    with held(folder, patience_s=0.5) as alone:
        if not alone:
            print(f"{folder.root}: another process runs this already", file=sys.stderr)
            return 2
        attempt = 1 + sum(record["r"] == "start" for record in _all_records(folder.spool))
        recorder = JobRecorder(folder)
        recorder.start(attempt, os.getpid(), psutil.Process().create_time())
        try:
            result = _train(folder, recorder, attempt, stop)
        except spec.UserError as error:
            recorder.event(str(error), "error")
            recorder.end("failed", f"user error: {error}")
            return 2
        except Exception as error:
            return _failed(recorder, error)
        if result is None:
            recorder.event("stopped as asked; the state is saved")
            recorder.end("cancelled", "stopped by the user (SIGTERM)")
            return 0
        recorder.result(result)
        recorder.event(f"finished: test ndcg@10 {result['test']['ndcg@10']:.4f} at epoch {result['best_epoch']}")
        recorder.end("finished", "")
        return 0


class _StopRequest:
    """True once SIGTERM has come."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __call__(self) -> bool:
        return self.asked


def _train(folder: RunFolder, recorder: JobRecorder, attempt: int, stop: _StopRequest) -> dict[str, Any] | None:
    """The result, or None where the run was stopped."""
    experiment = spec.from_json(folder.spec.read_text("utf-8"))

    import numpy as np
    import torch

    from engine.data import load_dataset, split_dataset
    from engine.embeddings.pipeline import item_vectors
    from engine.models.recommender import build
    from engine.provenance import provenance
    from engine.training import loop

    device = _device(experiment.execution.device)
    torch.set_num_threads(experiment.execution.threads)
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    recorder.facts(
        {"device": str(device), "threads": experiment.execution.threads, "provenance": provenance(folder.root)}
    )

    dataset = load_dataset(experiment.data)
    split = split_dataset(dataset, experiment.data)
    n_items = len(dataset.item_ids)
    shared = folder.root.parent
    for kind, path in _write_split(shared / "splits", experiment, dataset, split).items():
        recorder.artifact(kind, path)
    z = None
    if experiment.uses_embedding:
        z, diagnostics, linear_map = item_vectors(experiment, dataset, split, shared / "cache")
        linear_map.save(folder.map)
        recorder.artifact("map", folder.map)
        recorder.facts({"embedding": diagnostics})
        for warning in diagnostics["warnings"]:
            recorder.event(warning, "warning")
    model, bare = build(experiment, n_items, z, np.bincount(split.train.items, minlength=n_items))
    if bare:
        recorder.event(f"{bare} items have no direction of their own (zero vectors); they start at random", "warning")
    model.to(device)
    recorder.facts(loop.sizes(experiment, split, n_items, model))

    resume = folder.last.exists()
    if attempt > 1:
        recorder.resume(attempt, loop.saved_step(folder) if resume else -1)
        recorder.event(f"attempt {attempt}: " + ("continues from the last checkpoint" if resume else "starts again"))
    try:
        return loop.train(experiment, split, model, recorder, folder, resume=resume, should_stop=stop)
    except loop.StoppedError:
        return None


def _device(name: str) -> Any:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise spec.UserError(f"execution.device: no {name} here ({found} CUDA devices found); use --device cpu")
    return device


def _write_split(folder: Path, experiment: spec.Experiment, dataset: Any, split: Any) -> dict[str, Path]:
    """Users with their held-out items and items with their popularity, once per prepared data set."""
    import numpy as np
    import polars as pl

    key = spec.data_hash(experiment.data)
    users, items = folder / f"{key}.parquet", folder / f"{key}.items.parquet"
    if not (users.exists() and items.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        ids = np.array([*dataset.item_ids, None], dtype=object)  # index -1 is None
        history = np.diff(split.test_history.offsets)
        popularity = np.bincount(split.train.items, minlength=len(dataset.item_ids))
        _write_parquet(
            pl.DataFrame(
                {
                    "user_id": dataset.user_ids,
                    "valid_item_id": pl.Series(ids[split.valid].tolist(), dtype=pl.String),
                    "test_item_id": pl.Series(ids[split.test].tolist(), dtype=pl.String),
                    "history": history,
                }
            ),
            users,
        )
        _write_parquet(pl.DataFrame({"item_id": dataset.item_ids, "popularity": popularity}), items)
    return {"split": users, "items": items}


def _write_parquet(table: Any, path: Path) -> None:
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    table.write_parquet(beside)
    beside.replace(path)


def _failed(recorder: JobRecorder, error: Exception) -> int:
    from engine.training.loop import DivergedError

    kind = "diverged" if isinstance(error, DivergedError) else f"exception: {type(error).__name__}"
    detail = "" if isinstance(error, DivergedError) else traceback.format_exc()
    recorder.event(f"{kind}: {error}", "error")
    print(detail, flush=True)
    recorder.end("failed", f"{kind}: {error}".split("\n", 1)[0], detail)
    return 1


def _all_records(spool: Path) -> list[dict[str, Any]]:
    records, offset = read_records(spool)
    while True:
        more, behind = read_records(spool, offset)
        if behind == offset:
            return records
        records += more
        offset = behind


# ------------------------------------------------------------------------------------ inspect


def inspect(spec_file: Path, out: Path) -> int:
    """Statistics of the data set that the specification names, as JSON."""
    from engine.data import load_dataset, split_dataset, statistics

    try:
        experiment = spec.from_json(spec_file.read_text("utf-8"))
        dataset = load_dataset(experiment.data)
        values = statistics(dataset, split_dataset(dataset, experiment.data))
    except spec.UserError as error:
        print(error, file=sys.stderr)
        return 2
    out.write_text(json.dumps(values, indent=2), encoding="utf-8")
    return 0


# ------------------------------------------------------------------------------------ embed


def embed(spec_file: Path, folder: RunFolder) -> int:
    """Encode the text of a data set's items; the folder's spool tells how far it is and how it ended."""
    from engine.embeddings import encode

    stop = _StopRequest()
    recorder = JobRecorder(folder)
    try:
        result = encode.embed(encode.Embed.model_validate_json(spec_file.read_bytes()), recorder, stop)
    except spec.UserError as error:
        recorder.end("failed", f"user error: {error}")
        return 2
    except Exception as error:
        return _failed(recorder, error)
    if result is None:
        recorder.end("cancelled", "stopped as asked; what is encoded is kept")
        return 0
    recorder.result(result)
    recorder.end("finished", "")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
