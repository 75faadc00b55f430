"""A working folder with a small study, and commands in it."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.store import Store, list_runs, open_store
from tests.tui.cli.calls import TFLLMER

STUDY = """
meaning: two arms, two seeds
question: do all executors give the same numbers?
baseline: [id]
set:
  data: {source: {users: 60, items: 60, dim: 32}}
  backbone: {width: 16}
  train: {epochs: 40, until: budget}
  execution: {checkpoint_s: 0.01}
grid:
  dataset: demo
  backbone: sasrec
  arm: [id, id-norm]
  seed: 0-1
"""


class Bench:
    """The folder, with variables of its own; the study is there under `names`."""

    def __init__(self, root: Path, env: Mapping[str, str], *names: str) -> None:
        self.root = root
        self.env = {k: v for k, v in {**os.environ, **env}.items() if not k.startswith("TFLLMER_")}
        (root / "configs" / "study").mkdir(parents=True)
        for name in names or ("small",):
            (root / "configs" / "study" / f"{name}.yaml").write_text(STUDY)

    def __call__(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            [*TFLLMER, *words], cwd=self.root, env=self.env, capture_output=True, text=True, check=False
        )
        assert not (check and done.returncode), (words, done.stderr)
        return done.stdout

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """A command that goes on; what it prints goes to `out-WORD.txt`."""
        with open(self.root / f"out-{words[0]}.txt", "w") as out:
            return subprocess.Popen([*TFLLMER, *words], cwd=self.root, env=self.env, stdout=out, stderr=out, text=True)

    def printed(self, word: str) -> str:
        return (self.root / f"out-{word}.txt").read_text()

    @property
    def store(self) -> Store:
        return open_store(self.root / "experiments.db")

    def statuses(self) -> list[str]:
        return [run.status for run in list_runs(self.store)]

    def table(self) -> Any:
        """What the study's runs came to: every metric of every cell, to the last bit."""
        runs = json.loads(self("runs", "--json", "--limit", "0"))
        return sorted((run["arm"], run["seed"], run["status"], json.dumps(run["test"])) for run in runs)
