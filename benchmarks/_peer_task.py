"""What the workers of `peers.py` share: the split, early stopping, clocks, and the file that comes back.

Needs numpy and torch alone, so that it runs in the environment of any library. Items are numbered 1..n in the order of
`items.csv`; 0 is padding.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"  # before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402

K = 10
QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
"""What trainers of Lightning are told."""


def arguments(models: list[str]) -> argparse.Namespace:
    """The command line of a worker; sets the number of threads."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--split", required=True, type=Path, help="folder that `tfllmer export split` wrote")
    parser.add_argument("--model", choices=models, default=models[0])
    parser.add_argument("--scores", required=True, type=Path, help="the .npy file that comes back")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--patience", type=int, default=10)
    parser.add_argument("--cpu-cap", type=float, default=600.0, help="no epoch begins past so many CPU seconds")
    given = parser.parse_args()
    torch.set_num_threads(1)
    return given


class Task:
    """The split of a folder: training histories, what to choose epochs by, and what to rank at the end."""

    def __init__(self, folder: Path) -> None:
        self.item_ids: list[str | None] = [None, *(row["item_id"] for row in _rows(folder / "items.csv"))]
        number = {item: place for place, item in enumerate(self.item_ids)}
        by_user: dict[str, list[int]] = defaultdict(list)
        for row in _rows(folder / "training.csv"):
            by_user[row["user_id"]].append(number[row["item_id"]])
        users = _rows(folder / "users.csv")
        self.user_ids = [row["user_id"] for row in users]
        self.train = [by_user[user] for user in self.user_ids]
        self.valid = [number[row["valid_item_id"]] if row["valid_item_id"] else 0 for row in users]
        self.n_items = len(self.item_ids) - 1

    def histories(self, part: str) -> list[list[int]]:
        """What is known of each user before the held-out item."""
        if part == "valid":
            return self.train
        return [[*s, v] if v else s for s, v in zip(self.train, self.valid, strict=True)]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def padded(histories: list[list[int]], length: int, side: str, filler: int = 0) -> torch.Tensor:
    """[B, length] the last items of histories, with `filler` on one side."""
    out = np.full((len(histories), length), filler, dtype=np.int64)
    for row, history in zip(out, histories, strict=True):
        tail = history[-length:]
        if tail:
            row[slice(-len(tail), None) if side == "left" else slice(len(tail))] = tail
    return torch.from_numpy(out)


ScoresOf = Callable[[list[list[int]]], torch.Tensor]
"""Histories -> scores [B, n + 1], whose first column is not read."""


class Fit:
    """Epochs until NDCG@10 on the validation items (all items ranked, seen ones masked, ties against the target) has
    not risen for `patience` of them; the best weights come back."""

    def __init__(
        self,
        given: argparse.Namespace,
        task: Task,
        scores_of: ScoresOf,
        snapshot: Callable[[], Any],
        restore: Callable[[Any], Any],
    ) -> None:
        self._given, self._task, self._scores_of = given, task, scores_of
        self._snapshot, self._restore = snapshot, restore
        self._began, self._began_cpu = time.perf_counter(), time.process_time()
        self.epochs, self.best, self.best_epoch, self._state = 0, -1.0, 0, snapshot()
        self.stopped_by = "epochs"

    def after_epoch(self) -> bool:
        """Whether training ends."""
        self.epochs += 1
        value = self._valid()
        if value > self.best:
            self.best, self.best_epoch, self._state = value, self.epochs, self._snapshot()
        if self.epochs - self.best_epoch >= self._given.patience:
            self.stopped_by = "patience"
            return True
        if time.process_time() - self._began_cpu > self._given.cpu_cap:
            self.stopped_by = "CPU cap"
            return True
        return bool(self.epochs >= self._given.epochs)

    def run(self, train_epoch: Callable[[], object]) -> None:
        """For a library whose epochs are called one by one."""
        while True:
            train_epoch()
            if self.after_epoch():
                return

    def report(self, library: str, version: str) -> None:
        """Scores of the best epoch for all users, and one line of JSON about the run."""
        cpu, wall = time.process_time() - self._began_cpu, time.perf_counter() - self._began
        self._restore(self._state)
        scores = np.lib.format.open_memmap(
            self._given.scores, mode="w+", dtype=np.float32, shape=(len(self._task.user_ids), self._task.n_items)
        )
        for first, block in self._blocks("test"):
            scores[first : first + len(block)] = block[:, 1:].numpy()
        scores.flush()
        about = {
            "library": library,
            "version": version,
            "model": self._given.model,
            "seed": self._given.seed,
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "stopped_by": self.stopped_by,
            "valid_ndcg@10": round(self.best, 4),
            "train_cpu_s": round(cpu, 1),
            "train_wall_s": round(wall, 1),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "torch": torch.__version__,
        }
        print(json.dumps(about), flush=True)

    def _blocks(self, part: str) -> Any:
        histories = self._task.histories(part)
        for first in range(0, len(histories), 512):
            with torch.no_grad():
                yield first, self._scores_of(histories[first : first + 512]).float().cpu()

    def _valid(self) -> float:
        total, asked = 0.0, 0
        for first, block in self._blocks("valid"):
            for row, user in zip(block, range(first, first + len(block)), strict=True):
                if not (target := self._task.valid[user]):
                    continue
                own = float(row[target])
                row[0] = -torch.inf
                row[torch.tensor(self._task.train[user])] = -torch.inf
                row[target] = -torch.inf
                rank = 1 + int((row >= own).sum())
                total += 1 / np.log2(rank + 1) if rank <= K else 0.0
                asked += 1
        return total / max(1, asked)
