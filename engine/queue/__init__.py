"""Runs as processes: queued, placed on devices, followed, resumed, and settled when they are gone.

What answers for a running run is told by its executor and handle in its row (`liveness`) and by the lock that its
own process holds; neither depends on the process that started it. `executors` are the ways to carry runs out,
`actions` is what people do, `worker` takes the queued runs.
"""

from engine.queue.actions import cancel, clone, enqueue, reorder, retry, see_off, set_priority, target_of
from engine.queue.fleet import WorkerView, drain, ensure_worker, lacks_worker, workers
from engine.queue.foreground import NotStoredError, abandon, supervise
from engine.queue.liveness import is_alive
from engine.queue.recovery import resume, settle
from engine.queue.starting import start
from engine.store.queue import queued, take_back, withdraw

__all__ = [
    "NotStoredError",
    "WorkerView",
    "abandon",
    "cancel",
    "clone",
    "drain",
    "enqueue",
    "ensure_worker",
    "is_alive",
    "lacks_worker",
    "queued",
    "reorder",
    "resume",
    "retry",
    "see_off",
    "set_priority",
    "settle",
    "start",
    "supervise",
    "take_back",
    "target_of",
    "withdraw",
    "workers",
]
