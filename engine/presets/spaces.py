"""Search spaces of tuning as files, `configs/tune/NAME.yaml` (docs/tuning.md has the whole syntax).

meaning: rates and scales
space:
  train.lr: {low: 0.0001, high: 0.01, log: true}
  table.tau: [0.05, 0.1, 0.2, 1]
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from engine.errors import UserError, nearest
from engine.places import files_of, label_of
from engine.presets.files import Setting, read_document
from engine.presets.layers import whole_name
from engine.presets.places import child_of, line_of
from engine.presets.studies import Value, check_field, key_of, text_of
from engine.spec import leaves_by_name

DEFAULT_SPACE = "default"
_BUDGET = ("data.", "evaluate.", "execution.", "train.epochs", "train.until", "train.probe", "backbone.width")
"""What is the same for all that is compared, so that no arm may choose it."""


@dataclass(frozen=True)
class Choices:
    """One of these values."""

    values: tuple[Value, ...]

    def text(self) -> str:
        return ", ".join(map(text_of, self.values))

    def document(self) -> Any:
        return [*self.values]


@dataclass(frozen=True)
class Range:
    """A number between two; with `log` drawn by its logarithm."""

    low: float
    high: float
    log: bool = False

    def text(self) -> str:
        return f"{self.low:g} to {self.high:g}{', by its logarithm' if self.log else ''}"

    def document(self) -> Any:
        return {"low": self.low, "high": self.high, "log": self.log}


Domain: TypeAlias = Choices | Range


@dataclass(frozen=True)
class SearchSpace:
    """Settings by their whole names and what each may be, in the order of the file."""

    name: str
    meaning: str
    domains: Mapping[str, Domain]
    origins: Mapping[str, str]
    """The place of each setting in the file."""
    label: str

    @property
    def hash(self) -> str:
        """What tells it from other spaces, whatever they are called: 16 hex digits."""
        return space_hash(self.document())

    def document(self) -> dict[str, Any]:
        """The domains as JSON; `decode_domains` is the inverse."""
        return {name: domain.document() for name, domain in self.domains.items()}

    def settings(self, values: Mapping[str, Value]) -> dict[str, Setting]:
        """Values of these settings, with the place in the file that each comes from."""
        return {name: Setting(value, self.origins[name]) for name, value in values.items()}


def space_hash(document: Mapping[str, Any]) -> str:
    """The hash of a space as `SearchSpace.document` gives it; the order of settings and choices does not count."""

    def canonical(domain: Any) -> Any:
        if isinstance(domain, Mapping):
            return dict(domain)
        return sorted(map(key_of, domain))

    text = json.dumps({name: canonical(domain) for name, domain in document.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def decode_domains(document: Mapping[str, Any]) -> dict[str, Domain]:
    """The domains that `SearchSpace.document` wrote."""
    return {
        name: Range(float(each["low"]), float(each["high"]), bool(each["log"]))
        if isinstance(each, Mapping)
        else Choices(tuple(each))
        for name, each in document.items()
    }


def list_spaces() -> list[SearchSpace]:
    """All search spaces, by name. Raises UserError where a file is none."""
    return [find_space(name) for name in sorted(files_of("tune"))]


def find_space(name: str) -> SearchSpace:
    """The search space of that name. Raises UserError with the nearest name, or the place of what does not fit."""
    files = files_of("tune")
    if name not in files:
        raise UserError(f"--space {name}: no such search space{nearest(name, sorted(files))}")
    return _read(name, files[name])


# ------------------------------------------------------------------------------------ reading


class _SpaceFile(BaseModel):
    """What stands in the file."""

    model_config = ConfigDict(extra="forbid")

    meaning: str
    space: dict[str, Any]


def _explain(error: ValidationError, root: yaml.Node, label: str) -> str:
    first = error.errors(include_url=False)[0]
    path = ".".join(map(str, first["loc"]))
    what = {"missing": f"a search space needs `{path}:`", "extra_forbidden": f"{path}: no such entry"}
    words = what.get(first["type"], f"{path}: {first['msg'][0].lower()}{first['msg'][1:]}")
    return f"{label}:{line_of(root, *first['loc'])}: {words}; it has `meaning:` and `space:`"


def _read(name: str, file: Path) -> SearchSpace:
    label = label_of(file)
    read, root, _ = read_document(_SpaceFile, file, label, _explain)
    domains: dict[str, Domain] = {}
    origins: dict[str, str] = {}
    node = child_of(root, "space")
    for given, value in read.space.items():
        origin = f"{label}:{line_of(node, given)}"
        path = whole_name(given, origin)
        _check(path, origin)
        if path in domains:
            raise UserError(f"{origin}: {path} is there twice")
        domains[path], origins[path] = _domain(path, value, origin), origin
    if not domains:
        raise UserError(f"{label}:{line_of(root, 'space')}: the space is empty; name a setting, such as train.lr")
    return SearchSpace(name, read.meaning, domains, origins, label)


def _check(path: str, origin: str) -> None:
    check_field(path, origin)
    if any(path == name or path.startswith(name) for name in _BUDGET):
        raise UserError(f"{origin}: {path}: is the same for everything that is compared; give it with --set")
    if any(leaf.kinds for leaf in leaves_by_name()[path]):
        raise UserError(f"{origin}: {path}: another kind is another arm; name arms with --method")


def _domain(path: str, value: Any, origin: str) -> Domain:
    if isinstance(value, list):
        return _choices(path, value, origin)
    if not isinstance(value, dict):
        raise UserError(f"{origin}: {path}: give a list of values, or {{low: 0.1, high: 1, log: true}}, not {value!r}")
    if extra := value.keys() - {"low", "high", "log"}:
        raise UserError(f"{origin}: {path}: a range has low, high and log, not {', '.join(sorted(map(str, extra)))}")
    low, high, log = (_number(value.get("low")), _number(value.get("high")), value.get("log", False))
    if low is None or high is None or not low < high:
        raise UserError(f"{origin}: {path}: a range needs numbers low < high")
    if not isinstance(log, bool) or (log and low <= 0):
        raise UserError(f"{origin}: {path}: log is true or false, and a range by its logarithm begins above 0")
    return Range(low, high, log)


def _choices(path: str, values: Sequence[Any], origin: str) -> Choices:
    values_by_name: dict[str, Value] = {}
    for value in values:
        if isinstance(value, list | dict):
            raise UserError(f"{origin}: {path}: one value a choice, not {value!r}")
        values_by_name.setdefault(key_of(value), value)
    if len(values_by_name) < 2:
        raise UserError(f"{origin}: {path}: needs two choices or more; a setting for all is given with --set")
    return Choices(tuple(values_by_name.values()))


def _number(value: Any) -> float | None:
    """A finite number; YAML reads 1e-4 as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
