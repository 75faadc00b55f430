"""What stands for a run that another program made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine import spec
from engine.bounds import read_json
from engine.errors import UserError
from engine.places import files_of
from engine.presets import find_dataset
from engine.records.decoding import mapping

_NAME = re.compile(r"[\w][\w.+ -]{0,59}")


def outside_experiment(
    source: Path, split: Path, *, system: str, masked: bool, seed: int
) -> tuple[spec.Experiment, dict[str, Any]]:
    """The specification of what `source` holds, and the settings that were changed by hand: those of the split's data,
    which lie in its folder. Raises UserError."""
    if not _NAME.fullmatch(system) or system != system.strip():
        raise UserError(f"--system {system}: give letters, digits and . + - _, at most 60")
    if system in files_of("method"):
        raise UserError(f"--system {system}: is a method of this program; give it a name of its own")
    if not source.is_file():
        raise UserError(f"{source}: no such file")
    about = split / "split.json" if split.is_dir() else split
    try:
        document = mapping(read_json(about))
        data = spec.Data.model_validate(document.get("data"))
    except OSError as error:
        raise UserError(f"{about}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (ValidationError, ValueError):
        raise UserError(f"{about}: is not what `tfllmer export split` writes; make it anew") from None
    experiment = spec.Experiment(
        method=system,
        data=_here(data),
        embedding=None,
        table=spec.Table(init=spec.RandomRows(), normalize="none"),
        backbone=spec.Imported(system=system, source=source.name, fingerprint=spec.file_fingerprint([source])),
        train=spec.Train(epochs=0),
        evaluate=spec.Evaluate(mask_seen=masked),
        seed=seed,
    )
    overrides = {name: value for name, value in mapping(document.get("overrides")).items() if name.startswith("data.")}
    return experiment, overrides | ({} if masked else {"evaluate.mask_seen": False})


def _here(data: spec.Data) -> spec.Data:
    """The data where their files lie on this machine."""
    if isinstance(data.source, spec.Demo) or (data.path is not None and Path(data.path).is_dir()):
        return data
    place = data.source.model_copy(update={"path": str(find_dataset(data.name))})
    return data.model_copy(update={"source": place})
