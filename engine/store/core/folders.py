"""What the folders keep of the rows, so that a lost database can be made anew: `engine.store.rebuild` reads it.

A run's folder has its specification and its spool. What others add to its row (tags, notes, its place in the queue, its
study, how it was given up, that it is in the trash) is written to `store.json` in it, the studies and diagnoses beside
them. Triggers of the writing connection note which rows change, whoever changes them; `keep_changes` writes their
documents right before the commit, while the write lock keeps others away.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from engine.bounds import parse_json
from engine.errors import UserError
from engine.files import write_text
from engine.store.core.documents import document as stored_document
from engine.store.dialects.sql import run

if TYPE_CHECKING:
    from sqlalchemy import Connection

STUDIES, DIAGNOSES = "studies", "diagnoses"
"""Folders beside those of the runs, one document each."""

_COLUMNS = (
    *("status", "reason", "study_id", "cancel_requested", "pid", "priority", "position", "crashes", "device"),
    *("trashed", "created", "overrides", "command"),
)
_AT_ONCE = 500


_WHEN = tuple[str, str, str, str, str]
_OF_RUN = ("INSERT", f"UPDATE OF {', '.join(_COLUMNS)}", "DELETE")
WATCHED: tuple[_WHEN, ...] = (
    *(("run", "id", what, "run", "") for what in _OF_RUN),
    *(("run", "run_id", what, table, "") for table in ("tag", "note") for what in ("INSERT", "DELETE")),
    *(("study", "name", what, "study", "") for what in ("INSERT", "UPDATE")),
    *(("diagnosis", "identity", what, "diagnosis", "") for what in ("INSERT", "UPDATE")),
    ("run", "run_id", "INSERT", "event", "new.level = 'state'"),
)
"""What changes a document: its kind, the column that holds its key, what is done to which table, and when."""


def watch_changes(connection: sqlite3.Connection) -> None:
    """Note from now on, inside each transaction of this connection, which runs, studies and diagnoses it changes."""
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS changed_rows (kind TEXT, key TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID"
    )
    for n, (kind, column, what, table, when) in enumerate(WATCHED):
        key = f"{'old' if what == 'DELETE' else 'new'}.{column}"
        connection.execute(
            f"CREATE TEMP TRIGGER IF NOT EXISTS watch_{n} AFTER {what} ON {table} {f'WHEN {when}' if when else ''}"
            f" BEGIN INSERT INTO changed_rows SELECT '{kind}', {key}"
            f" WHERE NOT EXISTS (SELECT 1 FROM changed_rows WHERE kind = '{kind}' AND key = {key}); END"
        )


def keep_changes(connection: Connection, files: Path) -> None:
    """Write the documents of the rows that the transaction has changed."""
    changed: dict[str, list[str]] = defaultdict(list)
    for kind, key in run(connection, "DELETE FROM changed_rows RETURNING kind, key").all():
        changed[kind].append(key)
    if changed:
        _keep(connection, files, changed["run"], changed["study"], changed["diagnosis"])


def keep_all(connection: Connection, files: Path) -> None:
    """Write the documents of all rows."""
    runs, studies, diagnoses = (
        list(run(connection, f"SELECT {key} FROM {table}").scalars())
        for key, table in (("id", "run"), ("name", "study"), ("identity", "diagnosis"))
    )
    _keep(connection, files, runs, studies, diagnoses)


def _keep(
    connection: Connection, files: Path, runs: Sequence[str], studies: Sequence[str], diagnoses: Sequence[str]
) -> None:
    for part in _parts(runs):
        documents = run_documents(connection, part)
        for run_id in part:
            _write(document_file(files, run_id), documents.get(run_id, {"run": run_id, "deleted": True}))
    for folder, names, found in (
        (STUDIES, studies, study_documents(connection, studies)),
        (DIAGNOSES, diagnoses, diagnosis_documents(connection, diagnoses)),
    ):
        if names and files.is_dir():
            with suppress(OSError):
                (files / folder).mkdir(exist_ok=True)
        for name, document in found.items():
            _write(files / folder / file_name(name), document)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """Where the folder is gone, or nothing can be written there, the row alone has it; `tfllmer db check` says so."""
    if path.parent.is_dir():
        with suppress(UserError, OSError):
            write_text(path, to_text(document), sync=False)


def keep_runs(connection: Connection, files: Path, run_ids: Sequence[str]) -> None:
    """Write the documents of these runs."""
    _keep(connection, files, run_ids, (), ())


def unkept_runs(connection: Connection, files: Path) -> Iterator[tuple[str, bool]]:
    """Runs whose folder does not keep what their row has; whether it knows of later changes than the row."""
    ids = list(run(connection, "SELECT id FROM run ORDER BY id").scalars())
    for part in _parts(ids):
        for run_id, row in run_documents(connection, part).items():
            if (files / run_id).is_dir():
                kept = read_document(document_file(files, run_id)) or {}
                if any(kept.get(name) != value for name, value in row.items() if name not in _MOVING):
                    known = [(state["at"], state["text"]) for state in row["states"]]
                    yield run_id, any((at, words) not in known for at, words in _states(kept))


def _states(document: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    states = document.get("states")
    for state in states if isinstance(states, list) else []:
        if isinstance(state, dict):
            yield state.get("at"), state.get("text")


_MOVING = ("spool_offset", "worker", "handle_state")
"""Change without a word."""


def to_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def file_name(name: str) -> str:
    """A name of a study or a diagnosis as that of a file."""
    quoted = quote(name, safe=" ")
    return f"{quoted if len(quoted) <= 200 else hashlib.sha256(name.encode()).hexdigest()}.json"


# ------------------------------------------------------------------------------------ the documents


def run_documents(connection: Connection, run_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What the rows of runs have beyond specification and spool, by run."""
    ids = list(run_ids)
    query = partial(run, connection)
    documents: dict[str, dict[str, Any]] = {}
    for part in _parts(ids):
        these, marks = tuple(part), ",".join("?" * len(part))
        for row in query(f"{_RUNS} WHERE run.id IN ({marks})", these).mappings():
            documents[row["run"]] = _run_document({**row})
        for what, _, run_id, at, text in query(_ADDED.format(marks=marks), these * 3):
            documents[run_id][what].append(text if what == "tags" else {"at": _utc(at), "text": text})
    return documents


_RUNS = (
    "SELECT run.id AS run, run.created, study.name AS study, overrides, command, status, reason, ended, spool_offset,"
    " cancel_requested, crashes, priority, position, run.host, device, run.pid, run.pid_start, trashed,"
    " run.executor, cluster, handle, handle_state,"
    " worker.id AS worker_id, worker.host AS worker_host, worker.pid AS worker_pid, worker.pid_start AS worker_start"
    " FROM run LEFT JOIN study ON study.id = run.study_id LEFT JOIN worker ON worker.id = run.worker_id"
)


_ADDED = (
    "SELECT 'tags' AS what, 0 AS id, run_id, NULL AS at, name AS text FROM tag WHERE run_id IN ({marks})"
    " UNION ALL SELECT 'notes', id, run_id, at, text FROM note WHERE run_id IN ({marks})"
    " UNION ALL SELECT 'states', id, run_id, at, text FROM event WHERE level = 'state' AND run_id IN ({marks})"
    " ORDER BY what, id, text"
)
"""What others have added to runs, read at once, since a server is asked from afar."""


def _run_document(row: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: str(value) if isinstance(value, bytes) else value for name, value in row.items()}  # a damaged row
    document = {name: value for name, value in row.items() if not name.startswith("worker_")}
    worker = {"id": "worker_id", "host": "worker_host", "pid": "worker_pid", "pid_start": "worker_start"}
    return document | {
        **{name: _utc(row[name]) for name in ("created", "ended", "trashed")},
        **{name: stored_document(row[name]) for name in ("overrides", "command")},
        "cancel_requested": bool(row["cancel_requested"]),
        "worker": None if row["worker_id"] is None else {name: row[column] for name, column in worker.items()},
        "tags": [],
        "notes": [],
        "states": [],
    }


def study_documents(connection: Connection, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Studies by name, whole."""
    return {
        name: {"name": name, "created": _utc(created), "spec": stored_document(spec)}
        for part in _parts(list(names))
        for name, created, spec in run(
            connection,
            f"SELECT name, created, spec FROM study WHERE name IN ({','.join('?' * len(part))})",
            tuple(part),
        )
    }


def diagnosis_documents(connection: Connection, identities: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Diagnoses by the identity of their question, whole."""
    columns = "identity, dataset, embedding, created, spec, result"
    return {
        row["identity"]: {
            **row,
            "created": _utc(row["created"]),
            "spec": stored_document(row["spec"]),
            "result": stored_document(row["result"]),
        }
        for part in _parts(list(identities))
        for row in run(
            connection, f"SELECT {columns} FROM diagnosis WHERE identity IN ({','.join('?' * len(part))})", tuple(part)
        ).mappings()
    }


def _utc(stored: object) -> str | None:
    """A time as the database has it, without its zone, in ISO 8601."""
    if isinstance(stored, datetime):
        return f"{stored.isoformat(timespec='microseconds')}+00:00"
    return None if stored is None else f"{str(stored).replace(' ', 'T')}+00:00"


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """SQLite takes a limited number of parameters."""
    return (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))


# ------------------------------------------------------------------------------------ read again


def document_file(files: Path, run_id: str) -> Path:
    """Where the document of a run is kept."""
    return files / run_id / "store.json"


def read_document(path: Path) -> dict[str, Any] | None:
    """A document; None where there is none, or something else."""
    try:
        document = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def read_documents(folder: Path, key: str) -> dict[str, dict[str, Any]]:
    """The documents in a folder by their name."""
    documents = filter(None, map(read_document, sorted(folder.glob("*.json"))))
    return {name: document for document in documents if isinstance(name := document.get(key), str)}
