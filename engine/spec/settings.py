"""Every setting by its dotted name.

The kind of a step goes by the step's own name (`embedding.reduce`), its settings by names below it
(`embedding.reduce.lambda`); a backbone's kind is `backbone.name`. A name may be shortened to its last word where that
is unique (`lambda`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from engine.spec.experiment import Experiment
from engine.spec.kinds import OnlyWith, variants_of
from engine.spec.part import RECORDED, Part

KIND = "kind"
"""The field by which the kinds of a step are told apart; backbones have `name`."""


@dataclass(frozen=True)
class Leaf:
    """A value that can be set. A name has several leaves where several kinds of a step have a setting of that name."""

    name: str
    path: tuple[str, ...]
    """Its keys in JSON; those of a kind end in `kind` (or `name`)."""
    info: FieldInfo
    kinds: tuple[str, ...]
    """All kinds of a step, for the leaf that chooses one."""
    needs: tuple[tuple[str, str], ...]
    """Names of the kinds that have to be chosen for it to be there, with the kind: ("embedding.reduce", "rec-pca")."""

    @property
    def word(self) -> str:
        """The last word of its name."""
        return self.name.rpartition(".")[2]

    @property
    def group(self) -> str:
        """What names of the settings of the kinds begin with, for the leaf that chooses one."""
        return ".".join(self.path[:-1]) + "."

    @cached_property
    def default(self) -> Any:
        """Its value where nothing is set; the kind's name for a kind."""
        value = self.info.get_default(call_default_factory=True)
        return getattr(value, self.path[-1]) if self.kinds else value

    def is_there(self, values: Mapping[str, Any]) -> bool:
        """Whether values by dotted name have the kinds that it needs."""
        return all(values.get(union) == kind for union, kind in self.needs)


@cache
def leaves() -> tuple[Leaf, ...]:
    """Every setting of every kind, in the order of the specification."""
    return tuple(_walk(Experiment, (), ()))


@cache
def leaves_by_name() -> dict[str, tuple[Leaf, ...]]:
    """The leaves of each dotted name."""
    by_name: dict[str, tuple[Leaf, ...]] = {}
    for leaf in leaves():
        by_name[leaf.name] = (*by_name.get(leaf.name, ()), leaf)
    return by_name


@cache
def names_by_word() -> dict[str, tuple[str, ...]]:
    """The dotted names that end in each word."""
    by_word: dict[str, dict[str, None]] = {}
    for leaf in leaves():
        by_word.setdefault(leaf.word, {})[leaf.name] = None
    return {word: tuple(names) for word, names in by_word.items()}


def _walk(part: type[Part], at: tuple[str, ...], needs: tuple[tuple[str, str], ...]) -> Iterator[Leaf]:
    for field, info in part.model_fields.items():
        if RECORDED in info.metadata:
            continue
        path = (*at, info.alias or field)
        name = ".".join(path)
        needed = (*needs, *((mark.union, mark.kind) for mark in info.metadata if isinstance(mark, OnlyWith)))
        variants = variants_of(info)
        if variants is not None:
            chosen = name if variants.tag == KIND else f"{name}.{variants.tag}"
            yield Leaf(chosen, (*path, variants.tag), info, tuple(variants.parts), needed)
            for kind, variant in variants.parts.items():
                yield from _walk(variant, path, (*needed, (chosen, kind)))
        elif inner := part_in(info.annotation):
            yield from _walk(inner, path, needed)
        elif not _is_tag(field, at, needs):
            yield Leaf(name, path, info, (), needed)


def _is_tag(field: str, at: tuple[str, ...], needs: tuple[tuple[str, str], ...]) -> bool:
    """Whether a field of a kind is the one that names the kind."""
    group = ".".join(at)
    return any((union, field) == (group, KIND) or union == f"{group}.{field}" for union, _ in needs)


def part_in(annotation: Any) -> type[Part] | None:
    """The part that a field holds, optional or not; None for a plain value or a union of parts."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, Part) else None
    if get_origin(annotation) in (Union, UnionType):
        parts = [part for part in map(part_in, get_args(annotation)) if part is not None]
        return parts[0] if len(parts) == 1 else None
    return None


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values, such as a specification's JSON, by dotted names; the kind of a step goes by the step's name."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix[:-1] if key == KIND and prefix else f"{prefix}{key}"] = value
    return flat


def flat(experiment: Experiment) -> dict[str, Any]:
    """Every setting of the experiment by its dotted name."""
    values = flatten(experiment.model_dump(by_alias=True))
    return {name: value for name, value in values.items() if name in leaves_by_name()}
