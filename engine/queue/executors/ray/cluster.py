"""What a job asks of a Ray cluster, and where the cluster is."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

DEFAULT = "ray"
HERE = "http://127.0.0.1:8265"
_Label = Annotated[str, StringConstraints(pattern=r"^[\w./=!(),-]+$")]
_Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_UNITS = {"": 1 << 20, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class RayCluster(BaseModel):
    """The settings of a job, under Ray's own names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    executor: Literal["ray"]
    meaning: str
    address: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@]+(/[^\s@]*)?$")] | None = None
    """Of the head's dashboard, `http://HOST:8265`; left out: what `ray job submit` takes from the environment."""
    cpus: _Amount = 1
    gpus: float = Field(0, ge=0, allow_inf_nan=False)
    """A fraction below 1 shares one GPU with others."""
    mem: Annotated[str, StringConstraints(pattern=r"^\d+[KMGT]?$")] | None = None
    resources: dict[str, _Amount] = {}
    """Custom resources of nodes (`ray start --resources`)."""
    labels: dict[str, _Label] = {}
    """Labels that a node must have (`ray start --labels`)."""
    grace_s: int = Field(60, ge=5)
    """Seconds that a run which is told to leave has for saving its state."""

    @field_validator("gpus")
    @classmethod
    def _whole_gpus(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("is a fraction of one GPU, or a whole number of them")
        return value

    @property
    def bytes(self) -> int | None:
        """`mem`, in bytes; a number alone is in MB, as for SLURM."""
        if self.mem is None:
            return None
        unit = self.mem[-1] if self.mem[-1] in _UNITS else ""
        return int(self.mem.removesuffix(unit)) * _UNITS[unit]

    @property
    def head(self) -> str:
        """Where the head's dashboard answers."""
        given = (self.address, os.environ.get("RAY_API_SERVER_ADDRESS"), os.environ.get("RAY_ADDRESS"))
        return next((address for address in given if address and address.startswith("http")), HERE).rstrip("/")
