"""How long runs that have not ended will take, on the places that there are for runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine import queue
from engine.queue.executors.local.devices import choose
from engine.store import Store


@dataclass(frozen=True)
class TimeLeft:
    """`left_s`: seconds until all is done on `slots` places, None where nothing is known of it; `untimed`: how many
    runs no past run gives a time for."""

    left_s: float | None
    slots: int
    untimed: int


def time_left(store: Store | None, seconds: Sequence[float | None]) -> TimeLeft:
    """The time of runs that take so many seconds each, None where it is not known."""
    slots = slots_of(store)
    known = [each for each in seconds if each is not None]
    left = max([*known, sum(known) / slots]) if known else None if seconds else 0.0
    return TimeLeft(left, slots, len(seconds) - len(known))


def slots_of(store: Store | None) -> int:
    """Places for runs: those of living workers, or of the one that would be started here; GPUs alone where there
    are any, since that is where runs go."""
    living = (
        [worker for worker in queue.workers(store) if worker.alive and not worker.draining] if store is not None else []
    )
    slots = [device for worker in living for device in worker.slots] or choose(None, None, 1, None).slots
    return sum(device != "cpu" for device in slots) or len(slots)
