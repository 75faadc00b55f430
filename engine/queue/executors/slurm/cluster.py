"""What a job asks of a SLURM cluster."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

DEFAULT = "default"
_Word = Annotated[str, StringConstraints(pattern=r"^[\w.,:&|*\[\]()!@+=/-]+$")]
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d\d))?(?::(\d\d))?")


class SlurmCluster(BaseModel):
    """The settings of a job, under SLURM's own names; what is left out is the cluster's default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    executor: Literal["slurm"] = "slurm"
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
        return minutes(value) if isinstance(value, str) else value


def minutes(text: str) -> int:
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
