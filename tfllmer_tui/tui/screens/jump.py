"""Jumping: a letter on every pane, one key to get there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Label

from tfllmer_tui.tui.screens.overlay import Overlay

if TYPE_CHECKING:
    from tfllmer_tui.tui.screens.base import Page

LETTERS = "asdfjklghqwertyuiopzxcvbnm"


class JumpScreen(Overlay[None]):
    """Letters over the screen below."""

    DEFAULT_CSS = """
    JumpScreen { layers: letters; }
    JumpScreen > Label {
        layer: letters; position: absolute; background: $primary; color: $background; text-style: bold; padding: 0 1;
    }
    """

    def __init__(self, below: Page) -> None:
        super().__init__()
        self._targets: dict[str, Widget] = dict(zip(LETTERS, below.jump_targets(), strict=False))

    def compose(self) -> ComposeResult:
        for letter, widget in self._targets.items():
            label = Label(letter)
            label.styles.offset = (widget.region.x, widget.region.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        """Go where the letter leads, or end."""
        event.stop()
        target = self._targets.get(event.character or "")
        if target is not None and self.is_active:
            target.focus()
        self.end()
