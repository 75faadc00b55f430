"""Whether the store of a worker is still there: one that is locked is waited for, one that is gone for good is not."""

from __future__ import annotations

import time

from engine.store import StoreError, StoreLostError, StoreUnreachableError

UNREACHABLE_S = 600.0
"""A server that has not answered for so long counts as gone for good."""


class Contact:
    """What a worker hears of its store."""

    def __init__(self) -> None:
        self._silent_since: float | None = None  # on the monotonic clock

    def answered(self) -> None:
        self._silent_since = None

    def is_lost(self, error: StoreError) -> bool:
        """Whether waiting has no point any more. A store that is locked or full has answered."""
        if isinstance(error, StoreLostError):
            return True
        if not isinstance(error, StoreUnreachableError):
            self.answered()
            return False
        now = time.monotonic()
        self._silent_since = now if self._silent_since is None else self._silent_since
        return now - self._silent_since >= UNREACHABLE_S
