"""Every setting that `--set` takes, as the models of the specification describe it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from engine.presets.compose import AXIS_FIELDS, MEASURED
from engine.spec import Experiment, Leaf, flat, leaves

_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


@dataclass(frozen=True)
class SettingField:
    """A setting by its dotted name. `choices` are all values where they are few; `takes` says in words what
    others have to be: `a number > 0`, `a whole number >= 1, or none`."""

    path: str
    description: str
    choices: tuple[str, ...]
    takes: str

    @property
    def section(self) -> str:
        """The part of the specification that it belongs to; empty for what belongs to the run."""
        return self.path.rpartition(".")[0]


def setting_fields(experiments: Iterable[Experiment] | None = None) -> list[SettingField]:
    """The settings that any of these runs has, in the order of the specification; without runs, those of every kind of
    every step. What names a preset or a file, or is measured, is left out: flags set it."""
    values = None if experiments is None else [flat(experiment) for experiment in experiments]
    fields_by_name: dict[str, SettingField] = {}
    for leaf in leaves():
        settable = leaf.name not in (*AXIS_FIELDS, *MEASURED, "seed")
        if settable and (values is None or any(leaf.is_there(each) for each in values)):
            fields_by_name.setdefault(leaf.name, _field(leaf))
    order = [*dict.fromkeys(field.section for field in fields_by_name.values() if field.section), ""]
    return sorted(fields_by_name.values(), key=lambda field: order.index(field.section))


def _field(leaf: Leaf) -> SettingField:
    choices = leaf.kinds or _choices(leaf.info.annotation)
    return SettingField(leaf.name, leaf.info.description or "", choices, ", ".join(choices) or _takes(leaf.info))


def _choices(annotation: Any) -> tuple[str, ...]:
    if annotation is bool:
        return ("true", "false")
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()


def _takes(field: FieldInfo) -> str:
    kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not NoneType]
    names = {int: "a whole number", float: "a number"}
    rules = [(sign, getattr(rule, name, None)) for rule in field.metadata for name, sign in _SIGNS.items()]
    limits = " and ".join(f"{sign} {limit:g}" for sign, limit in rules if limit is not None)
    none = ", or none" if NoneType in get_args(field.annotation) else ""
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    return ", or ".join([f"{names.get(kinds[0], 'text')} {limits}".strip(), *words]) + none
