"""The keys that are about runs, for every screen that shows some: tag, note, remove, restore."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType

from engine.records import RunStatus
from tfllmer_tui.tui import actions, annotation_actions
from tfllmer_tui.tui.screens.base import Page
from tfllmer_tui.tui.screens.noting import NoteScreen
from tfllmer_tui.tui.screens.tagging import TagChoice, TagScreen, tag_uses

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow

_GOES_ON = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.LOST)
_BUSY = (RunStatus.QUEUED, RunStatus.RUNNING, "stopping")
_OFFERED: Mapping[str, Callable[[Sequence[RunRow]], bool]] = {
    "compare": lambda rows: len(rows) > 1,
    "cancel": lambda rows: any(row.status in (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.LOST) for row in rows),
    "retry": lambda rows: bool(rows) and all(row.status in _GOES_ON and row.archive is None for row in rows),
    "restore": lambda rows: any(row.removed for row in rows),
    "remove": lambda rows: bool(rows) and not any(row.removed or row.status in _BUSY for row in rows),
}
"""Whether an action has something to be about in the runs that are meant."""


class RunKeys(Page):
    """A page whose keys are about `run_ids`: the marked runs, or the one under the cursor."""

    CHANGES: ClassVar[frozenset[str]] = frozenset({"tag", "note", "remove", "restore", "cancel", "retry"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("number_sign", "tag", "Tag, or take one off", show=False, key_display="#", id="annotate.tag"),
        Binding("i", "note", "Note", show=False, id="annotate.note"),
        Binding("X,delete", "remove", "Remove; u takes back", show=False, key_display="X", id="annotate.remove"),
        Binding("R", "restore", "Restore what was removed", show=False, id="annotate.restore"),
    ]

    def offers(self, action: str) -> bool:
        if (offered := _OFFERED.get(action)) is not None:
            return offered(self.rows(self.run_ids()))
        return super().offers(action)

    def _meant(self) -> list[str]:
        """The runs that a key is about; where there are none, that is said."""
        ids = self.run_ids()
        if not ids:
            self.notify("no run here", markup=False)
        return ids

    def action_tag(self) -> None:
        ids = self._meant()

        def tag(choice: TagChoice | None) -> None:
            if choice is not None:
                self.context.do(annotation_actions.untag if choice.remove else annotation_actions.tag, ids, choice.name)

        if ids:
            self.app.push_screen(TagScreen(ids, tag_uses(self.context.snapshot.rows.values(), self.rows(ids))), tag)

    def action_note(self) -> None:
        ids = self._meant()
        texts = {row.notes[-1] if row.notes else "" for row in self.rows(ids)}
        title, about = ("note", "") if len(ids) == 1 else (f"note of {len(ids)} runs", "")
        if len(texts) > 1:
            about = "their notes differ; this one takes the place of each"

        def note(text: str | None) -> None:
            if text is not None:
                self.context.do(annotation_actions.note, ids, text)

        if ids:
            self.app.push_screen(NoteScreen(title, texts.pop() if len(texts) == 1 else "", about), note)

    def action_remove(self) -> None:
        if ids := self._meant():
            self.context.do(annotation_actions.remove, ids)

    def action_restore(self) -> None:
        if ids := self._meant():
            self.context.do(annotation_actions.restore, ids)

    def action_cancel(self) -> None:
        if ids := self._meant():
            self.cancel(ids)

    def action_retry(self) -> None:
        if ids := self._meant():
            self.context.do(actions.retry, ids)

    def action_compare(self) -> None:
        ids = self.run_ids()
        if len(ids) < 2:
            self.notify("mark two runs or more with Space, then compare them", markup=False)
            return
        self.context.compare(ids)

    def action_copy_ids(self) -> None:
        if ids := self._meant():
            self.context.copy("id" if len(ids) == 1 else f"{len(ids)} ids", " ".join(ids))

    def run_commands(self) -> Iterable[SystemCommand]:
        """Entries of the command palette for the runs that are chosen."""
        ids = self.run_ids()
        many = "this run" if len(ids) == 1 else f"{len(ids)} runs"
        if self.offers("compare"):
            yield SystemCommand(f"Compare {many}", "Curves, settings and metrics side by side", self.action_compare)
        if self.offers("cancel"):
            yield SystemCommand(f"Cancel {many}", "They save their state and stop", self.action_cancel)
        if self.offers("retry"):
            yield SystemCommand(f"Retry {many}", "Queue them again, from their last checkpoint", self.action_retry)
        if not ids:
            return
        yield SystemCommand(f"Tag {many}", "Or take a tag off", self.action_tag)
        yield SystemCommand(f"Note of {many}", "Write it, or edit it in place", self.action_note)
        if self.offers("restore"):
            yield SystemCommand(f"Restore {many}", "Out of the trash", self.action_restore)
        elif self.offers("remove"):
            yield SystemCommand(f"Remove {many}", "Into the trash; u takes back", self.action_remove)
