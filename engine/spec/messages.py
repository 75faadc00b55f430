"""What is wrong with a specification, in one line with the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from engine.errors import nearest
from engine.spec.experiment import Experiment
from engine.spec.kinds import Variants, variants_of
from engine.spec.part import Part
from engine.spec.settings import KIND, part_in

_NO_KIND = ("union_tag_invalid", "union_tag_not_found")


def dotted(location: Iterable[str | int]) -> str:
    """The dotted name at the location of a pydantic error, which names the kinds of unions on its way."""
    return _follow(location)[0]


def _follow(location: Iterable[str | int]) -> tuple[str, type[Part] | None, Variants | None]:
    """The dotted name, the part that it leads to, and the variants where it leads to a union."""
    part: type[Part] | None = Experiment
    variants: Variants | None = None
    names: list[str] = []
    for key in map(str, location):
        if variants is not None:
            part, variants = variants.parts.get(key), None
            continue
        names.append(key)
        info = None if part is None else field_of(part, key)
        variants = None if info is None else variants_of(info)
        part = None if info is None or variants is not None else part_in(info.annotation)
    if names[-1:] == [KIND]:
        names.pop()
    return ".".join(names), part, variants


def field_of(part: type[Part], name: str) -> FieldInfo | None:
    """The field that people know by that name; None where there is none."""
    return next((info for field, info in part.model_fields.items() if name == (info.alias or field)), None)


def fields_of(part: type[Part]) -> list[str]:
    """The names by which people set the part's fields (aliases where there are any)."""
    return [info.alias or name for name, info in part.model_fields.items()]


def explain(error: ValidationError) -> str:
    """The first problem of a pydantic error as one line, with the nearest valid name."""
    first = error.errors(include_url=False)[0]
    where, _, variants = _follow(first["loc"])
    if first["type"] == "extra_forbidden":
        *path, last = first["loc"]
        part = _follow(path)[1] or Experiment
        return f"{where}: no such setting{nearest(str(last), fields_of(part))}"
    if first["type"] in _NO_KIND and variants is not None:
        named = where if variants.tag == KIND else f"{where}.{variants.tag}"
        return no_kind(named, first.get("ctx", {}).get("tag"), list(variants.parts))
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{where}: {message}, not {first['input']!r}"


def no_kind(name: str, given: object, kinds: Sequence[str]) -> str:
    """The message for a kind that a step does not have, or that is not said."""
    if given is None:
        return f"{name}: name one of {', '.join(kinds)}"
    what = "backbone" if name == "backbone.name" else "such kind"
    return f"{name}: no {what} {str(given)!r}{nearest(str(given), kinds)}"
