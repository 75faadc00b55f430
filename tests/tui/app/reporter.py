"""A run that reports ten steps a second and is taken in by its supervisor, until a file bids it end.

    python -m tests.tui.app.reporter STORE FILE

Prints its id, then how many steps it has reported.
"""

import os
import sys
import time
from pathlib import Path

import psutil

from engine.presets import resolve
from engine.spool import SpoolWriter
from engine.store import create_run, ingest, open_store


def main(path: str, bidding: str) -> None:
    store = open_store(path)
    run = create_run(store, resolve().experiment, overrides={}, command=["tfllmer", "run"])
    print(run.id, flush=True)
    spool = SpoolWriter(store.folder(run.id))
    spool.start(1, os.getpid(), psutil.Process().create_time())
    step = 0
    while not Path(bidding).exists():
        spool.points(step, {"train_ce": 5.0, "epoch": step})
        ingest(store, run.id)
        step += 1
        time.sleep(0.1)
    spool.end("finished", "")
    ingest(store, run.id)
    print(step, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
