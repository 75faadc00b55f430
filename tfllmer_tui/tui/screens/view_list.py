"""Views: the table of runs as it was looked at under a name. Open one, keep the present one, rename, remove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.views.saved import SavedView
from engine.views.words import printable
from tfllmer_tui.tui.palette import inks
from tfllmer_tui.tui.screens.overlay import Overlay

CHANGING = " · s keeps the present view · r renames · d removes"
Deed: TypeAlias = Literal["open", "save", "rename", "remove"]


@dataclass(frozen=True)
class ViewChoice:
    """What is to be done with the view of a name; `new` is the name that it gets."""

    deed: Deed
    name: str
    new: str = ""


class ViewsScreen(Overlay[ViewChoice]):
    """The views of the store, and a line for a name."""

    DEFAULT_CSS = """
    ViewsScreen { align: center middle; }
    ViewsScreen > Vertical {
        width: 72; max-width: 95%; height: auto; max-height: 90%; border: round $border; border-title-color: $primary;
        border-subtitle-color: $foreground 50%; background: $surface; padding: 0 1;
    }
    ViewsScreen OptionList { height: auto; max-height: 12; border: none; padding: 0; background: $surface; }
    ViewsScreen Input { background: $surface; }
    ViewsScreen #about { height: auto; color: $foreground 55%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", show=False, id="views.close"),
        Binding("s", "name('save')", "Keep the present view under a name", show=False, id="views.save"),
        Binding("r", "name('rename')", "Rename", show=False, id="views.rename"),
        Binding("d,delete,X", "remove", "Remove; u takes back", show=False, id="views.remove"),
        Binding("j", "list('down')", "Down", show=False, id="views.down"),
        Binding("k", "list('up')", "Up", show=False, id="views.up"),
    ]

    def __init__(self, views: Mapping[str, SavedView], present: SavedView, *, read_only: bool = False) -> None:
        super().__init__()
        self._read_only = read_only
        self._views, self._present = views, present
        self._deed: Literal["save", "rename"] = "save"

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "views"
            yield OptionList(*(Option(self._line(view), id=name) for name, view in self._views.items()))
            yield Input(id="name", compact=True)
            yield Static(id="about", markup=False)

    def _line(self, view: SavedView) -> Text:
        colors = inks(self.app.current_theme)
        return Text.assemble((printable(view.name), colors["text"]), (f"   {printable(view.told())}", colors["dim"]))

    def on_mount(self) -> None:
        if self._views or self._read_only:
            self._to_list()
        else:
            self.action_name("save")

    def _to_list(self) -> None:
        self.query_one("#name").display = False
        choices = self.query_one(OptionList)
        choices.display = True
        choices.focus()
        about = "" if self._views else "no view was kept"
        self._say(f"Enter opens{'' if self._read_only else CHANGING} · Esc", about)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whoever may only look opens views."""
        if self._read_only and action in ("name", "remove"):
            return False
        return super().check_action(action, parameters)

    def action_name(self, deed: Literal["save", "rename"]) -> None:
        """To the line that takes a name."""
        self._deed = deed
        name = self.query_one(Input)
        name.display = True
        name.value = (self._highlighted or "") if deed == "rename" else self._present.name
        self.query_one(OptionList).display = bool(self._views)
        if deed == "save":
            name.placeholder = "a name for this view"
            self._say("Enter keeps it under this name · Esc", f"this view: {self._present.told()}")
        else:
            name.placeholder = ""
            self._say("Enter renames · Esc", f"a new name for {printable(self._highlighted or '')}")
        name.focus()

    def _say(self, keys: str, about: str) -> None:
        self.query_one(Vertical).border_subtitle = keys
        self.query_one("#about", Static).display = bool(about)
        self.query_one("#about", Static).update(about)

    @property
    def _highlighted(self) -> str | None:
        choices = self.query_one(OptionList)
        return None if choices.highlighted is None else choices.get_option_at_index(choices.highlighted).id

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option_id is not None:
            self.end(ViewChoice("open", event.option_id))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        new = event.value.strip()
        if not new:
            self._say("Enter keeps it · Esc", "it needs a name")
        elif self._deed == "save":
            self.end(ViewChoice("save", new, new))
        elif self._highlighted is not None:
            self.end(ViewChoice("rename", self._highlighted, new))

    def action_remove(self) -> None:
        if self._highlighted is not None:
            self.end(ViewChoice("remove", self._highlighted))

    def action_leave(self) -> None:
        if self.query_one(Input).has_focus and self._views:
            self._to_list()
        else:
            self.end()

    def action_list(self, way: str) -> None:
        choices = self.query_one(OptionList)
        (choices.action_cursor_down if way == "down" else choices.action_cursor_up)()
