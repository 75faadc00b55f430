"""The worker that `ensure_worker` starts in the background: python -m engine.queue STORE.

One at a time and store; it leaves when there is nothing to do.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

from engine.errors import UserError
from engine.queue.devices import choose
from engine.queue.fleet import somebody_works
from engine.queue.worker import Worker
from engine.store import open_store

_LINGER_S = 15.0
_PATIENCE_S = 15.0


def main(path: str) -> int:
    store = open_store(path)
    store.files.mkdir(exist_ok=True)
    if not _alone(store.files / "worker.lock") or somebody_works(store):
        return 0
    try:
        Worker(store, choose(None, None, 1, None), say, _LINGER_S).run()
    except UserError as error:
        say(str(error))
        return 2
    return 0


def say(text: str) -> None:
    """A line with the time."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", flush=True)


def _alone(lock: Path) -> bool:
    """Hold the lock until this process ends. The one that holds it may be about to leave, so it is tried for
    a while; but not once it is known to work."""
    file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                return False
            time.sleep(0.05)
        else:
            return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
