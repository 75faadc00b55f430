"""The worker that `ensure_worker` starts in the background: python -m engine.queue STORE EXECUTOR.

One at a time, store and executor; it leaves when there is nothing to do.
"""

from __future__ import annotations

import sys
import time

from engine.errors import UserError
from engine.files import held
from engine.queue.executors.registry import LOCAL, executor
from engine.queue.fleet import somebody_works
from engine.queue.worker import Worker
from engine.store import open_store

_LINGER_S = 15.0
_PATIENCE_S = 15.0
"""Whoever holds the lock may be about to leave, so it is tried for a while."""


def main(path: str, name: str) -> int:
    store = open_store(path)
    lock = "worker.lock" if name == LOCAL else f"worker-{name}.lock"
    try:
        with held(store.make_files() / lock, _PATIENCE_S) as alone:
            if alone and not somebody_works(store, name):
                return 0 if Worker(store, executor(name, store.files), say, _LINGER_S).run() else 1
    except UserError as error:
        say(str(error))
        return 2
    return 0


def say(text: str) -> None:
    """A line with the time."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
