"""The note of a run, edited in place: as many lines as it takes."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static, TextArea

from tfllmer_tui.tui.screens.overlay import Overlay


class NoteScreen(Overlay[str]):
    """A text to edit; it ends with it, or with None where it is to stay as it was."""

    DEFAULT_CSS = """
    NoteScreen { align: center middle; }
    NoteScreen > Vertical {
        width: 80; max-width: 95%; height: auto; max-height: 90%; border: round $border; border-title-color: $primary;
        border-subtitle-color: $foreground 50%; background: $surface; padding: 0 1;
    }
    NoteScreen TextArea, NoteScreen TextArea:focus {
        height: 10; border: none; padding: 0; background: $surface; scrollbar-size-vertical: 1;
    }
    NoteScreen #about { height: 1; color: $foreground 55%; }
    NoteScreen #about.-asks { color: $warning; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "keep", "Keep", show=False, id="note.keep"),
        Binding("escape", "leave", "Leave it as it was", show=False, id="note.leave"),
    ]

    def __init__(self, title: str, text: str, about: str = "") -> None:
        super().__init__()
        self._title, self._text, self._about = title, text, about
        self._asked = False

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title, box.border_subtitle = self._title, "ctrl+s keeps · Esc"
            yield TextArea(self._text, soft_wrap=True, show_line_numbers=False, highlight_cursor_line=False)
            yield Static(self._about, id="about", markup=False)

    def on_mount(self) -> None:
        area = self.query_one(TextArea)
        area.focus()
        area.move_cursor(area.document.end)

    def on_text_area_changed(self) -> None:
        self._ask(False)

    def action_keep(self) -> None:
        text = self.query_one(TextArea).text
        self.end(None if text.strip() == self._text.strip() else text)

    def action_leave(self) -> None:
        """What was typed is thrown away only where that is said twice."""
        changed = self.query_one(TextArea).text.strip() != self._text.strip()
        if changed and not self._asked:
            self._ask(True)
        else:
            self.end()

    def _ask(self, asked: bool) -> None:
        self._asked = asked
        about = self.query_one("#about", Static)
        about.set_class(asked, "-asks")
        about.update("Esc again throws the change away; ctrl+s keeps it" if asked else self._about)
