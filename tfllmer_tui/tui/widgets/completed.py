"""A line that Tab completes: what the filter, the form of Launch and the list of settings are typed into."""

from __future__ import annotations

from textual.widgets import Input


class Completed(Input):
    """Its `complete` takes the suggestion, and where there is none goes on to what comes next."""

    def action_complete(self) -> None:
        if self._suggestion and self.cursor_at_end and self._suggestion != self.value:
            self.value = self._suggestion
            self.cursor_position = len(self.value)
        else:
            self.screen.focus_next()
