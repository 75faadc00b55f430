"""What all parts of a specification are, and how a field says that it is not part of a run's identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict


class NotIdentity:
    """Mark of a field that changes no number of a run: names, paths, how it is executed."""


NOT_IDENTITY = NotIdentity()


class Selects:
    """Mark of a field that says which numbers a run has, and at which epochs: runs that differ in it are compared."""


SELECTS = Selects()


class Recorded:
    """Mark of a field that nobody sets: what is remembered of where settings come from."""


RECORDED = Recorded()


@dataclass(frozen=True)
class Neutral:
    """Mark of a field that leaves no trace in the identity at this value. A setting that comes later has one: the
    value that computes what was computed before it existed."""

    value: Any


class Part(BaseModel):
    """A frozen piece of a specification; unknown keys are errors. Its validation is built when it is first used, so
    that unions find the kinds of installed packages, and imports stay cheap."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    def identity(self) -> dict[str, Any]:
        """What of it a run computes, as JSON: without marked fields, and without those at their neutral value."""
        settings: dict[str, Any] = {}
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            neutral = any(isinstance(mark, Neutral) and mark.value == value for mark in info.metadata)
            if not neutral and NOT_IDENTITY not in info.metadata:
                settings[info.alias or name] = value.identity() if isinstance(value, Part) else value
        return settings
