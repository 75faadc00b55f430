"""Other libraries and this program, side by side: the same split, the same ranking, one table.

    pip install "replay-rec[torch]==0.22.0"       # each into an environment of its own, never this one
    pip install "rectools[torch]==0.19.0"
    pip install "recbole==1.2.1"
    python benchmarks/peers.py --dataset ml-100k --db peers.db \
        --peer replay=ENV/bin/python --peer rectools=ENV/bin/python --peer recbole=ENV/bin/python --model sasrec

The split is written by `tfllmer export split`; a worker (`_peer_LIBRARY.py`) trains in its library's environment, one
thread, width 64, 2 layers, length 50, Adam at .001, and stops early by NDCG@10 on the validation items; what it scores
comes back by `tfllmer import scores`, which checks users, items and split by checksum and ranks as ours are ranked
(whole catalogue, seen items left out, ties against the target). `--ours` sets options of our own runs. Seconds are
those of the whole processes. All stays in the store: `tfllmer compare`, tests over users, archives.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FRONT = [sys.executable, "-c", "from tfllmer_tui.cli import main; main()"]
MODELS = {"replay": ("sasrec",), "rectools": ("sasrec", "bert4rec"), "recbole": ("sasrec", "gru4rec", "bert4rec")}
OURS = ("train.epochs=300", "train.until=patience", "train.until.patience=10", "train.until.min_steps=0")
COLUMNS = ("system", "version", "hr@10", "ndcg@10", "valid_ndcg@10", "best_epoch", "stopped_by", "cpu_s", "wall_s")


def timed(command: Sequence[object]) -> tuple[dict[str, Any], float, float]:
    """The last JSON object that a command prints, and the CPU and wall seconds of its processes."""
    began, cpu = time.perf_counter(), _children()
    told = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout
    last = told[f"\n{told}".rindex("\n{") :]
    return json.loads(last), _children() - cpu, time.perf_counter() - began


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def line_of(
    system: str, version: str, test: dict[str, float], about: dict[str, Any], seconds: tuple[float, float]
) -> dict[str, Any]:
    """A row of the table."""
    cpu, wall = (round(each) for each in seconds)
    return {
        "system": system,
        "version": version,
        "hr@10": round(test["hr@10"], 4),
        "ndcg@10": round(test["ndcg@10"], 4),
        "valid_ndcg@10": about.get("valid_ndcg@10"),
        "best_epoch": about.get("best_epoch"),
        "stopped_by": about.get("stopped_by"),
        "cpu_s": cpu,
        "wall_s": wall,
    }


def of_peer(library: str, python: str, model: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Train a library's model in its environment, and bring in what it scores."""
    scores = folder / f"{library}-{model}-{given.seed}.npy"
    worker = [python, HERE / f"_peer_{library}.py", "--split", folder / "split", "--model", model, "--scores", scores]
    about, cpu, wall = timed([*worker, "--seed", str(given.seed), "--cpu-cap", str(given.cpu_cap)])
    system = f"{library}-{model}"
    words = ["import", "scores", scores, "--system", system, "--split", folder / "split", "--seen", "masked"]
    told, _, _ = timed([*FRONT, *words, "--seed", str(given.seed), "--db", given.db, "--json"])
    scores.unlink()
    return line_of(system, about["version"], told["test"], about, (cpu, wall))


def of_ours(model: str, given: argparse.Namespace) -> dict[str, Any]:
    """Train ours."""
    words = ["run", "--method", "id", "--dataset", given.dataset, "--backbone", model, "--seed", str(given.seed)]
    sets = [word for one in (*OURS, *given.ours) for word in ("--set", one)]
    told, cpu, wall = timed([*FRONT, *words, *sets, "--db", given.db, "--json"])
    about = {
        "valid_ndcg@10": round(told["valid"]["ndcg@10"], 4),
        "best_epoch": told["best_epoch"],
        "stopped_by": "patience" if told["epochs"] - told["best_epoch"] >= 10 else "epochs",
    }
    return line_of(f"tfllmer-{model}", "", told["test"], about, (cpu, wall))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--db", default="peers.db", help="the store that all runs go to")
    parser.add_argument("--peer", action="append", default=[], metavar="LIBRARY=PYTHON", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--model", action="append", help="sasrec, gru4rec or bert4rec; default: sasrec")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cpu-cap", type=float, default=1200.0, help="a library begins no epoch past so many seconds")
    parser.add_argument("--ours", action="append", default=[], metavar="NAME=VALUE", help="settings of our runs")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        split = [*FRONT, "export", "split", "--dataset", given.dataset, "-o", folder / "split"]
        subprocess.run([str(word) for word in split], check=True, stdout=subprocess.DEVNULL)
        for model in given.model or ["sasrec"]:
            for library, python in (peer.split("=", 1) for peer in given.peer):
                if model in MODELS[library]:
                    lines.append(of_peer(library, python, model, folder, given))
                    print(json.dumps(lines[-1]), flush=True)
            lines.append(of_ours(model, given))
            print(json.dumps(lines[-1]), flush=True)
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    for line in lines:
        print("| " + " | ".join("" if line[column] is None else str(line[column]) for column in COLUMNS) + " |")


if __name__ == "__main__":
    main()
