"""What the store holds, as of one moment: an immutable value that the reader hands to the screens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from engine.files import StoreAddress

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow

READING = "reading…"
UNREADABLE = "the store could not be read"
State: TypeAlias = Literal["opening", "open", "missing", "trouble"]


@dataclass(frozen=True)
class StoreSnapshot:
    """All runs as of one moment. `number` grows with every one that differs."""

    number: int = 0
    rows: Mapping[str, RunRow] = field(default_factory=lambda: MappingProxyType({}))
    state: State = "opening"
    text: str = ""
    """What is to be said of the state, in one line."""
    path: StoreAddress | None = None
    complete: bool = False
    """Whether every run has been read at least once."""

    @property
    def is_unread(self) -> bool:
        """Whether there are, or may be, runs that were not read: nothing is to be said of what is not there."""
        return self.state == "opening" or (self.state != "missing" and not self.complete)

    @property
    def unread_text(self) -> str:
        """What stands in place of what was not read."""
        return UNREADABLE if self.state == "trouble" else READING

    @property
    def has_no_run(self) -> bool:
        """Whether it is certain that the store holds no run, or is not there."""
        return not self.rows and (self.state == "missing" or (self.state == "open" and self.complete))

    def newest(self) -> list[RunRow]:
        """Runs, the newest first."""
        return sorted(self.rows.values(), key=lambda row: row.id, reverse=True)
