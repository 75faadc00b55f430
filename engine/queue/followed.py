"""A run that a worker follows."""

from __future__ import annotations

from dataclasses import dataclass

from engine.queue.executors.base import Ending, Placed


@dataclass
class Followed:
    """A run at its place, and what its worker has asked of it."""

    run_id: str
    device: str
    threads: int
    handle: str
    hard_limit: float | None = None  # on the monotonic clock
    ending: Ending | None = None
    state: str = ""  # as the executor said it last
    owned: bool = False  # its row names the handle
    too_long: bool = False  # it was beyond its time limit and did not stop by itself
    killed: bool = False  # the worker killed it, having asked it to stop
    blame: bool = True
    kill_at: float | None = None
    read: int = -1  # size of the spool when it was last ingested

    @property
    def placed(self) -> Placed:
        return Placed(self.device, self.threads, self.handle)

    def how(self, ending: Ending) -> str:
        """How it ended, where it left no last word."""
        if not self.killed:
            return ending.reason
        return f"{'time limit: ' * self.too_long}killed, since it did not stop by itself"
