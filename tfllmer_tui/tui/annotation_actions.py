"""What the screens can hang on runs, and how runs leave the lists and come back: plain functions for a thread as in
`actions`, each with what takes it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.files import StoreAddress
from engine.text import shell_line
from tfllmer_tui.tui.actions import runs_text, store_at
from tfllmer_tui.tui.undo import ActionOutcome

if TYPE_CHECKING:
    from engine.store.annotations import NoteEdit


def tag(path: StoreAddress | None, run_ids: Sequence[str], name: str) -> ActionOutcome:
    """Hang a tag on runs."""
    from engine.store.annotations import add_tag, remove_tag

    command = tag_command(run_ids, name)
    tagged = add_tag(store_at(path), run_ids, name)
    if not tagged:
        return ActionOutcome(f"{name}: on {runs_text(len(run_ids))} already", command=command)

    def undo(path: StoreAddress | None) -> str:
        return f"{name}: off {runs_text(len(remove_tag(store_at(path), tagged, name)))} again"

    return ActionOutcome(f"{name}: on {runs_text(len(run_ids))}", undo, command)


def untag(path: StoreAddress | None, run_ids: Sequence[str], name: str) -> ActionOutcome:
    """Take a tag off runs."""
    from engine.store.annotations import add_tag, remove_tag

    command = tag_command(run_ids, name, remove=True)
    bare = remove_tag(store_at(path), run_ids, name)
    if not bare:
        return ActionOutcome(f"{name}: on none of them", command=command)

    def undo(path: StoreAddress | None) -> str:
        return f"{name}: on {runs_text(len(add_tag(store_at(path), bare, name)))} again"

    return ActionOutcome(f"{name}: off {runs_text(len(bare))}", undo, command)


def note(path: StoreAddress | None, run_ids: Sequence[str], text: str) -> ActionOutcome:
    """Put a text in the place of the newest note of runs; no text takes it off."""
    from engine.store.annotations import edit_note

    store = store_at(path)
    edits = [edit for run_id in run_ids if (edit := edit_note(store, run_id, text)) is not None]
    command = note_command(run_ids, text)
    if not edits:
        return ActionOutcome("the note is as it was", command=command)
    said = f"note of {runs_text(len(edits))} {'kept' if text.strip() else 'taken off'}"
    return ActionOutcome(said, lambda path: _as_before(path, edits), command)


def _as_before(path: StoreAddress | None, edits: Sequence[NoteEdit]) -> str:
    from engine.store.annotations import undo_note

    store = store_at(path)
    back = sum([undo_note(store, edit) for edit in edits])
    if not back:
        raise UserError("the note was changed elsewhere meanwhile, so it is left as it is")
    return f"note of {runs_text(back)} as before"


def remove(path: StoreAddress | None, run_ids: Sequence[str]) -> ActionOutcome:
    """Put runs that have ended into the trash."""
    from engine.store.annotations import restore as take_out
    from engine.store.annotations import trash

    command = shell_line(["tfllmer", "rm", *run_ids])
    gone = trash(store_at(path), run_ids)
    if not gone:
        return ActionOutcome("in the trash already; R restores", command=command)

    def undo(path: StoreAddress | None) -> str:
        return f"{runs_text(len(take_out(store_at(path), gone)))} restored"

    return ActionOutcome(f"{runs_text(len(gone))} removed; u takes back", undo, command)


def restore(path: StoreAddress | None, run_ids: Sequence[str]) -> ActionOutcome:
    """Take runs out of the trash."""
    from engine.store.annotations import restore as take_out
    from engine.store.annotations import trash

    command = shell_line(["tfllmer", "trash", "restore", *run_ids])
    back = take_out(store_at(path), run_ids)
    if not back:
        return ActionOutcome("not removed; the filter trashed:true lists what is", command=command)

    def undo(path: StoreAddress | None) -> str:
        return f"{runs_text(len(trash(store_at(path), back)))} removed again"

    return ActionOutcome(f"{runs_text(len(back))} restored", undo, command)


# ------------------------------------------------------------------------------------ the same as commands


def tag_command(run_ids: Sequence[str], name: str, *, remove: bool = False) -> str:
    """The command line that hangs a tag on runs, or takes it off."""
    return shell_line(["tfllmer", "tag", *run_ids, name, *(["--remove"] if remove else [])])


def note_command(run_ids: Sequence[str], text: str) -> str:
    """The command line that edits the note of each run."""
    words = [text.strip(), "--edit"] if text.strip() else ["--remove"]
    return "; ".join(shell_line(["tfllmer", "note", run_id, *words]) for run_id in run_ids)
