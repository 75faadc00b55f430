"""What an action did and what takes it back: the changes of this session, of which the newest is undone first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.files import StoreAddress

MOST = 100
"""Changes that are kept."""


@dataclass(frozen=True)
class ActionOutcome:
    """What an action did: `said` in a line, the `command` that does the same, and `undo`, which takes it back in a
    thread and says so in a line; None where nothing was changed that could be taken back. `launched`: runs that it
    queued."""

    said: str
    undo: Callable[[StoreAddress | None], str] | None = None
    command: str = ""
    launched: Sequence[str] = ()


class UndoStack:
    """The changes that can be taken back. `busy` counts the actions that have not ended, and `waiting` how often undo
    was asked for while one went on: it is the one that a person means."""

    def __init__(self) -> None:
        self._changes: list[ActionOutcome] = []
        self.command = ""
        """Of the last action, also of one that cannot be taken back."""
        self.busy = 0
        self.waiting = 0

    def push(self, change: ActionOutcome) -> None:
        """A change that is the newest now."""
        self.command = change.command or self.command
        if change.undo is not None:
            self._changes = [*self._changes, change][-MOST:]

    def pop(self) -> ActionOutcome | None:
        """The newest one, which is then gone; None where there is none."""
        return self._changes.pop() if self._changes else None

    @property
    def newest(self) -> ActionOutcome | None:
        """The one that is undone next."""
        return self._changes[-1] if self._changes else None
