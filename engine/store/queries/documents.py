"""What is stored of one run beside its row of a table and its curves, for a screen that shows all of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.errors import UserError
from engine.store.core.database import Store
from engine.store.core.documents import document
from engine.store.core.times import stored_time


@dataclass(frozen=True)
class Documents:
    """Read in one go, through a plain connection as rows and curves are.

    events:    (number, time, level, text), in the order in which they came in
    artifacts: (kind, path relative to the run's folder)
    """

    spec: dict[str, Any]
    overrides: dict[str, Any]
    command: list[str]
    facts: dict[str, Any]
    attempt: int
    detail: str
    events: tuple[tuple[int, datetime, str, str], ...]
    artifacts: tuple[tuple[str, str], ...]


def documents(store: Store, run_id: str) -> Documents:
    """What is stored of the run with exactly this id. Raises UserError where it is not there."""
    with store.rows() as connection:
        run = connection.execute(
            "SELECT spec, overrides, command, facts, attempt, detail FROM run WHERE id = ?", (run_id,)
        ).fetchone()
        events = connection.execute("SELECT id, at, level, text FROM event WHERE run_id = ? ORDER BY id", (run_id,))
        log = tuple((i, stored_time(at), level, text) for i, at, level, text in events)
        files = connection.execute("SELECT kind, path FROM artifact WHERE run_id = ? ORDER BY 1, 2", (run_id,))
        artifacts = tuple((kind, path) for kind, path in files)
    if run is None:
        raise UserError(f"{run_id}: no such run")
    spec, overrides, command, facts = map(document, run[:4])
    return Documents(spec, overrides, command, facts, run[4], run[5], log, artifacts)
