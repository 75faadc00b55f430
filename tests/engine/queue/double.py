"""A stand-in for `engine.job` that keeps its manners: lock, start, resume, points, SIGTERM, end.

    python double.py MODE RUN_FOLDER

finish: 10 steps and an end. forever: steps until it is stopped. crash: dies with a message before it
begins. deaf: ignores SIGTERM. mute: stops without a last word. slow: begins after a second. litter: leaves
a process behind. fail: ends with an error.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from engine.files import held
from engine.spool import ATTEMPT, RunFolder, SpoolWriter, read_records


def main(mode: str, folder: RunFolder) -> int:
    if mode == "crash":
        print("something [bold]ominous[/bold]\nModuleNotFoundError: no module named gpu\n", file=sys.stderr)
        return 1
    if mode == "litter":
        subprocess.Popen(["sleep", "600"])
    if mode == "slow":
        time.sleep(1)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "deaf" else lambda number, _: asked.append(number))
    with held(folder.lock) as alone:
        if not alone:
            print("another process runs this already", file=sys.stderr)
            return 2
        records = read_records(folder.spool)[0]
        attempt = 1 + sum(record["r"] == "start" for record in records)
        if attempt > int(os.environ.get(ATTEMPT, attempt)):
            print("another process has taken it up meanwhile", file=sys.stderr)
            return 2
        step = sum(record["r"] == "points" for record in records) // 2  # a checkpoint half-way
        writer = SpoolWriter(folder)
        writer.start(attempt, os.getpid(), psutil.Process().create_time())
        if attempt > 1:
            writer.resume(attempt, step - 1)
        last = step + 10 if mode in ("finish", "slow", "mute", "litter", "fail") else sys.maxsize
        while step < last and not asked:
            writer.points(step, {"loss": float(step)})
            step += 1
            time.sleep(0.01)
        if mode == "mute":
            return 3
        if mode == "fail":
            writer.end("failed", "exception: ValueError: no", "a traceback")
            return 1
        writer.end("cancelled" if asked else "finished", "stopped by the user (SIGTERM)" if asked else "")
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], RunFolder(Path(sys.argv[2]))))
