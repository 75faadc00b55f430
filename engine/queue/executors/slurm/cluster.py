"""What a job asks of a cluster: `configs/cluster/NAME.yaml`, shipped, and overlaid from the working folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from engine.errors import UserError, nearest
from engine.places import files_of, label_of
from engine.presets.files import read_document
from engine.presets.places import line_of

DEFAULT = "default"
_Word = Annotated[str, StringConstraints(pattern=r"^[\w.,:&|*\[\]()!@+=/-]+$")]
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d\d))?(?::(\d\d))?")


class Cluster(BaseModel):
    """The settings of a job, under SLURM's own names; what is left out is the cluster's default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    meaning: str
    partition: _Word | None = None
    account: _Word | None = None
    qos: _Word | None = None
    constraint: _Word | None = None
    time: int = Field(60, gt=0)
    """Minutes; in a file also `D-HH:MM:SS`, `HH:MM:SS` and `D-HH`, as sbatch reads them."""
    cpus: int = Field(1, gt=0)
    gpus: int = Field(0, ge=0)
    mem: Annotated[str, StringConstraints(pattern=r"^\d+[KMGT]?$")] | None = None
    array: int = Field(100, gt=0)
    """Jobs of one array that run at a time."""
    grace_s: int = Field(90, ge=15)
    """Seconds before the time limit at which a run saves its state."""

    @field_validator("time", mode="before")
    @classmethod
    def _read_time(cls, value: object) -> object:
        return _minutes(value) if isinstance(value, str) else value


def _minutes(text: str) -> int:
    """A time as sbatch reads it, in minutes, a part of one counted whole. Raises ValueError."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError("write minutes, HH:MM:SS or D-HH:MM:SS")
    days, first, second, third = match.groups()
    if days is not None:
        minutes = 1440 * int(days) + 60 * int(first) + int(second or 0)
    elif third is not None:
        minutes = 60 * int(first) + int(second)
    else:
        minutes = int(first)
    seconds = int(third or 0) if days is not None or third is not None else int(second or 0)
    return minutes + (seconds > 0)


def list_clusters() -> dict[str, Cluster]:
    """All cluster presets, by name. Raises UserError where a file is none."""
    return {name: _read(file) for name, file in sorted(files_of("cluster").items())}


def find_cluster(name: str) -> Cluster:
    """The cluster preset of that name. Raises UserError with the nearest name, or the place of what does not fit."""
    files = files_of("cluster")
    if name not in files:
        raise UserError(f"--cluster {name}: no such cluster preset{nearest(name, sorted(files))}")
    return _read(files[name])


def _read(file: Path) -> Cluster:
    label = label_of(file)
    document, root, _ = read_document(Cluster, file, label, _explain)
    given = next((value.value for key, value in root.value if key.value == "time"), "")
    # to YAML, 36:30:00 without quotes is a number on base 60
    return document.model_copy(update={"time": _minutes(given)}) if ":" in given else document


def _explain(error: ValidationError, root: yaml.Node, label: str) -> str:
    first = error.errors(include_url=False)[0]
    path = ".".join(map(str, first["loc"]))
    known = ", ".join(Cluster.model_fields)
    what = {"missing": f"a cluster preset needs `{path}:`", "extra_forbidden": f"{path}: no such entry; it has {known}"}
    words = what.get(first["type"], f"{path}: {first['msg'][0].lower()}{first['msg'][1:]}")
    return f"{label}:{line_of(root, *first['loc'])}: {words}"
