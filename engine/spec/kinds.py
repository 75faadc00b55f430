"""Steps with kinds: unions of parts told apart by one field, closed ones and those that others may add to.

A closed union is a plain pydantic one, `Annotated[A | B, Field(discriminator="kind")]`. An open one is
`Annotated[Base, KINDS]` with a `Kinds` that knows the classes of this program and finds those of installed packages by
their entry points: a specification from a file can name a kind, never code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar, Union, get_args

from pydantic import Field, GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from engine.errors import UserError
from engine.installed import entries
from engine.spec.part import Part

P = TypeVar("P", bound=Part)


class Kinds(Mapping[str, type[P]], Generic[P]):
    """The parts of an open union by the value of their field `tag`: own ones, then those of installed packages.

    An entry point of `group` is named as the value of its class's `tag` and leads to that class, a subclass of
    `base`. They are looked for when the union is first used, not when this module is imported, so that a package may
    import `engine.spec`. Raises UserError then for one that cannot be loaded or does not fit.
    """

    def __init__(self, base: type[P], tag: str, group: str) -> None:
        self.base, self.tag, self.group = base, tag, group
        self._own: dict[str, type[P]] = {}
        self._unlisted: list[type[P]] = []

    def add(self, part: type[P]) -> type[P]:
        """Class decorator for the kinds of this program."""
        self._own[tag_of(part, self.tag)] = part
        return part

    def add_unlisted(self, part: type[P]) -> type[P]:
        """Class decorator for a kind that a stored specification may have and nobody chooses: it is no member of this
        mapping."""
        self._unlisted.append(part)
        return part

    @cached_property
    def _parts(self) -> dict[str, type[P]]:
        parts = dict(self._own)
        for entry in entries(self.group):
            where = f"{entry.value} (entry point {entry.name} of {self.group})"
            try:
                part = entry.load()
            except Exception as error:
                raise UserError(f"{where}: cannot be loaded: {error!r}; mend or remove its package") from error
            if not (isinstance(part, type) and issubclass(part, self.base)):
                raise UserError(f"{where}: is no subclass of {self.base.__module__}.{self.base.__qualname__}")
            if entry.name in parts:
                raise UserError(f"{where}: there is a {entry.name} already; give it another name")
            if tag_of(part, self.tag) != entry.name:
                raise UserError(f"{where}: has {self.tag}={tag_of(part, self.tag)!r}; name the entry point so")
            parts[entry.name] = part
        return parts

    def __getitem__(self, kind: str) -> type[P]:
        return self._parts[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __hash__(self) -> int:
        return id(self)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(
            Annotated[Union[(*self.values(), *self._unlisted)], Field(discriminator=self.tag)]
        )


@dataclass(frozen=True)
class OnlyWith:
    """Mark of an optional part that is there exactly where the union `union` has the kind `kind`."""

    union: str
    kind: str


@dataclass(frozen=True)
class Variants:
    """The parts that one field can hold, by their kind."""

    tag: str
    parts: Mapping[str, type[Part]]


def variants_of(info: FieldInfo) -> Variants | None:
    """The variants of a field that is a union of parts; None for any other."""
    for mark in info.metadata:
        if isinstance(mark, Kinds):
            return Variants(mark.tag, mark)
    if isinstance(info.discriminator, str):
        tag = info.discriminator
        return Variants(tag, {tag_of(part, tag): part for part in get_args(info.annotation)})
    return None


def tag_of(part: type[Part], tag: str) -> str:
    """The kind of a class of parts: the default of its field `tag`."""
    return str(part.model_fields[tag].default)
