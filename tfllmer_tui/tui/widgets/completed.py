"""A line that Tab completes: what the filter, the form of Launch and the list of settings are typed into."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from tfllmer_tui.tui.keys import character_names

TAKES = "  ⇥ "
"""Between what was typed and the completion that does not begin so."""


class Completed(Input):
    """Its `complete` takes the suggestion, and where there is none goes on to what comes next."""

    @property
    def completion(self) -> str:
        """What Tab makes of the line; empty where it has nothing to suggest."""
        typed, takes, whole = self._suggestion.rpartition(TAKES)
        return whole if takes and typed == self.value else self._suggestion

    def action_complete(self) -> None:
        completion = self.completion
        if completion and self.cursor_at_end and completion != self.value:
            self.value = completion
            self.cursor_position = len(self.value)
        else:
            self.screen.focus_next()

    def action_cursor_right(self, select: bool = False) -> None:
        """At the end of the line, what is suggested is taken."""
        if not select and self.cursor_at_end and self.completion:
            self.action_complete()
        else:
            super().action_cursor_right(select)


class TextLine(Completed):
    """A line of a page. Letters are text in it, so a key leads out of it to where they are keys; F1 and alt with a
    digit are keys in it too."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Out of the line", id="line.leave"),
        Binding("alt+1", "app.go('runs')", "Places", key_display="alt+1–6", id="line.places"),
    ]

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Every printable character is text, also those that Textual has other names for than Unicode (`/`)."""
        return super().check_consume_key(key, character) or key in character_names()

    def action_leave(self) -> None:
        """To the next that is no line of text; to none where the page has no other."""
        chain = self.screen.focus_chain
        at = chain.index(self) if self in chain else 0
        others = (widget for widget in (*chain[at:], *chain[:at]) if not isinstance(widget, Input))
        self.screen.set_focus(next(others, None))


def suggestion_of(value: str, completion: str) -> str:
    """What is shown behind the cursor for a completion: its rest, or the whole of one that begins otherwise."""
    return completion if completion.startswith(value) else f"{value}{TAKES}{completion}"
