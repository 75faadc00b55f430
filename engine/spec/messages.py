"""What is wrong with a specification, in one line with the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from engine.errors import nearest
from engine.spec.backbones import BACKBONES, SASRec, Sequential
from engine.spec.experiment import Experiment


def part_of(path: Iterable[str | int], root: type[BaseModel] = Experiment) -> type[BaseModel] | None:
    """The model that the dotted path leads to; None where it leads to a plain field. Names of
    union members, which pydantic puts into its error locations, are stepped into."""
    model: type[BaseModel] = root
    for key in path:
        if key in BACKBONES:
            model = BACKBONES[str(key)]
            continue
        field = next((f for n, f in model.model_fields.items() if key in (n, f.alias)), None)
        if field is None:
            return None
        if get_origin(field.annotation) is not None and Sequential in _bases(field.annotation):
            model = SASRec
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
        else:
            return None
    return model


def _bases(annotation: Any) -> set[type]:
    return {base for member in get_args(annotation) if isinstance(member, type) for base in member.__mro__}


def fields_of(model: type[BaseModel]) -> list[str]:
    """The names by which people set the model's fields (aliases where there are any)."""
    return [field.alias or name for name, field in model.model_fields.items()]


def explain(error: ValidationError) -> str:
    """The first problem of a pydantic error as one line, with the nearest valid name."""
    first = error.errors(include_url=False)[0]
    location = [key for key in first["loc"] if key not in BACKBONES]
    where = ".".join(str(key) for key in location)
    if first["type"] == "extra_forbidden":
        model = part_of(first["loc"][:-1]) or Experiment
        return f"{where}: no such setting{nearest(str(first['loc'][-1]), fields_of(model))}"
    if first["type"] == "union_tag_invalid":
        given = str(first["ctx"]["tag"])
        return f"{where}.name: no backbone {given!r}{nearest(given, BACKBONES)}"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{where}: {message}, not {first['input']!r}"
