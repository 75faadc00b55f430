"""Who tells of a run: its own process, of several the first one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from engine.spool import Level, Recorder


class RunRecorder(Recorder, Protocol):
    """The recorder of a run's own process, which may go on where another one ended."""

    def resume(self, attempt: int, step: int) -> None:
        """It continues behind `step`."""


class NullRecorder:
    """Records nothing: of several processes that share a run, one tells."""

    def points(self, step: int, values: Mapping[str, float]) -> None: ...
    def facts(self, values: Mapping[str, Any]) -> None: ...
    def event(self, text: str, level: Level = "info") -> None: ...
    def artifact(self, kind: str, path: Path) -> None: ...
    def result(self, values: Mapping[str, Any]) -> None: ...
    def resume(self, attempt: int, step: int) -> None: ...
