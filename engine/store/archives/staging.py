"""Folders of runs that were made elsewhere, on their way into a store: made beside its own, then moved at once."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.files import held, make_folder, write_text
from engine.spool import RunFolder, to_json
from engine.store.core.database import Store
from engine.store.core.folders import document_file, to_text
from engine.store.core.origin import origin_file, origin_record


@contextmanager
def staging(store: Store, name: str) -> Iterator[Path]:
    """A folder beside those of the runs, for what comes from the file `name`; gone at the end. One import at a time."""
    files = store.make_files()
    with held(files / "import.lock", math.inf):
        staged = files / f".import-{hashlib.sha256(name.encode()).hexdigest()[:12]}.tmp"
        shutil.rmtree(staged, ignore_errors=True)  # of one that was killed
        try:
            yield make_folder(staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def say_origin(folder: RunFolder, name: str, digest: str) -> None:
    """Write into a staged run's folder which file it came from."""
    with open(folder.spool, "ab") as spool:
        spool.write(to_json(origin_record(name)).encode() + b"\n")
    origin = {"archive": name, "sha256": digest, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    write_text(folder.root / origin_file(name), to_text(origin), sync=False)


def keep_document(folder: RunFolder, document: Mapping[str, Any]) -> None:
    """Write what its row is to have beyond specification and spool."""
    # the document counts where it was written after all that the spool says
    whole = {**document, "spool_offset": folder.spool.stat().st_size}
    write_text(document_file(folder.root.parent, folder.root.name), to_text(whole))


def take_places(store: Store, staged: Path, run_ids: Sequence[str]) -> None:
    """Move tables of users and items that are not here yet, then runs, to where they belong."""
    for table in sorted((staged / "splits").glob("*")):
        if not (target := make_folder(store.files / "splits") / table.name).exists():
            table.replace(target)
    for run_id in run_ids:
        (staged / run_id).replace(store.files / run_id)
