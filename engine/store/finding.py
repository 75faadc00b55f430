"""Runs by what a person calls them, and those that somebody should look after: read through a plain connection."""

from __future__ import annotations

import difflib

from engine.errors import UserError
from engine.records import RunStatus
from engine.store.core.database import Store


def find_id(store: Store, prefix: str) -> str:
    """The id of the only run whose id begins so, in upper or lower case; else of the only one that has this tag, its
    name. Raises UserError where there is none, or several."""
    start = prefix.strip().upper()
    if not start:
        raise UserError("the run's id is empty; give the beginning of an id that `tfllmer runs` lists")
    with store.rows() as connection:
        begins = "SELECT id FROM run WHERE id >= ? AND id < ? ORDER BY id LIMIT 6"
        ids, why = [row[0] for row in connection.execute(begins, (start, start + "~"))], "begin so"
        if not ids:
            tagged = "SELECT run.id FROM run JOIN tag ON tag.run_id = run.id WHERE tag.name = ? ORDER BY run.id LIMIT 6"
            ids, why = [row[0] for row in connection.execute(tagged, (prefix.strip(),))], "have this tag"
    if not ids:
        raise unknown_run(store, prefix)
    if len(ids) > 1:
        several = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
        raise UserError(f"{prefix}: several runs {why} ({several}); give more of the id")
    return str(ids[0])


def unknown_run(store: Store, given: str) -> UserError:
    """The error for an id that names no run, with the nearest that does among the newest."""
    with store.rows() as connection:
        newest = [row[0] for row in connection.execute("SELECT id FROM run ORDER BY created DESC, id DESC LIMIT 200")]
    if not newest:
        return UserError(f"{given}: no such run; {store.name} holds none yet")
    close = difflib.get_close_matches(given.upper(), [run_id[: len(given)] for run_id in newest], n=1)
    if close:
        advice = f"did you mean {next(run_id for run_id in newest if run_id.startswith(close[0]))}?"
    else:
        advice = f"the newest is {newest[0]}; `tfllmer runs` lists them"
    return UserError(f"{given}: no such run ({advice})")


def missing_files(store: Store) -> str | None:
    """What is wrong where a store has runs but not the folder beside it, as when it was copied as a single file."""
    if store.files.is_dir():
        return None
    with store.rows() as connection:
        if connection.execute("SELECT 1 FROM run LIMIT 1").fetchone() is None:
            return None
    return (
        f"{store.files}: is not here, so logs, ranks and checkpoints are missing and no run can go on; it belongs"
        f" beside {store.name}: copy it too"
    )


def unsettled(store: Store) -> dict[str, RunStatus]:
    """The runs that may have gone on without anybody following them, by their stored status: those that say they are
    running, and lost ones whose spool has grown."""
    active = "SELECT id, status, spool_offset FROM run WHERE status IN (?, ?) AND trashed IS NULL"
    with store.rows() as connection:
        rows = connection.execute(
            f"{active} ORDER BY status = 'lost', created DESC, id DESC", (RunStatus.RUNNING, RunStatus.LOST)
        ).fetchall()
    return {
        run_id: RunStatus.decode(status)
        for run_id, status, offset in rows
        if status == RunStatus.RUNNING or _grown(store, run_id, offset)
    }


def _grown(store: Store, run_id: str, offset: int) -> bool:
    spool = store.folder(run_id).spool
    return spool.exists() and spool.stat().st_size != offset
