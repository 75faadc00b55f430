"""Rows made of what the folders of runs hold: specification, spool, and the documents that the store keeps there."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, update
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, select
from ulid import ULID

from engine import spec
from engine.errors import UserError
from engine.records import RunStatus
from engine.records.decoding import flag, mapping, number, sequence, text, texts, whole
from engine.spool import RunFolder
from engine.store.core.connections import StoreError, engine_of
from engine.store.core.database import Store
from engine.store.core.folders import (
    DIAGNOSES,
    STUDIES,
    diagnosis_documents,
    document_file,
    keep_runs,
    read_document,
    read_documents,
    run_documents,
    study_documents,
)
from engine.store.core.tables import Event, Note, Run, StoredDiagnosis, StoredStudy, StoredWorker, Tag
from engine.store.curves.intake import ingest
from engine.store.dialects.sql import run
from engine.store.runs import row_of

NOTHING_KNOWN = "made from its folder, which does not say that it ever began; tfllmer retry queues it"
"""The reason of a run of which there is a specification and no more."""


@dataclass(frozen=True)
class KeptDocuments:
    """What a database says of its runs, as far as it can be read."""

    ids: frozenset[str] = frozenset()
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    studies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    diagnoses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> KeptDocuments:
        """Of a database that may be damaged, or none at all."""
        engine = engine_of(path, 1.0, read_only=True)
        parts: dict[str, Any] = {}
        try:
            with suppress(DBAPIError, sqlite3.Error, ValueError), engine.connect() as connection:
                query = partial(run, connection)
                parts["ids"] = frozenset(map(str, query("SELECT id FROM run").scalars()))
                parts["studies"] = study_documents(connection, query("SELECT name FROM study").scalars())
                parts["diagnoses"] = diagnosis_documents(connection, query("SELECT identity FROM diagnosis").scalars())
                parts["runs"] = run_documents(connection, parts["ids"])
        finally:
            engine.dispose()
        return cls(**parts)


def bring_in(store: Store, run_ids: Sequence[str]) -> list[str]:
    """Rows for runs that have a folder, in place of those that are there; what could not be brought in, a line each."""
    bringing = BringingIn(replace(store, keeps=False), KeptDocuments())
    bringing.studies_and_diagnoses()
    bringing.runs([store.folder(run_id) for run_id in run_ids])
    with store.write() as session:
        keep_runs(session.connection(), store.files, run_ids)
    return bringing.problems


class BringingIn:
    """Runs on their way from their folders into a store, whose rows are not kept in the folders meanwhile. Where a
    folder has no document of its run, that of the `former` database stands for it."""

    def __init__(self, store: Store, former: KeptDocuments) -> None:
        self._store, self._former = store, former
        self._studies: dict[str, int] = {}
        self.problems: list[str] = []

    def studies_and_diagnoses(self) -> None:
        """Those that are kept beside the runs."""
        studies = {**self._former.studies, **read_documents(self._store.files / STUDIES, "name")}
        diagnoses = {**self._former.diagnoses, **read_documents(self._store.files / DIAGNOSES, "identity")}
        with self._store.write() as session:
            present = {study.name: study for study in session.exec(select(StoredStudy))}
            for name, document in sorted(
                studies.items(), key=lambda each: (text(each[1].get("created")) or "", each[0])
            ):
                study = present.get(name) or StoredStudy(name=name, spec={}, created=_now())
                study.spec = dict(mapping(document.get("spec")))
                study.created = _time(document.get("created")) or study.created
                session.add(study)
            for identity, document in diagnoses.items():
                session.merge(
                    StoredDiagnosis(
                        identity=identity,
                        dataset=text(document.get("dataset")) or "",
                        embedding=text(document.get("embedding")) or "",
                        spec=dict(mapping(document.get("spec"))),
                        result=dict(mapping(document.get("result"))),
                        created=_time(document.get("created")) or _now(),
                    )
                )
            session.flush()
            self._studies = {study.name: study.id or 0 for study in session.exec(select(StoredStudy))}

    def runs(self, folders: Sequence[RunFolder]) -> None:
        """Rows for the runs in the folders, in place of those that are there, and what their spools hold."""
        documents: dict[str, Mapping[str, Any]] = {}
        with self._store.write() as session:
            for folder in folders:
                run_id = folder.root.name
                document = read_document(document_file(self._store.files, run_id)) or self._former.runs.get(run_id, {})
                if flag(document.get("deleted")):
                    self.problems.append(
                        f"{run_id}: was deleted for good; {folder.root} is left over, remove it by hand"
                    )
                    continue
                try:
                    with session.begin_nested():
                        self._begin(session, folder, document)
                except (UserError, OSError, ArithmeticError, LookupError, TypeError, ValueError) as error:
                    self.problems.append(f"{run_id}: not brought in: {' '.join(str(error).split())}")
                    continue
                documents[run_id] = document
        for run_id in list(documents):
            try:
                ingest(self._store, run_id)
            except StoreError:
                raise
            except UserError as error:
                self.problems.append(f"{run_id}: its spool was not read to its end: {error}")
        with self._store.write() as session:
            for run_id, document in documents.items():
                _end(session, session.get_one(Run, run_id), document)

    def give_up_without_folder(self) -> list[str]:
        """The runs that have no folder; those of them that wait or ran are failed, since nobody can train them."""
        with self._store.write() as session:
            rows = session.exec(select(Run.id, Run.status)).all()
            lost = {
                run_id: RunStatus(status) for run_id, status in rows if not self._store.folder(run_id).root.is_dir()
            }
            for run_id, status in lost.items():
                if not status.has_ended:
                    reason = f"its folder is gone; tfllmer clone {run_id} makes a new run of it"
                    failed = update(Run).where(col(Run.id) == run_id)
                    session.connection().execute(failed.values(status=RunStatus.FAILED, reason=reason, ended=_now()))
                    session.add(Event(run_id=run_id, at=_now(), level="state", text=f"failed: {reason}"))
        return sorted(lost)

    def _begin(self, session: Session, folder: RunFolder, document: Mapping[str, Any]) -> None:
        """The row as it was before its spool was read."""
        run_id = folder.root.name
        run = session.get(Run, run_id)
        if run is None:
            experiment = spec.from_json(folder.spec.read_text("utf-8"))
            created = _time(document.get("created")) or ULID.from_str(run_id).datetime
            run = row_of(
                run_id,
                experiment,
                created=created,
                overrides=mapping(document.get("overrides")),
                command=texts(document.get("command")),
                status=RunStatus.CANCELLED,
            )
            run.reason, run.ended = NOTHING_KNOWN, created
        if document:
            _place(run, document)
            study = self._studies.get(text(document.get("study")) or "")
            run.study_id = study if study is not None else run.study_id
            worker = mapping(document.get("worker"))
            run.worker_id = _worker(session, worker)
        session.add(run)
        session.flush()
        if document:
            _annotate(session, run_id, document)


def _place(run: Run, document: Mapping[str, Any]) -> None:
    """What the spool says nothing of."""
    run.cancel_requested = bool(flag(document.get("cancel_requested")))
    run.crashes = whole(document.get("crashes")) or 0
    run.priority = whole(document.get("priority")) or 0
    run.position = number(document.get("position")) or run.created.timestamp()
    run.host, run.device = text(document.get("host")), text(document.get("device"))
    run.pid, run.pid_start = whole(document.get("pid")), number(document.get("pid_start"))
    run.trashed = _time(document.get("trashed"))
    run.executor, run.cluster = text(document.get("executor")) or "local", text(document.get("cluster")) or ""
    run.handle, run.handle_state = text(document.get("handle")) or "", text(document.get("handle_state")) or ""


def _worker(session: Session, known: Mapping[str, Any]) -> str | None:
    """The worker that had the run, as one that takes nothing new: who finds it gone adopts the run."""
    worker_id, host, pid, start = (known.get(name) for name in ("id", "host", "pid", "pid_start"))
    if not (isinstance(worker_id, str) and isinstance(host, str)) or whole(pid) is None or number(start) is None:
        return None
    if session.get(StoredWorker, worker_id) is None:
        session.add(
            StoredWorker(
                id=worker_id,
                host=host,
                pid=whole(pid) or 0,
                pid_start=number(start) or 0.0,
                started=_now(),
                heartbeat=_now(),
                slots=[],
                draining=True,
            )
        )
        session.flush()
    return worker_id


def _annotate(session: Session, run_id: str, document: Mapping[str, Any]) -> None:
    connection = session.connection()
    for table in (Tag, Note):
        connection.execute(delete(table).where(col(table.run_id) == run_id))
    for name in dict.fromkeys(texts(document.get("tags"))):
        session.add(Tag(run_id=run_id, name=name))
    for note in map(mapping, sequence(document.get("notes"))):
        if words := text(note.get("text")):
            session.add(Note(run_id=run_id, at=_time(note.get("at")) or _now(), text=words))


def _end(session: Session, run: Run, document: Mapping[str, Any]) -> None:
    """How the run stands, where others have said so since it last wrote; and what was said of it, in order."""
    read_then, word = whole(document.get("spool_offset")), text(document.get("status"))
    status = next((each for each in RunStatus if each == word), None)
    cut = read_then is not None and run.spool_offset < read_then  # the spool has lost its end, and maybe a last word
    said_later = status is not None and read_then is not None and run.spool_offset <= read_then
    if status is not None and said_later and not (cut and status is RunStatus.FINISHED):
        reason = text(document.get("reason")) or ""
        if (status, reason) != (run.status, run.reason):
            run.status, run.reason, run.detail = status, reason, ""
            run.ended = _time(document.get("ended"))
            run.result = None if status is RunStatus.QUEUED else run.result
        run.pid, run.pid_start = whole(document.get("pid")), number(document.get("pid_start"))
    _tell(session, run.id, sequence(document.get("states")))


def _tell(session: Session, run_id: str, states: Sequence[Any]) -> None:
    """The changes of status that the spool does not tell, among its own, by time."""
    events = select(Event.at, Event.level, Event.text).where(Event.run_id == run_id).order_by(col(Event.id))
    messages = [(at, level, words) for at, level, words in session.exec(events)]
    known = {(at, words) for at, level, words in messages if level == "state"}
    added = []
    for state in map(mapping, states):
        at, words = _time(state.get("at")), text(state.get("text"))
        if at is not None and words is not None and (at, words) not in known:
            added.append((at, "state", words))
    if added:
        connection = session.connection()
        connection.execute(delete(Event).where(col(Event.run_id) == run_id))
        rows = sorted([*messages, *added], key=lambda row: row[0])
        connection.execute(
            insert(Event), [{"run_id": run_id, "at": at, "level": level, "text": words} for at, level, words in rows]
        )


def _time(value: object) -> datetime | None:
    """A time with its zone; None for anything else, also for years that nobody has seen."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if at is None or at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _now() -> datetime:
    return datetime.now(UTC)
