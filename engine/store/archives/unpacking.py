"""Runs of an archive into a store: made folders of their own, then rows, as of any run that is brought in.

Everything is read and compared first, in a folder beside those of the runs; only then do folders take their places. A
run that is here already is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from engine import spec
from engine.errors import UserError
from engine.files import make_folder, write_bytes
from engine.records.decoding import mapping, sequence, text
from engine.spool import RunFolder
from engine.store.archives.format import RUN_FILES, Archive, reading
from engine.store.archives.packing import spool_bytes
from engine.store.archives.staging import file_digest, keep_document, say_origin, staging, take_places
from engine.store.bringing_in import bring_in
from engine.store.core.database import Store
from engine.store.core.folders import STUDIES, read_document
from engine.store.core.tables import Run, StoredStudy

_AT_ONCE = 100


@dataclass
class Contents:
    """What an archive has for a store."""

    archive: str
    made_by: str
    new: list[str] = field(default_factory=list)
    """Runs that are not here yet."""
    here: list[str] = field(default_factory=list)
    """Runs that are here with the same records."""
    differing: list[str] = field(default_factory=list)
    """Runs that are here with other records; they are kept as they are."""
    studies: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What could not be brought in, one line each."""


def look_into(path: Path, store: Store | None) -> Contents:
    """What bringing it in would do; every member is read and compared. Raises UserError."""
    with reading(path) as archive:
        for name in archive.files:
            archive.read(name)
        contents, _ = _compared(archive, store)
    return contents


def bring_archive(path: Path, store: Store) -> Contents:
    """Bring in what is not here yet. Raises UserError where the archive cannot be trusted; nothing has changed then."""
    with reading(path) as archive, staging(store, path.name) as staged:
        contents, studies = _compared(archive, store)
        _stage(archive, contents.new, staged, file_digest(path))
        _stage_splits(archive, store.files, staged)
        _settle_studies(store, studies)
        take_places(store, staged, contents.new)
        rows = _ids(store)
        without_row = [run_id for run_id in (*contents.new, *contents.here) if run_id not in rows]
        for start in range(0, len(without_row), _AT_ONCE):
            contents.problems += bring_in(store, without_row[start : start + _AT_ONCE])
    return contents


def _compared(archive: Archive, store: Store | None) -> tuple[Contents, dict[str, dict[str, Any]]]:
    """What is new, and the studies by name. Raises UserError where a specification or a document makes no sense."""
    contents = Contents(archive.path.name, text(archive.manifest.get("made_by")) or "")
    rows = frozenset[str]() if store is None else _ids(store)
    for run_id in archive.run_ids:
        _check_run(archive, run_id)
        folder = None if store is None else store.folder(run_id)
        if folder is None or (run_id not in rows and not folder.root.exists()):
            contents.new.append(run_id)
        elif folder.spool.is_file() and spool_bytes(folder.spool) == archive.read(f"runs/{run_id}/spool.jsonl"):
            contents.here.append(run_id)
        else:
            contents.differing.append(run_id)
    studies = {}
    for name in archive.shared(STUDIES):
        document = archive.document(name)
        study, about = text(document.get("name")), document.get("spec")
        if not study or not isinstance(about, dict):
            raise UserError(f"{archive.path}: {name} is no study")
        studies[study] = document
    contents.studies = sorted(studies)
    return contents, studies


def _ids(store: Store) -> frozenset[str]:
    with store.read() as session:
        return frozenset(session.exec(select(Run.id)))


def _check_run(archive: Archive, run_id: str) -> None:
    place = f"runs/{run_id}"
    document = archive.document(f"{place}/store.json")
    if document.get("run") != run_id:
        raise UserError(f"{archive.path}: {place}/store.json is of another run")
    try:
        spec.from_json(archive.read(f"{place}/spec.json").decode())
    except (UserError, ValueError) as error:
        raise UserError(f"{archive.path}: {place}/spec.json: {error}") from None


def _stage(archive: Archive, run_ids: Sequence[str], staged: Path, digest: str) -> None:
    """The folders of new runs, whole, with the record that says where they come from."""
    for run_id in run_ids:
        folder = RunFolder(make_folder(staged / run_id))
        for each in RUN_FILES:
            if (member := f"runs/{run_id}/{each}") in archive.files:
                write_bytes(folder.root / each, archive.read(member), sync=False)
        say_origin(folder, archive.path.name, digest)
        keep_document(folder, read_document(folder.root / "store.json") or {})


def _stage_splits(archive: Archive, files: Path, staged: Path) -> None:
    """Tables of users and items that are not here yet."""
    for member in archive.shared("splits"):
        name = member.removeprefix("splits/")
        if not (files / "splits" / name).exists():
            write_bytes(make_folder(staged / "splits") / name, archive.read(member))


def _settle_studies(store: Store, studies: Mapping[str, Mapping[str, Any]]) -> None:
    """Studies that are not here come whole; to one that is here the cells are added that it does not have."""
    with store.write() as session:
        for name, document in studies.items():
            study = session.exec(select(StoredStudy).where(col(StoredStudy.name) == name)).first()
            if study is None:
                created = datetime.now(UTC)
                with suppress(ValueError, TypeError):
                    created = datetime.fromisoformat(str(document.get("created"))).astimezone(UTC)
                session.add(StoredStudy(name=name, spec=dict(mapping(document.get("spec"))), created=created))
            elif (merged := _merged(study.spec, mapping(document.get("spec")))) != study.spec:
                study.spec = merged
                session.add(study)


def _merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(ours)
    known = {mapping(cell).get("spec_hash") for part in ("cells", "former") for cell in sequence(ours.get(part))}
    keys = {mapping(cell).get("key") for cell in sequence(ours.get("cells"))}
    for part in ("cells", "former"):
        added = []
        for cell in map(mapping, sequence(theirs.get(part))):
            if cell.get("spec_hash") not in known and not (part == "cells" and cell.get("key") in keys):
                added.append(dict(cell))
        if added:
            merged[part] = [*sequence(ours.get(part)), *added]
    return merged
