"""Studies: grids of runs as files, `configs/study/NAME.yaml` (docs/studies.md has the whole syntax).

    meaning: the two parts, alone and together
    baseline: [id, id-norm]
    grid:
      backbone: [sasrec, gru4rec]
      arm: [id, id-norm, tf-llmer/full, tf-llmer/no-norm]
      seed: 0-4

A study is read without looking at any data; `cells.expand` makes experiments of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import UserError, nearest
from engine.places import files_of, label_of
from engine.presets.compose import AXIS_FIELDS, BACKBONE, DATASET, MEASURED, METHOD, ablations_by_method
from engine.presets.files import Setting, leaves_of, list_presets, read_document
from engine.presets.layers import whole_name, whole_names
from engine.presets.places import child_of, line_of, read_text
from engine.spec import names_by_word

Value: TypeAlias = str | int | float | bool | None
Rule: TypeAlias = Mapping[str, frozenset[str]]
"""Values by axis, as `key_of` writes them: a cell is within it where it has one of them on every axis named."""
UNSET = "unset"
"""In a rule, the value of cells that do not have the axis."""

AXES = ("dataset", "backbone", "arm", "embedding", "seed")
"""Axes with a name of their own; every other axis is a dotted field such as train.lr."""
FLAG_AXIS = {"method": "arm", "ablation": "arm"}
_INHERITED = ("dataset", "backbone", "embedding", "seed")
_NOT_FIELDS = {**AXIS_FIELDS, "seed": "--seed", "note": "", **dict.fromkeys(MEASURED, "")}


class _File(BaseModel):
    """What stands in the file."""

    model_config = ConfigDict(extra="forbid")

    meaning: str
    question: str = ""
    baseline: list[str] = []
    margin: float = Field(0.01, gt=0, lt=1)
    tuned: list[str] = []
    set: dict[str, Any] = {}
    grid: dict[str, Any]
    include: list[dict[str, Any]] = []
    exclude: list[dict[str, Any]] = []


@dataclass(frozen=True)
class Study:
    """A named grid. `grids` are the grid and what is included beside it: the values of every axis, with
    their places. `margin` is the share of the baseline's training CE within which an arm reaches it."""

    name: str
    file: Path
    text: str
    meaning: str
    question: str
    baseline: tuple[str, ...]
    margin: float
    tuned: tuple[str, ...]
    """Tuned presets: each cell takes the first that has its data, backbone and arm, or none."""
    settings: dict[str, Setting]
    grids: tuple[dict[str, tuple[Setting, ...]], ...]
    exclude: tuple[Rule, ...]

    @property
    def label(self) -> str:
        """How messages call its file."""
        return label_of(self.file)

    @property
    def axes(self) -> dict[str, list[Value]]:
        """Every axis with its values over all grids, in the order of the file."""
        values_by_axis: dict[str, dict[str, Value]] = {}
        for grid in self.grids:
            for axis, values in grid.items():
                for setting in values:
                    values_by_axis.setdefault(axis, {}).setdefault(key_of(setting.value), setting.value)
        return {axis: list(values.values()) for axis, values in values_by_axis.items()}


def list_studies() -> list[Study]:
    """All studies, by name. Raises UserError where a file is not a study."""
    return [find_study(name) for name in sorted(files_of("study"))]


def find_study(name: str) -> Study:
    """The study of that name. Raises UserError with the nearest name, or the place of what does not fit."""
    files = files_of("study")
    if name not in files:
        raise UserError(f"study {name}: no such study{nearest(name, sorted(files))}")
    return _read(name, files[name])


def parse_only(study: Study, texts: Iterable[str]) -> Rule:
    """Texts `axis=value[,value]` as one rule; the same axis twice adds to its values, and `unset` takes the cells
    that lack the axis. Raises UserError where no cell of the study has a value, or none lacks the axis."""
    only: dict[str, frozenset[str]] = {}
    known = study.axes
    for text in texts:
        axis, equals, values = text.partition("=")
        axis, place = _whole_axis(axis.strip()), f"--only {text}"
        if not equals or not values.strip():
            raise UserError(f"{place}: write axis=value[,value], such as --only dataset=ml-100k")
        if axis not in known:
            raise UserError(f"{place}: study {study.name} has no axis {axis}{nearest(axis, known)}")
        parts = [part.strip() for part in values.split(",")]
        keys = _keys(axis, [part for part in parts if part != UNSET], place)
        _check_known(place, axis, keys, known[axis])
        if UNSET in parts:
            if all(axis in grid for grid in study.grids):
                raise UserError(f"{place}: every cell of study {study.name} has the axis {axis}")
            keys |= {UNSET}
        only[axis] = only.get(axis, frozenset()) | keys
    return only


def key_of(value: Value) -> str:
    """A value as it is compared: 0.001, 1e-3 and "1e-3" are the same; so are null and "none"."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value in ("null", "~"):
        return "none"
    try:
        return repr(float(value) + 0.0)
    except ValueError:
        return str(value)


def text_of(value: Any) -> str:
    """A value as people write it after `=`."""
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def check_field(path: str, origin: str) -> None:
    """Raises UserError for a field that only an axis, or nobody, may set."""
    if path in _NOT_FIELDS:
        flag = _NOT_FIELDS[path].removeprefix("--")
        axis = FLAG_AXIS.get(flag, flag)
        raise UserError(f"{origin}: {path}: " + (f"is the axis {axis} of a study" if axis else "is not for studies"))


# ------------------------------------------------------------------------------------ reading


def _read(name: str, file: Path) -> Study:
    label = label_of(file)
    read, root, loader = read_document(_File, file, label, _explain)
    set_node = child_of(root, "set")
    given = dict(leaves_of(set_node, loader, label)) if isinstance(set_node, yaml.MappingNode) and read.set else {}
    settings = whole_names(given)
    for path, setting in settings.items():
        check_field(path, setting.origin)
    study = Study(
        name,
        file,
        read_text(file, label),
        read.meaning,
        read.question,
        tuple(whole_arm(arm, f"{label}:{line_of(root, 'baseline', i)}") for i, arm in enumerate(read.baseline)),
        read.margin,
        tuple(read.tuned),
        settings,
        tuple(_grids(read, root, label)),
        (),
    )
    known = study.axes
    for i, arm in enumerate(study.baseline):
        _check_known(f"{label}:{line_of(root, 'baseline', i)}: baseline", "arm", [arm], known["arm"])
    rules = []
    for i, rule in enumerate(read.exclude):
        place = f"{label}:{line_of(root, 'exclude', i)}: exclude"
        named = {_whole_axis(axis): value for axis, value in rule.items()}
        for axis in named or [""]:
            if axis not in known:
                raise UserError(f"{place}: no axis {axis or 'is named'}{nearest(axis, known)}")
        rules.append({axis: _keys(axis, value, place) for axis, value in named.items()})
        for axis, values in rules[-1].items():
            _check_known(place, axis, values, known[axis])
    return replace(study, exclude=tuple(rules))


def _grids(read: _File, root: yaml.Node, label: str) -> list[dict[str, tuple[Setting, ...]]]:
    """The grid, where what it leaves out is what `tfllmer run` takes, and the grids included beside it."""
    defaults = {"dataset": DATASET, "backbone": BACKBONE, "arm": whole_arm(METHOD, label), "seed": 0}
    given = _grid(read.grid, child_of(root, "grid"), label)
    main = {axis: (Setting(value, label),) for axis, value in defaults.items() if axis not in given} | given
    inherited = {axis: values for axis, values in main.items() if axis in _INHERITED}
    grids, included = [main], child_of(root, "include")
    for i, each in enumerate(read.include):
        node = child_of(included, i)
        if "arm" not in each:
            raise UserError(f"{label}:{line_of(node)}: include: name an arm")
        grids.append(inherited | _grid(each, node, label))
    return grids


def _grid(given: Mapping[str, Any], node: yaml.Node, label: str) -> dict[str, tuple[Setting, ...]]:
    grid: dict[str, tuple[Setting, ...]] = {}
    for name, value in given.items():
        axis, line = _whole_axis(name), f"{label}:{line_of(node, name)}"
        if axis in FLAG_AXIS:
            raise UserError(f"{line}: {axis}: the axis is called arm, METHOD or METHOD/ABLATION (tf-llmer/no-norm)")
        if axis in grid:
            raise UserError(f"{line}: {axis}: this axis is there twice")
        if axis not in AXES:
            if "." not in axis and axis not in names_by_word():
                raise UserError(f"{line}: {axis}: no such axis{nearest(axis, AXES)}; or name a field such as train.lr")
            check_field(whole_name(axis, line), line)
        settings: dict[str, Setting] = {}
        for i, item in enumerate(value if isinstance(value, list) else [value]):
            origin = f"{label}:{line_of(node, name, i)}"
            for each in _parts(axis, item, origin):
                settings.setdefault(key_of(each), Setting(each, origin))
        if not settings:
            raise UserError(f"{line}: {axis}: has no values")
        grid[axis] = tuple(settings.values())
    return grid


def _whole_axis(name: str) -> str:
    """The axis by its whole name where a setting is named by its last word alone; else as it is given."""
    if name in AXES or name in FLAG_AXIS:
        return name
    places = names_by_word().get(name, ())
    return places[0] if len(places) == 1 else name.removesuffix(".kind")


def _keys(axis: str, value: Any, origin: str) -> frozenset[str]:
    items = value if isinstance(value, list) else [value]
    return frozenset(key_of(each) for item in items for each in _parts(axis, item, origin))


def _parts(axis: str, value: Any, origin: str) -> list[Value]:
    """The values that one entry of an axis stands for: `0-4` is five seeds, `tf-llmer` is tf-llmer/full."""
    if not isinstance(value, get_args(Value)):
        raise UserError(f"{origin}: {axis}: give a value or a list of values, not {value!r}")
    if axis == "arm":
        return [whole_arm(str(value), origin)]
    if axis != "seed":
        return [value]
    match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", str(value))
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
    if last < first or last - first > 9999:
        raise UserError(f"{origin}: seed: write 3, 0-4 or [0, 1, 7], not {value!r}")
    return list(range(first, last + 1))


def whole_arm(name: str, origin: str) -> str:
    """The arm as leaderboards call it. Raises UserError with the nearest one."""
    ablations = ablations_by_method()
    if "full" in ablations.get(name, []):
        return f"{name}/full"
    methods = [preset.name for preset in list_presets("method")]
    known = [arm for method in methods for arm in ([f"{method}/{a}" for a in ablations.get(method, [])] or [method])]
    if name in known:
        return name
    close = f" (did you mean {METHOD}/{name}?)" if f"{METHOD}/{name}" in known else nearest(name, known)
    hint = close if "did you mean" in close else "; `tfllmer ablations` and `tfllmer presets method` list them"
    raise UserError(f"{origin}: arm {name}: no such arm{hint}")


def _check_known(place: str, axis: str, wanted: Iterable[str], values: Iterable[Value]) -> None:
    known = {key_of(value): text_of(value) for value in values}
    for value in wanted:
        if value not in known:
            word = value.removesuffix(".0")
            raise UserError(f"{place}: no cell has {axis}={word}{nearest(word, known.values())}")


def _explain(error: ValidationError, root: yaml.Node, label: str) -> str:
    first = min(
        error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden"
    )  # gird is no lack of grid
    path = ".".join(str(key) for key in first["loc"])
    place = f"{label}:{line_of(root, *first['loc'])}: {path}"
    if first["type"] == "extra_forbidden":
        return f"{place}: no such entry of a study{nearest(path, _File.model_fields)}"
    if first["type"] == "missing":
        what = {"meaning": "one line that says what it is", "grid": "the axes and their values"}
        return f"{label}:1: a study needs `{path}:`, {what[path]}"
    return f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}, not {first['input']!r}"
