"""A line of a form, completed by Tab."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.suggester import Suggester

from tfllmer_tui.tui.widgets.completed import TextLine, suggestion_of


class Words(Suggester):
    """The next word of a list with commas."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.words = tuple(words)

    async def get_suggestion(self, value: str) -> str | None:
        start = re.search(r"[^,\s]*$", value)
        typed = start[0] if start else ""
        completion = self._best(typed) if typed else None
        return None if completion is None else suggestion_of(value, value[: len(value) - len(typed)] + completion)

    def _best(self, typed: str) -> str | None:
        """The first word that begins so, else the first whose last part does: `lr` is `train.lr`."""
        by_last = (word for word in self.words if re.split(r"[./]", word)[-1].startswith(typed))
        return next((word for word in self.words if word.startswith(typed)), next(by_last, None))


class FormLine(TextLine):
    """A line that Tab completes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False, id="form.complete"),
        Binding("down", "app.focus_next", "Next line", show=False, id="form.next"),
        Binding("up", "app.focus_previous", "Line before", show=False, id="form.previous"),
    ]
