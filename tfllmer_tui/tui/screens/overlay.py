"""What lies over a screen and ends with a result, and the question that is asked before something is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, ScreenResultType
from textual.widgets import Static

from tfllmer_tui.tui.timers import SureTimers

if TYPE_CHECKING:
    from tfllmer_tui.tui.context import Context


class Overlay(SureTimers, ModalScreen[ScreenResultType]):
    """A screen over another. It ends once, however often it is asked to."""

    _has_ended = False

    def end(self, result: ScreenResultType | None = None) -> None:
        """End with a result, for the first time that is asked."""
        if not self._has_ended and self.is_active:
            self._has_ended = True
            cast("Context", self.app).overlay_closes()
            self.dismiss(result)

    def action_end(self) -> None:
        """End without a result."""
        self.end(None)


class ConfirmScreen(Overlay[bool]):
    """A question; it ends with True where the answer is yes."""

    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; }
    ConfirmScreen > Vertical {
        width: 64; max-width: 95%; height: auto; border: round $warning; border-title-color: $warning;
        border-subtitle-color: $foreground 70%; background: $surface; padding: 0 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", show=False, id="confirm.yes"),
        Binding("n,escape,q", "answer(False)", "No", show=False, id="confirm.no"),
    ]

    def __init__(self, title: str, question: str) -> None:
        super().__init__()
        self._heading, self._question = title, question

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title, box.border_subtitle = self._heading, "y yes · n no"
            yield Static(self._question, markup=False)

    def action_answer(self, answer: bool) -> None:
        self.end(answer)
