"""CPU time of commands on a large store against a bare import of sqlmodel: prints JSON with the ratios.

    python benchmarks/make_store.py /tmp/large.db
    python benchmarks/store_scale.py /tmp/large.db [ROUNDS]

Each round runs every command and the import in turn, so that all see the same noise; a ratio is that of the
medians. Aim: at most 2 each.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from engine.store import info, list_values, open_store
from engine.store.queries.filters import parse

FRONT = "from tfllmer_tui.cli import main; main()"
WINDOW = """
import sys
from engine.store import open_store, window
seen = window(open_store(sys.argv[1], read_only=True), sys.argv[2], "loss", None, None, 200)
assert seen.count.sum() > 0
"""


def cpu_s(*words: str) -> float:
    """User and system time of a Python process with these arguments, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-P", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    path, rounds = Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 7
    os.environ["TFLLMER_DB"] = str(path)
    store = open_store(path)
    holds = info(store)
    run = str(list_values(store, (), parse("status=finished").clause(), limit=1)[0][0])
    commands = {
        "runs": ("-c", FRONT, "runs"),
        "runs --filter": ("-c", FRONT, "runs", "--filter", "status=finished ndcg@10>0.1 train.lr<1 -tag:old arm~norm"),
        "runs --sort": ("-c", FRONT, "runs", "--sort", "-ndcg@10"),
        "runs --group": ("-c", FRONT, "runs", "--group", "seed", "--sort", "-ndcg@10"),
        "leaderboard": ("-c", FRONT, "leaderboard"),
        "show": ("-c", FRONT, "show", run),
        "curve window": ("-c", WINDOW, str(path), run),
    }
    bare = ("-c", "import sqlmodel")
    for words in (bare, *commands.values()):
        cpu_s(*words)  # byte code and file caches
    taken = [{name: cpu_s(*words) for name, words in {"bare": bare, **commands}.items()} for _ in range(rounds)]
    reference = statistics.median(each["bare"] for each in taken)
    medians = {name: statistics.median(each[name] for each in taken) for name in commands}
    shown = {
        "runs": sum(holds["runs"].values()),
        "points": holds["points"],
        "rounds": rounds,
        "import_sqlmodel_cpu_s": round(reference, 3),
        "cpu_s": {name: round(seconds, 3) for name, seconds in medians.items()},
        "ratio": {name: round(seconds / reference, 2) for name, seconds in medians.items()},
        "aim": 2.0,
    }
    print(json.dumps(shown, indent=2))


if __name__ == "__main__":
    main()
