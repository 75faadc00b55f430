"""Tags: hang one on runs, or take one off, with completion of those that there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.suggester import Suggester
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.errors import UserError
from engine.views.words import printable
from tfllmer_tui.tui.annotation_actions import tag_command
from tfllmer_tui.tui.palette import inks
from tfllmer_tui.tui.screens.overlay import Overlay
from tfllmer_tui.tui.widgets.completed import Completed

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow


@dataclass(frozen=True)
class TagUse:
    """A tag with how many of the chosen runs have it, and how many of all."""

    name: str
    here: int
    everywhere: int


@dataclass(frozen=True)
class TagChoice:
    """What came of it: a tag to hang on the runs, or to take off."""

    name: str
    remove: bool


def tag_uses(every: Iterable[RunRow], chosen: Iterable[RunRow]) -> list[TagUse]:
    """All tags that there are: those on the chosen runs first, then by how often they are used."""
    everywhere = Counter(tag for row in every for tag in row.tags)
    here = Counter(tag for row in chosen for tag in row.tags)
    uses = [TagUse(name, here[name], count) for name, count in (everywhere | here).items()]
    return sorted(uses, key=lambda use: (-use.here, -use.everywhere, use.name))


class _TagWords(Suggester):
    """The tag that is being typed; behind `-` one that a run has."""

    def __init__(self, uses: Sequence[TagUse]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._uses = uses

    async def get_suggestion(self, value: str) -> str | None:
        minus, typed = value[: value.startswith("-")], value.removeprefix("-")
        known = (use.name for use in self._uses if use.here or not minus)
        completion = next((name for name in known if name.startswith(typed)), None) if typed else None
        return None if completion is None else minus + completion


class TagScreen(Overlay[TagChoice]):
    """A line to type a tag into, and below it the tags that there are."""

    DEFAULT_CSS = """
    TagScreen { align: center middle; }
    TagScreen > Vertical {
        width: 64; max-width: 95%; height: auto; max-height: 90%; border: round $border; border-title-color: $primary;
        border-subtitle-color: $foreground 50%; background: $surface; padding: 0 1;
    }
    TagScreen OptionList { height: auto; max-height: 10; border: none; padding: 0; background: $surface; }
    TagScreen Input { background: $surface; }
    TagScreen #about { height: auto; max-height: 3; color: $foreground 55%; }
    TagScreen #about.-wrong { color: $error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "end", "Close", show=False, id="tag.close"),
        Binding("tab", "complete", "Complete", show=False, priority=True, id="tag.complete"),
        Binding("down", "list", "To the list", show=False, id="tag.list"),
    ]

    def __init__(self, run_ids: Sequence[str], uses: Sequence[TagUse]) -> None:
        super().__init__()
        self._ids, self._uses = run_ids, {use.name: use for use in uses}

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            many = "this run" if len(self._ids) == 1 else f"{len(self._ids)} runs"
            box.border_title, box.border_subtitle = f"tag {many}", "Enter · Tab completes · ↓ list · Esc"
            yield Completed(
                placeholder="a tag; -tag takes one off", id="name", suggester=_TagWords(list(self._uses.values()))
            )
            yield OptionList(*(Option(self._line(use), id=use.name) for use in self._uses.values()))
            yield Static(id="about", markup=False)

    def _line(self, use: TagUse) -> Text:
        colors, of = inks(self.app.current_theme), len(self._ids)
        mark = "✓" if use.here == of else "–" if use.here else " "
        said = f"  on {use.here} of {of}" if use.here and of > 1 else ""
        text = Text.assemble((f"{mark} ", colors["success"]), (printable(use.name), colors["text"]))
        return text.append(f"{said}  {use.everywhere} in the store", colors["dim"])

    def on_mount(self) -> None:
        self.query_one(OptionList).display = bool(self._uses)
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._explain(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if (choice := self._explain(event.value)) is not None:
            self.end(choice)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if self.query_one(OptionList).has_focus and event.option_id is not None:
            self._show_command(self._turned(event.option_id))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option_id is not None:
            self.end(self._turned(event.option_id))

    def _turned(self, name: str) -> TagChoice:
        """Off where all of the runs have it, else on."""
        return TagChoice(name, remove=self._uses[name].here == len(self._ids))

    def _explain(self, typed: str) -> TagChoice | None:
        """Say what Enter does, or what is wrong; the choice where it is one."""
        from engine.store.annotations import check_tag

        choice = TagChoice(typed.strip().removeprefix("-"), remove=typed.strip().startswith("-"))
        problem = ""
        try:
            if choice.name:
                check_tag(choice.name)
        except UserError as error:
            problem = str(error)
        use = self._uses.get(choice.name)
        if choice.name and not problem and choice.remove and not (use and use.here):
            problem = f"{choice.name}: on none of them"
        about = self.query_one("#about", Static)
        about.set_class(bool(problem), "-wrong")
        if problem or not choice.name:
            about.update(problem)
            return None
        self._show_command(choice)
        return choice

    def _show_command(self, choice: TagChoice) -> None:
        ids = [*self._ids[:1], *(["…"] if len(self._ids) > 1 else [])]
        about = self.query_one("#about", Static)
        about.set_class(False, "-wrong")
        about.update(tag_command(ids, choice.name, remove=choice.remove).replace("'…'", "…"))

    def action_complete(self) -> None:
        if self.query_one(Input).has_focus:
            self.query_one(Completed).action_complete()
        else:
            self.query_one(Input).focus()

    def action_list(self) -> None:
        if self.query_one(OptionList).display:
            self.query_one(OptionList).focus()
