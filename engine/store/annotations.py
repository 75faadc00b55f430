"""What a person adds to runs: tags, notes, and the trash that keeps removed runs until they are purged."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from engine.errors import UserError
from engine.records import RunStatus
from engine.store.core.database import Store
from engine.store.core.tables import Note, Run, Tag
from engine.store.dialects.alchemy import upsert
from engine.text import single_line

_TAG = re.compile(r"[^\W_][\w.@/+-]{0,49}")
MAX_NOTE = 10_000
"""Characters of one note."""


@dataclass(frozen=True)
class NoteEdit:
    """What was done to a note, as `undo_note` needs it. `before` is None where there was none, `after` where there is
    none now; `note_id` is None for the note that the run was started with."""

    run_id: str
    note_id: int | None
    at: datetime
    before: str | None
    after: str | None


def check_tag(name: str, what: str = "tag") -> None:
    """Raises UserError where the name would not fit a filter; `what` it is for the person who gives it."""
    if not _TAG.fullmatch(name) or name.lower() == "none":
        label = single_line(repr(name), 60)
        raise UserError(
            f"{what} {label}: a {what} is up to 50 letters, digits and . @ / + - _, begins with a letter or digit, "
            "and is not none"
        )


def check_name(store: Store, name: str) -> None:
    """A run's name is a tag that no other run has and that is not taken for an id. Raises UserError."""
    check_tag(name, "name")
    if not name[0].isalpha():
        raise UserError(f"--name {name}: a name begins with a letter, since ids of runs begin with a digit")
    with store.read() as session:
        if owner := session.exec(select(Tag.run_id).where(col(Tag.name) == name).limit(1)).first():
            raise UserError(f"--name {name}: run {owner} has this name or tag already; take another")


def add_tag(store: Store, run_ids: Sequence[str], name: str) -> list[str]:
    """Hang a tag on runs; those that did not have it. Raises UserError where the name would not fit a filter."""
    check_tag(name)
    tagged = []
    with store.write() as session:
        for run_id in run_ids:
            connection = session.connection()
            new = upsert(connection, Tag).values(run_id=run_id, name=name).on_conflict_do_nothing()
            if connection.execute(new.returning(col(Tag.run_id))).first() is not None:
                tagged.append(run_id)
    return tagged


def remove_tag(store: Store, run_ids: Sequence[str], name: str) -> list[str]:
    """Take a tag off runs; those that had it."""
    with store.write() as session:
        mine = delete(Tag).where(col(Tag.run_id).in_(run_ids), col(Tag.name) == name).returning(col(Tag.run_id))
        return list(session.connection().execute(mine).scalars())


# ------------------------------------------------------------------------------------ notes


def add_note(store: Store, run_id: str, text: str) -> None:
    """Add a remark to a run. Raises UserError where it is empty or too long."""
    if not text.strip():
        raise UserError(f"note {run_id}: a note has 1 to {MAX_NOTE} characters")
    with store.write() as session:
        session.add(Note(run_id=run_id, at=datetime.now(UTC), text=_checked(run_id, text)))


def edit_note(store: Store, run_id: str, text: str) -> NoteEdit | None:
    """Put a text in the place of the newest note of a run, which may be the one that it was started with; the first
    note where there is none, and away with it where the text is empty. None where that changes nothing. Raises
    UserError where it is too long."""
    text = _checked(run_id, text)
    with store.write() as session:
        run = session.get_one(Run, run_id)
        note = session.exec(select(Note).where(Note.run_id == run_id).order_by(col(Note.id).desc()).limit(1)).first()
        before = note.text if note is not None else run.spec.get("note") or None
        if text == (before or ""):
            return None
        if before is None:
            note = Note(run_id=run_id, at=datetime.now(UTC), text=text)
            session.add(note)
            session.flush()
        elif note is None:
            run.spec = {**run.spec, "note": text}
        elif text:
            note.text = text
        else:
            session.delete(note)
        at = run.created if note is None else note.at
        return NoteEdit(run_id, None if note is None else note.id, at, before, text or None)


def undo_note(store: Store, edit: NoteEdit) -> bool:
    """Make the note what it was; False where it is no longer what the edit made of it."""
    with store.write() as session:
        if edit.note_id is None:
            run = session.get_one(Run, edit.run_id)
            if (run.spec.get("note") or None) != edit.after:
                return False
            run.spec = {**run.spec, "note": edit.before or ""}
            return True
        note = session.get(Note, edit.note_id)
        if (note and note.text) != edit.after:
            return False
        _replace(session, edit, note)
        return True


def _replace(session: Session, edit: NoteEdit, note: Note | None) -> None:
    if note is None:
        session.add(Note(id=edit.note_id, run_id=edit.run_id, at=edit.at, text=edit.before or ""))
    elif edit.before is None:
        session.delete(note)
    else:
        note.text = edit.before


def _checked(run_id: str, text: str) -> str:
    """The text of a note without the blanks around it. Raises UserError where it is too long."""
    if len(text) > MAX_NOTE:
        raise UserError(f"note {run_id}: a note has 1 to {MAX_NOTE} characters")
    return text.strip()


# ------------------------------------------------------------------------------------ the trash


def trash(store: Store, run_ids: Sequence[str]) -> list[str]:
    """Put runs that have ended into the trash: no list, leaderboard, export or study shows them. Returns
    those that were not there yet. Raises UserError, and changes nothing, where one is queued or running."""
    with store.write() as session:
        connection = session.connection()
        # the change comes first: a transaction that begins by reading could find its snapshot outdated
        update_runs = update(Run).where(col(Run.id).in_(run_ids), col(Run.trashed).is_(None))
        changed = (
            connection.execute(update_runs.values(trashed=datetime.now(UTC)).returning(col(Run.id))).scalars().all()
        )
        live = select(Run.id, Run.status).where(
            col(Run.id).in_(run_ids), col(Run.status).in_([RunStatus.QUEUED, RunStatus.RUNNING])
        )
        for run_id, status in connection.execute(live):
            raise UserError(f"{run_id}: is {status}; `tfllmer cancel {run_id}` first, then remove it")
    return list(changed)


def restore(store: Store, run_ids: Sequence[str]) -> list[str]:
    """Take runs out of the trash; those that were there."""
    with store.write() as session:
        update_runs = update(Run).where(col(Run.id).in_(run_ids), col(Run.trashed).is_not(None))
        return list(session.connection().execute(update_runs.values(trashed=None).returning(col(Run.id))).scalars())


def purge(store: Store, run_ids: Sequence[str]) -> int:
    """Delete runs that are in the trash for good, one after another: rows first, then the folder. How many
    were deleted; others are left alone. A folder that a crash leaves behind is told by `upkeep.check`."""
    purged = 0
    for run_id in run_ids:
        with store.write() as session:
            deletion = delete(Run).where(col(Run.id) == run_id, col(Run.trashed).is_not(None))
            deleted = session.connection().execute(deletion).rowcount
        if deleted:
            shutil.rmtree(store.folder(run_id).root, ignore_errors=True)
            purged += 1
    return purged
