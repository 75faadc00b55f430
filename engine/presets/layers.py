"""Settings laid over one another: their names made whole, kinds that replace what belonged to another kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import Any, get_args

from engine.errors import UserError, nearest
from engine.presets.files import Setting
from engine.spec import Leaf, leaves, leaves_by_name, names_by_word
from engine.spec.messages import no_kind
from engine.spec.upgrade import MOVED


@dataclass(frozen=True)
class Layer:
    """Settings by their names. Those of a firm layer have to belong to the kinds that are chosen in the end; of
    another, what no chosen kind has is left out: a data set's `backbone.max_length` where a model reads no histories.
    """

    settings: Mapping[str, Setting]
    firm: bool = True


@dataclass(frozen=True)
class Merged:
    """What holds in the end, by name, and the names that were left out."""

    settings: dict[str, Setting]
    unread: frozenset[str]

    def kind(self, name: str) -> str:
        """The kind of a step."""
        return str(chosen_kinds(self.settings)[name])


def merge(layers: Sequence[Layer]) -> Merged:
    """Later layers win. One that chooses another kind of a step takes the place of everything that firm layers before
    it set of that step; one that sets single settings adds to them. Names are whole (`whole_name`). Raises UserError,
    with its origin, for a kind that there is not, and for a firm setting that no chosen kind has."""
    merged: dict[str, Setting] = {}
    firm: set[str] = set()
    for layer in layers:
        for leaf in _unions():
            if leaf.name in layer.settings:
                setting = _checked_kind(leaf, layer.settings[leaf.name])
                if setting.value != chosen_kinds(merged).get(leaf.name, setting.value):
                    for name in [name for name in firm if _goes(name, leaf, setting.value)]:
                        firm.remove(name)
                        del merged[name]
                merged[leaf.name] = setting
        for name, setting in layer.settings.items():
            now = merged.pop(name) if name in _union_names() else _typed(name, setting)
            merged[name] = now  # at the end: in the order in which they were set
        firm = firm | set(layer.settings) if layer.firm else firm - set(layer.settings)
    kinds = chosen_kinds(merged)
    left = {name for name in merged if not any(leaf.is_there(kinds) for leaf in leaves_by_name()[name])}
    for name, setting in merged.items():
        if name in left and name in firm:
            raise UserError(f"{at(setting.origin)}{name}: {_needed(name, kinds)}")
    return Merged({name: setting for name, setting in merged.items() if name not in left}, frozenset(left))


def chosen_kinds(settings: Mapping[str, Setting]) -> dict[str, str]:
    """The kind of every step that is there, by its name."""
    kinds: dict[str, str] = {}
    for leaf in _unions():
        if leaf.is_there(kinds):
            kinds[leaf.name] = str(settings[leaf.name].value) if leaf.name in settings else str(leaf.default)
    return kinds


@cache
def _unions() -> tuple[Leaf, ...]:
    """Leaves that choose a kind, outer ones first."""
    return tuple(sorted((leaf for leaf in leaves() if leaf.kinds), key=lambda leaf: len(leaf.needs)))


@cache
def _union_names() -> frozenset[str]:
    return frozenset(leaf.name for leaf in _unions())


def _checked_kind(leaf: Leaf, setting: Setting) -> Setting:
    kind = "none" if setting.value is None else str(setting.value)
    if kind not in leaf.kinds:
        raise UserError(f"{at(setting.origin)}{no_kind(leaf.name, kind, leaf.kinds)}")
    return Setting(kind, setting.origin)


def _goes(name: str, union: Leaf, kind: str) -> bool:
    """Whether a setting belongs to the step, or to a part that is there with another kind of it alone."""
    if name.startswith(union.group) and name != union.name:
        return True
    return all(any(u == union.name and k != kind for u, k in leaf.needs) for leaf in leaves_by_name()[name])


def _needed(name: str, kinds: Mapping[str, str]) -> str:
    """Which kind has a setting that the chosen ones have not."""
    union = next(u for u, k in leaves_by_name()[name][0].needs if kinds.get(u) != k)
    kinds_needed = list(dict.fromkeys(k for leaf in leaves_by_name()[name] for u, k in leaf.needs if u == union))
    either = " or ".join([", ".join(kinds_needed[:-1]), kinds_needed[-1]] if len(kinds_needed) > 1 else kinds_needed)
    return f"needs {union}={either}, not {kinds[union]}"


def _typed(name: str, setting: Setting) -> Setting:
    """`none` as a value where the setting may be without one."""
    words = isinstance(setting.value, str) and setting.value in ("none", "null", "~")
    if words and any(NoneType in get_args(leaf.info.annotation) for leaf in leaves_by_name()[name]):
        return Setting(None, setting.origin)
    return setting


def tree_of(settings: Mapping[str, Setting]) -> dict[str, Any]:
    """The settings nested as the specification has them, with the kind of every step that is there."""
    values = {name: setting.value for name, setting in settings.items()} | chosen_kinds(settings)
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *groups, last = leaves_by_name()[name][0].path
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
        node[last] = value
    return tree


# ------------------------------------------------------------------------------------ names


def whole_name(name: str, origin: str) -> str:
    """The dotted name of a setting that may be given by its last word alone, where that is unique, or as
    `embedding.reduce.kind`. Raises UserError with the nearest name, or all places of a word."""
    if name in leaves_by_name():
        return name
    if name.removesuffix(".kind") in _union_names():
        return name.removesuffix(".kind")
    places = names_by_word().get(name, ())
    if len(places) == 1:
        return places[0]
    if places:
        raise UserError(f"{at(origin)}{name}: several settings are called so: {', '.join(places)}; name one of them")
    raise UserError(f"{at(origin)}{name}: {_wrong(name)}")


def whole_names(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """The settings by their whole names. Raises UserError also where two of them are one."""
    whole: dict[str, Setting] = {}
    for name, setting in settings.items():
        full = whole_name(name, setting.origin)
        if full in whole and setting.origin != "--set":
            raise UserError(
                f"{setting.origin}: {full} is set twice, first in line {whole[full].origin.rpartition(':')[2]}"
            )
        whole[full] = setting
    return whole


def _wrong(name: str) -> str:
    if name in MOVED:
        return f"no such setting; it is {' or '.join(MOVED[name])} now"
    known = list(leaves_by_name())
    keys = name.split(".")
    for depth in range(1, len(keys)):
        group = ".".join(keys[:depth])
        if group in leaves_by_name() and not any(other.startswith(f"{group}.") for other in known):
            return f"{group} is one value, not a group of settings"
    children = [other for other in known if other.startswith(f"{name}.")]
    if children:
        return f"a group of settings, not one value (there are {', '.join(children)})"
    if (places := names_by_word().get(keys[-1], ())) and len(places) == 1:
        return f"no such setting (did you mean {places[0]}?)"
    if len(keys) == 1:
        return f"no such setting{_near_word(name)}"
    siblings = [other for other in known if other.startswith(f"{'.'.join(keys[:-1])}.")]
    return f"no such setting{nearest(name, siblings or known)}"


def _near_word(word: str) -> str:
    close = nearest(word, names_by_word())
    if "did you mean" not in close:
        return "; `tfllmer run --show-config` lists them"
    suggestion = close.removeprefix(" (did you mean ").removesuffix("?)")
    return f" (did you mean {' or '.join(names_by_word()[suggestion])}?)"


def at(origin: str) -> str:
    """How a message begins that is about a value set there."""
    return f"{origin} " if origin == "--set" else f"{origin}: " if origin else ""
