"""Runs of a store into one file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.spool import SpoolMark, from_json
from engine.store.archives.format import write_archive
from engine.store.core.database import Store
from engine.store.core.folders import STUDIES, file_name, run_documents, study_documents, to_text
from engine.store.core.origin import is_origin
from engine.store.core.tables import Run
from engine.store.runs import artifact_files, find_run
from engine.store.studies import stored_study, study_runs

_KEPT = ("run", "created", "study", "overrides", "command", "status", "reason", "ended", "tags", "notes", "states")
"""Of the document of a run. Its machine, process and place in the queue mean nothing elsewhere."""


@dataclass(frozen=True)
class Packed:
    """What an archive holds, and which runs it does not and why, one line each."""

    runs: tuple[str, ...]
    studies: tuple[str, ...]
    bytes: int
    left_out: tuple[str, ...]


def chosen_runs(store: Store, targets: Sequence[str]) -> list[Run]:
    """The runs that count for studies, and single runs by id, its beginning or name; each once. Raises UserError for
    what is neither."""
    runs: dict[str, Run] = {}
    for target in targets:
        if stored_study(store, target) is None:
            chosen = [find_run(store, target)]
        else:
            chosen = [run for _, run in study_runs(store, target) if run is not None]
            if not chosen:
                raise UserError(f"{target}: the study has no run yet")
        runs |= {run.id: run for run in chosen}
    return [runs[run_id] for run_id in sorted(runs)]


def pack(store: Store, targets: Sequence[str], path: Path, *, slim: bool = False, ranks: bool = True) -> Packed:
    """Write the runs of studies, and single runs, to one file. Runs that have not ended are left out. `slim` leaves out
    top lists and the tables of users and items, which grow with the data, and the places of data and vectors; without
    `ranks` no test over users can be made of them. Raises UserError where a target is unknown or nothing can be packed.
    """
    left_out, runs = [], []
    for run in chosen_runs(store, targets):
        if why := _why_not(store, run):
            left_out.append(f"{run.id}: {why}")
        else:
            runs.append(run)
    if not runs:
        raise UserError(f"{targets[0]}: nothing to archive: {left_out[0]}")
    with store.read() as session:
        connection = session.connection()
        documents = run_documents(connection, [run.id for run in runs])
        names = {target for target in targets if stored_study(store, target) is not None}
        names |= {document["study"] for document in documents.values() if document["study"] is not None}
        studies = study_documents(connection, sorted(names))
    about = {"studies": sorted(studies), "runs": [_about(run) for run in runs]}
    members = _members(store, runs, documents, studies, slim=slim, ranks=ranks)
    write_archive(path, f"tfllmer {_version()}", about, members)
    return Packed(tuple(run.id for run in runs), tuple(sorted(studies)), path.stat().st_size, tuple(left_out))


def spool_bytes(spool: Path) -> bytes:
    """The complete lines of a spool, but for those that say where it came from: the same wherever the run lies."""
    data = spool.read_bytes()
    lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
    return b"".join(line for line in lines if b'"archive"' not in line or not _is_origin(line))


def _is_origin(line: bytes) -> bool:
    try:
        return is_origin(from_json(line))
    except ValueError:
        return False


def _why_not(store: Store, run: Run) -> str | None:
    folder = store.folder(run.id)
    if not run.status.has_ended:
        return f"is {run.status}"
    if run.damage:
        return f"is damaged: {run.damage}"
    if not folder.spec.is_file() or not folder.spool.is_file():
        return "its files are gone" if run.attempt else "never began"
    if not SpoolMark(run.spool_offset, run.spool_mark).holds_in(folder.spool):
        return "its records are not what was read of them; see tfllmer db check"
    return None


def _about(run: Run) -> dict[str, Any]:
    columns = ("id", "arm", "dataset", "backbone", "embedding", "seed", "status", "config_hash", "spec_hash")
    return {name: getattr(run, name) for name in columns}


def _members(
    store: Store,
    runs: Sequence[Run],
    documents: Mapping[str, Mapping[str, Any]],
    studies: Mapping[str, Mapping[str, Any]],
    *,
    slim: bool,
    ranks: bool,
) -> Iterator[tuple[str, bytes]]:
    for run in runs:
        folder, place = store.folder(run.id), f"runs/{run.id}"
        kept = [folder.root / "code.diff", *([folder.ranks] if ranks else []), *([] if slim else [folder.top])]
        for name, path in sorted((path.name, path) for path in kept):
            if path.is_file():
                yield f"{place}/{name}", path.read_bytes()
        document = documents[run.id]
        given = folder.spec.read_bytes()
        yield f"{place}/spec.json", _without_places(given) if slim else given
        yield f"{place}/spool.jsonl", spool_bytes(folder.spool)
        yield f"{place}/store.json", to_text({name: document[name] for name in _KEPT}).encode()
    if not slim:
        yield from _splits(store, runs)
    for name in sorted(studies):
        yield f"{STUDIES}/{file_name(name)}", (json.dumps(studies[name], sort_keys=True, indent=1) + "\n").encode()


def _without_places(specification: bytes) -> bytes:
    """The specification without the paths of data and vectors, which are no part of its identity."""
    document = json.loads(specification)
    for part in (document["data"]["source"], document.get("embedding")):
        if part and "path" in part:
            part["path"] = None
    return (json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def _splits(store: Store, runs: Sequence[Run]) -> Iterator[tuple[str, bytes]]:
    """Tables of users and items, once per data set."""
    paths: dict[str, Path] = {}
    for run in runs:
        if f"{run.data_hash}.parquet" not in paths:
            files = artifact_files(store, run.id)
            for kind, ending in (("split", ".parquet"), ("items", ".items.parquet")):
                if kind in files and files[kind].is_file():
                    paths[f"{run.data_hash}{ending}"] = files[kind]
    for name in sorted(paths):
        yield f"splits/{name}", paths[name].read_bytes()


def _version() -> str:
    try:
        return version("tfllmer")
    except PackageNotFoundError:
        return "of a checkout"
