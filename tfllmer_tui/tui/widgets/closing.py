"""The line under the first runs of a person, which says what came of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.widgets import Static

from engine.views.first_look import FIRST_LOOK
from tfllmer_tui.tui.snapshot import StoreSnapshot

if TYPE_CHECKING:
    from engine.store import Store
    from tfllmer_tui.tui.context import StoreReader


class ClosingLine(Static):
    """There as long as the store holds the runs of the first look and no other."""

    DEFAULT_CSS = """
    ClosingLine { height: auto; max-height: 5; padding: 0 1; background: $surface; color: $foreground; display: none; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._told: frozenset[tuple[str, str]] = frozenset()

    def show(self, snapshot: StoreSnapshot) -> None:
        """Say it anew where a run came or ended."""
        rows = snapshot.rows.values()
        self.display = bool(rows) and all(row.study == FIRST_LOOK for row in rows)
        states = frozenset((row.id, str(row.status)) for row in rows)
        if self.display and states != self._told:
            self._told = states
            cast("StoreReader", self.screen).read("closing", _closing, self.update)


def _closing(store: Store) -> str:
    from engine.views.first_look import closing_line

    return closing_line(store)
