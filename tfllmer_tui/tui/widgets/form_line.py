"""A line of a form, completed by Tab."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.suggester import Suggester

from tfllmer_tui.tui.widgets.completed import TextLine, suggestion_of


@dataclass(frozen=True)
class FormBox:
    """A line of the form. `flag` is the option of `tfllmer run` that it stands for, `hint` what holds where nothing is
    typed, or what may be; where there are presets to choose from, the hint goes on with their names."""

    name: str
    flag: str
    hint: str

    def hint_with(self, known: Sequence[str]) -> str:
        """The hint, and what else there is."""
        others = [name for name in known if name != self.hint]
        return f"{self.hint}; or {', '.join(others)}" if others else self.hint


TARGET = (FormBox("on", "--on", "local"), FormBox("cluster", "--cluster", "default"))
"""Where runs are carried out, and what their jobs ask of a cluster."""


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
    """A line that Tab completes. Where nothing is typed, `hint` says what holds and what may be, as far as there is
    room."""

    hint: reactive[str] = reactive("", init=False)

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False, id="form.complete"),
        Binding("down", "app.focus_next", "Next line", show=False, id="form.next"),
        Binding("up", "app.focus_previous", "Line before", show=False, id="form.previous"),
    ]

    def __init__(self, hint: str, *, id: str) -> None:
        super().__init__(placeholder=hint, id=id, compact=True, suggester=Words(()))
        self.set_reactive(FormLine.hint, hint)

    def know(self, hint: str, words: Sequence[str]) -> None:
        """What is said where nothing is typed, and what Tab completes to."""
        self.hint, self.suggester = hint, Words(words)

    def watch_hint(self) -> None:
        self.placeholder = cut_list(self.hint, self.size.width)

    def on_resize(self) -> None:
        self.watch_hint()


def cut_list(text: str, width: int) -> str:
    """A list with commas in so many columns, with `…` in place of the names that there is no room for."""
    if cell_len(text) <= width or width <= 0:
        return text
    parts = text.split(", ")
    while len(parts) > 1 and cell_len(f"{', '.join(parts)}, …") > width:
        parts.pop()
    return f"{', '.join(parts)}, …"
