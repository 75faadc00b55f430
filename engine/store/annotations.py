"""What a person adds to runs: tags, notes, and the trash that keeps removed runs until they are purged."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import delete, update
from sqlalchemy.dialects.sqlite import insert
from sqlmodel import col, select

from engine.errors import UserError
from engine.records import RunStatus
from engine.store.core.database import Store
from engine.store.core.tables import Note, Run, Tag

_TAG = re.compile(r"[^\W_][\w.@/+-]{0,49}")
MAX_NOTE = 10_000
"""Characters of one note."""


def check_tag(name: str) -> None:
    """Raises UserError where the name would not fit a filter."""
    if not _TAG.fullmatch(name) or name.lower() == "none":
        raise UserError(
            f"tag {name!r}: a tag is up to 50 letters, digits and . @ / + - _, begins with a letter or digit,"
            " and is not none"
        )


def check_name(store: Store, name: str) -> None:
    """A run's name is a tag that no other run has and that is not taken for an id. Raises UserError."""
    check_tag(name)
    if not name[0].isalpha():
        raise UserError(f"--name {name}: a name begins with a letter, since ids of runs begin with a digit")
    with store.read() as session:
        if taken := session.exec(select(Tag.run_id).where(col(Tag.name) == name).limit(1)).first():
            raise UserError(f"--name {name}: run {taken} has this name or tag already; take another")


def add_tag(store: Store, run_ids: Sequence[str], name: str) -> None:
    """Hang a tag on runs; one that they have already stays. Raises UserError where the name would not fit a filter."""
    check_tag(name)
    with store.write() as session:
        for run_id in run_ids:
            session.connection().execute(insert(Tag).values(run_id=run_id, name=name).on_conflict_do_nothing())


def remove_tag(store: Store, run_ids: Sequence[str], name: str) -> int:
    """Take a tag off runs; the number that had it."""
    with store.write() as session:
        mine = delete(Tag).where(col(Tag.run_id).in_(run_ids), col(Tag.name) == name)
        return session.connection().execute(mine).rowcount


def add_note(store: Store, run_id: str, text: str) -> None:
    """Add a remark to a run. Raises UserError where it is empty or too long."""
    if not text.strip() or len(text) > MAX_NOTE:
        raise UserError(f"note {run_id}: a note has 1 to {MAX_NOTE} characters")
    with store.write() as session:
        session.add(Note(run_id=run_id, at=datetime.now(UTC), text=text.strip()))


# ------------------------------------------------------------------------------------ the trash


def trash(store: Store, run_ids: Sequence[str]) -> int:
    """Put runs that have ended into the trash: no list, leaderboard, export or study shows them. Returns
    how many were not there yet. Raises UserError, and changes nothing, where one is queued or running."""
    with store.write() as session:
        connection = session.connection()
        # the change comes first: a transaction that begins by reading could find its snapshot outdated
        removed = update(Run).where(col(Run.id).in_(run_ids), col(Run.trashed).is_(None))
        changed = connection.execute(removed.values(trashed=datetime.now(UTC))).rowcount
        live = select(Run.id, Run.status).where(
            col(Run.id).in_(run_ids), col(Run.status).in_([RunStatus.QUEUED, RunStatus.RUNNING])
        )
        for run_id, status in connection.execute(live):
            raise UserError(f"{run_id}: is {status}; `tfllmer cancel {run_id}` first, then remove it")
    return changed


def restore(store: Store, run_ids: Sequence[str]) -> int:
    """Take runs out of the trash; how many were there."""
    with store.write() as session:
        back = update(Run).where(col(Run.id).in_(run_ids), col(Run.trashed).is_not(None))
        return session.connection().execute(back.values(trashed=None)).rowcount


def purge(store: Store, run_ids: Sequence[str]) -> int:
    """Delete runs that are in the trash for good, one after another: rows first, then the folder. How many
    were deleted; others are left alone. A folder that a crash leaves behind is told by `upkeep.check`."""
    purged = 0
    for run_id in run_ids:
        with store.write() as session:
            gone = delete(Run).where(col(Run.id) == run_id, col(Run.trashed).is_not(None))
            deleted = session.connection().execute(gone).rowcount
        if deleted:
            shutil.rmtree(store.folder(run_id).root, ignore_errors=True)
            purged += 1
    return purged
