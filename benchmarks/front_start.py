"""CPU time of `tfllmer --help` against a bare Typer app of two commands: prints JSON with the ratio.

    python benchmarks/front_start.py [ROUNDS]

The two are run in turn, so that both see the same noise; the ratio is that of the medians. Byte code is kept, as it is
where a person works. Aim: at most 1.3.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys

BARE = """
import typer

app = typer.Typer()


@app.command()
def one(count: int = 1) -> None:
    "The first of two commands."


@app.command()
def two(count: int = 1) -> None:
    "The second of two commands."


app()
"""
FRONT = "from tfllmer_tui.cli import main; main()"


def cpu_s(code: str) -> float:
    """User and system time of a Python process that runs the code with --help, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code, "--help"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    cpu_s(BARE), cpu_s(FRONT)  # byte code and file caches
    pairs = [(cpu_s(BARE), cpu_s(FRONT)) for _ in range(rounds)]
    bare, front = (statistics.median(times) for times in zip(*pairs, strict=True))
    shown = {
        "rounds": rounds,
        "bare_cpu_s": round(bare, 4),
        "tfllmer_help_cpu_s": round(front, 4),
        "ratio": round(front / bare, 3),
        "ratio_of_fastest": round(min(f for _, f in pairs) / min(b for b, _ in pairs), 3),
        "aim": 1.3,
    }
    print(json.dumps(shown, indent=2))


if __name__ == "__main__":
    main()
