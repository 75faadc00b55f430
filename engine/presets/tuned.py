"""Tuned presets, `configs/tuned/NAME.yaml`: the settings that a tuning chose for each arm, with its evidence.

meaning: sasrec on demo, 20 trials an arm by valid_ce
dataset: demo
backbone: sasrec
by: valid_ce
trials: 20
space: 71f9220c81b2d1a4
arms:
  id: {train.lr: 0.0073, table.tau: 0.05}
evidence:
  id: {trial: 4, run: 01M8DYT6XK7JF8E8AF7X91G4P2, value: 4.268, finished: 14, pruned: 6, failed: 0}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from engine.errors import UserError, nearest
from engine.places import files_of, label_of
from engine.presets.files import Setting, read_document
from engine.presets.layers import whole_name
from engine.presets.places import child_of, line_of
from engine.spec import Tuning


class TunedDocument(BaseModel):
    """What stands in the file."""

    model_config = ConfigDict(extra="forbid")

    meaning: str
    dataset: str
    backbone: str
    embedding: str | None = None
    by: str
    trials: int
    seed: int = 0
    space: str
    set: list[str] = []
    arms: dict[str, dict[str, Any]]
    evidence: dict[str, dict[str, Any]] = {}

    def text(self) -> str:
        """The file."""
        values = self.model_dump(exclude_defaults=True)
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=160)


@dataclass(frozen=True)
class Tuned:
    """A tuned preset; `arms` maps arms to settings with their places in the file."""

    name: str
    label: str
    document: TunedDocument
    arms: Mapping[str, Mapping[str, Setting]]

    def is_for(self, dataset: str, backbone: str, arm: str) -> bool:
        """Whether it has settings of that arm for this data and backbone."""
        return (self.document.dataset, self.document.backbone) == (dataset, backbone) and arm in self.arms

    def record(self, arm: str) -> Tuning:
        """What a run keeps of it."""
        own = self.document
        return Tuning(name=self.name, by=own.by, trials=own.trials, space=own.space, settings=tuple(self.arms[arm]))


def list_tuned() -> list[Tuned]:
    """All tuned presets, by name. Raises UserError where a file is none."""
    return [find_tuned(name) for name in sorted(files_of("tuned"))]


def find_tuned(name: str) -> Tuned:
    """The tuned preset of that name. Raises UserError with the nearest name, or the place of what does not fit."""
    files = files_of("tuned")
    if name not in files:
        hint = nearest(name, sorted(files)) if files else "; `tfllmer tune --help` tells how one is made"
        raise UserError(f"--tuned {name}: no such tuned preset{hint}")
    return _read(name, files[name])


def tuned_for(name: str, dataset: str, backbone: str, arm: str) -> Tuned:
    """The tuned preset of that name, which has to be for this arm, data and backbone. Raises UserError."""
    tuned = find_tuned(name)
    own = tuned.document
    for what, requested, has in (("dataset", dataset, own.dataset), ("backbone", backbone, own.backbone)):
        if requested != has:
            raise UserError(f"--tuned {name}: is for {what} {has}, not {requested}; tune that too")
    if arm not in tuned.arms:
        raise UserError(f"--tuned {name}: has no arm {arm}{nearest(arm, tuned.arms)}")
    return tuned


def _explain(error: ValidationError, root: yaml.Node, label: str) -> str:
    first = error.errors(include_url=False)[0]
    path = ".".join(map(str, first["loc"]))
    return f"{label}:{line_of(root, *first['loc'])}: {path}: {first['msg'].lower()}"


def _read(name: str, file: Path) -> Tuned:
    label = label_of(file)
    document, root, _ = read_document(TunedDocument, file, label, _explain)
    node = child_of(root, "arms")
    arms: dict[str, dict[str, Setting]] = {}
    for arm, settings in document.arms.items():
        arms[arm] = {}
        for given, value in settings.items():
            origin = f"{label}:{line_of(node, arm, given)}"
            arms[arm][whole_name(given, origin)] = Setting(value, origin)
    return Tuned(name, label, document, arms)
