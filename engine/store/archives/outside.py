"""Ranks that another program made, as runs of a store: staged folders, then rows, as of any run that is brought in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlmodel import col, select
from ulid import ULID

from engine import spec
from engine.errors import UserError
from engine.files import make_folder, write_text
from engine.records import RunStatus
from engine.spool import RunFolder
from engine.store.archives.staging import file_digest, keep_document, say_origin, staging, take_places
from engine.store.bringing_in import bring_in
from engine.store.core.database import Store
from engine.store.core.tables import Run
from engine.store.runs import experiment_of


@dataclass(frozen=True)
class OutsideRun:
    """What is to be brought in."""

    experiment: spec.Experiment
    source: Path
    overrides: Mapping[str, Any]
    command: Sequence[str]

    @property
    def system(self) -> spec.Imported:
        backbone = self.experiment.backbone
        if not isinstance(backbone, spec.Imported):
            raise TypeError(f"{backbone.name} is not imported")
        return backbone


def known_run(store: Store, outside: OutsideRun) -> str | None:
    """The run of this system and seed on this data that is here already; None where there is none. Raises UserError
    where it came from another file."""
    with store.read() as session:
        same = col(Run.spec_hash) == spec.spec_hash(outside.experiment)
        rows = session.exec(select(Run).where(same, col(Run.status) == RunStatus.FINISHED)).all()
    rows = [row for row in rows if row.trashed is None]
    if not rows:
        return None
    run, system = rows[-1], outside.system
    backbone = experiment_of(run).backbone
    if isinstance(backbone, spec.Imported) and backbone.fingerprint == system.fingerprint:
        return run.id
    raise UserError(
        f"{outside.source}: {system.system} with seed {outside.experiment.seed} is here already, from another file "
        f"({run.id}): give another --seed or --system, or remove it with `tfllmer rm {run.id}`"
    )


def bring_outside(
    store: Store, outside: OutsideRun, make: Callable[[Path], Mapping[str, Any]]
) -> tuple[str, list[str]]:
    """Bring it in; the run's id, and what went wrong, one line each. `make` gets a folder and makes the run's files in
    it; what it raises leaves the store as it was."""
    with staging(store, outside.source.name) as staged:
        if (known := known_run(store, outside)) is not None:
            return known, []
        now = datetime.now(UTC)
        run_id = str(ULID.from_datetime(now))
        folder = RunFolder(make_folder(staged / run_id))
        write_text(folder.spec, spec.to_json(outside.experiment) + "\n")
        make(folder.root)
        say_origin(folder, outside.source.name, file_digest(outside.source))
        document: dict[str, Any] = {
            "run": run_id,
            "created": now.isoformat(),
            "study": None,
            "status": str(RunStatus.FINISHED),
        }
        document |= {"overrides": dict(outside.overrides), "command": list(outside.command), "tags": []}
        keep_document(folder, document)
        take_places(store, staged, [run_id])
    return run_id, bring_in(store, [run_id])
