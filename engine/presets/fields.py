"""Every setting that `--set` takes, as the models of the specification describe it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from engine.presets.compose import AXIS_FIELDS, MEASURED
from engine.spec import BACKBONES, Experiment

_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


@dataclass(frozen=True)
class SettingField:
    """A field by its dotted name. `choices` are all values where they are few; `takes` says in words what
    others have to be: `a number > 0`, `a whole number >= 1, or none`."""

    path: str
    description: str
    choices: tuple[str, ...]
    takes: str

    @property
    def section(self) -> str:
        """The part of the specification that it belongs to; empty for what belongs to the run."""
        return self.path.rpartition(".")[0]


def setting_fields(backbones: Iterable[str]) -> list[SettingField]:
    """The fields of a run with any of these backbones, in the order of the specification. What names a preset
    or a file, or is measured, is left out: flags set it."""
    found: dict[str, SettingField] = {}
    for backbone in backbones:
        for field in _walk(Experiment, "", backbone):
            found.setdefault(field.path, field)
    order = [*dict.fromkeys(field.section for field in found.values() if field.section), ""]
    return sorted(found.values(), key=lambda field: order.index(field.section))


def _walk(model: type[BaseModel], prefix: str, backbone: str) -> Iterator[SettingField]:
    """A part's own fields, then those of the parts within it."""
    parts: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        if path == "backbone":
            parts.append((path, BACKBONES[backbone]))
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            parts.append((path, field.annotation))
        elif path not in (*AXIS_FIELDS, *MEASURED, "seed"):
            yield SettingField(path, field.description or "", _choices(field.annotation), _takes(field))
    for path, part in parts:
        yield from _walk(part, f"{path}.", backbone)


def _choices(annotation: Any) -> tuple[str, ...]:
    if annotation is bool:
        return ("true", "false")
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()


def _takes(field: FieldInfo) -> str:
    if choices := _choices(field.annotation):
        return ", ".join(choices)
    kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not NoneType]
    names = {int: "a whole number", float: "a number"}
    rules = [(sign, getattr(rule, name, None)) for rule in field.metadata for name, sign in _SIGNS.items()]
    limits = " and ".join(f"{sign} {limit:g}" for sign, limit in rules if limit is not None)
    none = ", or none" if NoneType in get_args(field.annotation) else ""
    return f"{names.get(kinds[0], 'text')} {limits}".strip() + none
