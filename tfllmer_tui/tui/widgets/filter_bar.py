"""The line that filters runs, with completion."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Static

from tfllmer_tui.tui.messages import FilterChanged
from tfllmer_tui.tui.widgets.completed import TextLine, suggestion_of


class FilterWords(Suggester):
    """The best word for where the cursor is."""

    def __init__(self, words: Callable[[str], list[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._words = words

    async def get_suggestion(self, value: str) -> str | None:
        if not value or value[-1].isspace():
            return None
        completions = await asyncio.to_thread(self._words, value)
        return suggestion_of(value, completions[0]) if completions and completions[0] != value else None


class FilterLine(TextLine):
    """The line itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", id="filter.complete"),
        Binding("escape,down", "leave", "Back to the table", key_display="esc", id="filter.leave"),
    ]


class FilterBar(Widget):
    """`/ status:running backbone:sasrec`: tells its text after every change. `words` completes a text, in a thread."""

    DEFAULT_CSS = """
    FilterBar { height: 1; layout: horizontal; }
    FilterBar > #slash { width: 3; color: $primary; text-style: bold; content-align: center middle; }
    FilterBar > #line { width: 1fr; }
    FilterBar > #said {
        width: auto; max-width: 60%; padding: 0 1; color: $foreground 55%; text-wrap: nowrap; text-overflow: ellipsis;
    }
    FilterBar.-wrong { height: auto; }
    FilterBar.-wrong > #said { color: $error; height: auto; max-height: 3; text-wrap: wrap; }
    """

    def __init__(self, words: Callable[[str], list[str]], text: str = "") -> None:
        super().__init__()
        self._words, self._text = words, text
        self._said = ("", False)

    def compose(self) -> ComposeResult:
        yield Static("/", id="slash")
        yield FilterLine(
            self._text,
            placeholder="filter: status:running backbone:sasrec ndcg@10>0.1",
            suggester=FilterWords(self._words),
            id="line",
            compact=True,
            select_on_focus=False,
        )
        yield Static("", id="said", markup=False)

    @property
    def text(self) -> str:
        """What was typed."""
        return self.query_one(FilterLine).value

    def set_text(self, text: str) -> None:
        """As if it had been typed."""
        self.query_one(FilterLine).value = text

    def focus_line(self) -> None:
        """To type."""
        self.screen.set_focus(self.query_one(FilterLine))

    def say(self, text: str, *, wrong: bool = False) -> None:
        """A few words at its right: how many runs, or what is wrong."""
        if (text, wrong) != self._said:
            self._said = (text, wrong)
            self.set_class(wrong, "-wrong")
            self.query_one("#said", Static).update(text)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(FilterChanged(event.value))

    @on(Input.Submitted)
    def _done(self, event: Input.Submitted) -> None:
        event.stop()
        self.screen.focus_next()
