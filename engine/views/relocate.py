"""A stored run whose data or vectors have moved: the same specification with the places where they lie now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.files import path_of
from engine.places import atomic_file, inter_name

if TYPE_CHECKING:
    from engine.spec import Experiment
    from engine.store import Run

PLACES = ("data.source.path", "embedding.path")


def relocated(run: Run, sets: Sequence[str]) -> Experiment:
    """The run's specification with `sets` (`data.source.path=FOLDER`, `embedding.path=FILE`), which leave its identity
    alone. Raises UserError for any other setting, and where what lies there is not what the run was begun with."""
    from engine.presets.compose import parse_set
    from engine.presets.locate import fingerprint_of
    from engine.spec import Files
    from engine.store import experiment_of

    experiment = experiment_of(run)
    for name, place in (parse_set(re.sub("^data[.]path=", "data.source.path=", text)) for text in sets):
        if name not in PLACES:
            raise UserError(
                f"--set {name}: a run that goes on keeps its settings; only {' and '.join(PLACES)} may change"
                f" (tfllmer clone {run.id} --set {name}={place} makes another run)"
            )
        path = path_of(place).resolve()
        source, vectors = experiment.data.source, experiment.embedding
        if name == "data.source.path":
            if not isinstance(source, Files):
                raise UserError(f"--set {name}: the data of {run.id} are generated; leave it out")
            folder = path if inter_name(path.name) is None else path.parent
            files = [atomic_file(folder, source.name, ending) for ending in ("inter", "item")]
            _require(files[0], name)
            _compare(name, folder, fingerprint_of(file for file in files if file.exists()), source.fingerprint)
            data = experiment.data.model_copy(update={"source": source.model_copy(update={"path": str(folder)})})
            experiment = experiment.model_copy(update={"data": data})
        else:
            if vectors is None or vectors.path is None:
                raise UserError(f"--set {name}: {run.id} reads no file of vectors; leave it out")
            _require(path, name)
            _compare(name, path, fingerprint_of([path]), vectors.fingerprint)
            experiment = experiment.model_copy(
                update={"embedding": vectors.model_copy(update={"path": str(path)})},
            )
    return experiment


def require_files(run: Run) -> None:
    """Raises UserError where the data or vectors of a run that is to go on are no longer where they were."""
    from engine.spec import Files
    from engine.store import experiment_of

    experiment = experiment_of(run)
    source, vectors = experiment.data.source, experiment.embedding
    places: list[tuple[str, Path]] = []
    if isinstance(source, Files) and source.path is not None:
        places.append(("data.source.path=FOLDER", atomic_file(Path(source.path), source.name, "inter")))
    if vectors is not None and vectors.path is not None:
        places.append(("embedding.path=FILE", Path(vectors.path)))
    for setting, file in places:
        if not file.is_file():
            raise UserError(f"{file}: no such file; where it lies now: tfllmer resume {run.id} --set {setting}")


def _require(file: Path, name: str) -> None:
    if not file.is_file():
        raise UserError(f"--set {name}: {file}: no such file")


def _compare(name: str, place: Path, now: str, then: str) -> None:
    if now != then:
        raise UserError(
            f"--set {name}: {place}: not what the run was begun with (content {now}, was {then}); "
            "give the place of the same files"
        )
