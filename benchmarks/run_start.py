"""CPU time of a whole short run in the foreground, its process and all that it starts, against another checkout.

    git worktree add /tmp/before 536fe8c
    python benchmarks/run_start.py /tmp/before [--rounds 5]

Both sides take turns, each run with a store of its own and one thread; the ratio is the median over the turns of theirs
over ours. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from engine.queue.executors.base import thread_environment

FRONT = "from tfllmer_tui.cli import main; main()"
WORDS = ("run", "--ablation", "no-norm", "--threads", "1", "--set", "epochs=2")
OURS = Path(__file__).resolve().parents[1]


def cpu_s(checkout: Path) -> float:
    """User and system time of the run and what it starts, in seconds."""
    environment = os.environ | thread_environment(1) | {"PYTHONPATH": str(checkout)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        words = [sys.executable, "-P", "-c", FRONT, *WORDS, "--db", str(Path(folder, "store.db"))]
        subprocess.run(words, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    sides = given.other.resolve(), OURS
    for side in sides:
        cpu_s(side)  # byte code and file caches
    pairs = [tuple(cpu_s(side) for side in sides) for _ in range(given.rounds)]
    theirs, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = [round(other / own, 3) for other, own in pairs]
    shown = {"theirs_cpu_s": round(theirs, 2), "ours_cpu_s": round(ours, 2), "ratios": ratios}
    print(json.dumps(shown | {"ratio": statistics.median(ratios), "aim": 2.0}, indent=2))


if __name__ == "__main__":
    main()
