"""The cells of a study as experiments: combined, looked up, validated, each computation once."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from engine.errors import UserError
from engine.presets.compose import Resolved, parse_set, resolve
from engine.presets.files import Setting
from engine.presets.layers import at, whole_name
from engine.presets.studies import AXES, FLAG_AXIS, UNSET, Rule, Study, Value, check_field, key_of, parse_only, text_of
from engine.presets.tuned import find_tuned
from engine.records import TUNED_BY
from engine.spec import Experiment, config_hash, data_hash, flat, spec_hash, to_document


@dataclass(frozen=True)
class Cell:
    """One run of a study. `overrides` are the settings by which it differs from its presets."""

    axes: dict[str, Value]
    experiment: Experiment
    overrides: dict[str, Any]

    @cached_property
    def spec_hash(self) -> str:
        return spec_hash(self.experiment)

    @cached_property
    def config_hash(self) -> str:
        return config_hash(self.experiment)

    @property
    def key(self) -> str:
        """What tells it from the other cells of its study."""
        return cell_key(self.axes)

    @property
    def shape(self) -> tuple[str, dict[str, Any]]:
        """Its `data_hash` and its specification: what the time it takes depends on."""
        return data_hash(self.experiment.data), to_document(self.experiment)

    @property
    def command(self) -> list[str]:
        """The command that makes this run alone."""
        e = self.experiment
        words = ["tfllmer", "run", "--method", e.method, *(["--ablation", e.ablation] if e.ablation else [])]
        words += ["--dataset", str(self.axes["dataset"]), "--backbone", e.backbone.name]
        if e.data.name != "demo" and e.embedding is not None:
            words += ["--embedding", str(self.axes.get("embedding") or e.embedding.source)]
        words += ["--seed", str(e.seed)]
        return words + [
            word
            for path, value in self.overrides.items()
            for word in (("--tuned", value) if path == TUNED_BY else ("--set", f"{path}={text_of(value)}"))
        ]


@dataclass(frozen=True)
class Expansion:
    """The cells, each of a `spec_hash` of its own, and how many were dropped because an earlier one
    computes the same."""

    cells: list[Cell]
    duplicates: int


def cell_key(axes: Mapping[str, Value]) -> str:
    """The axes and their values in one text, whatever their order and however numbers are written."""
    return json.dumps({axis: key_of(value) for axis, value in axes.items()}, sort_keys=True)


def combinations(
    study: Study, only: Rule | None = None, seeds: Sequence[int] | None = None
) -> list[dict[str, Setting]]:
    """The cells as values of the axes, before they are looked up: grid by grid, but all cells of one seed
    before those of the next, so that a study that is stopped early has whole seeds. `seeds` takes the place
    of those in the file."""
    combined: dict[str, dict[str, Setting]] = {}
    for grid in study.grids:
        values = grid if seeds is None else grid | {"seed": tuple(Setting(seed, "--seeds") for seed in seeds)}
        for row in itertools.product(*values.values()):
            cell = dict(zip(values, row, strict=True))
            if _within(cell, only or {}) and not any(_within(cell, rule) for rule in study.exclude):
                combined.setdefault(cell_key({axis: setting.value for axis, setting in cell.items()}), cell)
    return sorted(combined.values(), key=lambda cell: int(cell["seed"].value))


def expand(
    study: Study, *, only: Rule | None = None, seeds: Sequence[int] | None = None, sets: Sequence[str] = ()
) -> Expansion:
    """The cells as validated experiments. `sets` are texts `field=value` for all of them.

    A setting that the kinds of a cell do not have (the lambda of a plain PCA) is left out of it. Raises UserError for
    the first cell that does not fit, with the place that made it, and for a setting that no cell has.
    """
    given = study.settings | _settings_of(study, sets)
    resolved: dict[str, Resolved] = {}
    given_somewhere: dict[str, Setting] = {}
    read: set[str] = set()
    cells: dict[str, Cell] = {}
    chosen = combinations(study, only, seeds)
    for axes in chosen:
        place = cell_key({axis: setting.value for axis, setting in axes.items() if axis != "seed"})
        if place not in resolved:
            settings = given | {axis: setting for axis, setting in axes.items() if axis not in AXES}
            resolved[place] = _resolve(study, axes, settings)
            read |= settings.keys() - resolved[place].unread
            given_somewhere |= settings
        experiment, overrides = resolved[place].experiment, resolved[place].overrides
        typed = flat(experiment)
        values = {axis: typed.get(axis, setting.value) for axis, setting in axes.items() if axis not in AXES}
        own = {axis: setting.value for axis, setting in axes.items() if axis in AXES}
        cell = Cell(own | values, experiment.model_copy(update={"seed": int(axes["seed"].value)}), overrides)
        cells.setdefault(cell.spec_hash, cell)
    for name, setting in given_somewhere.items():
        if name not in read:
            raise UserError(f"{at(setting.origin)}{name}: no cell of study {study.name} has this setting; leave it out")
    return Expansion(list(cells.values()), len(chosen) - len(cells))


def chosen(study: Study, *, only: Sequence[str] = (), seeds: int | None = None, sets: Sequence[str] = ()) -> list[Cell]:
    """The cells that `tfllmer study run` takes with these texts; `seeds` are 0 to N-1 in place of the file's.
    Raises UserError where none is left."""
    seed_numbers = None if seeds is None else range(seeds)
    expansion = expand(study, only=parse_only(study, only), seeds=seed_numbers, sets=sets)
    if not expansion.cells:
        raise UserError(f"study {study.name}: no cell is left; widen --only, or see tfllmer study show {study.name}")
    return expansion.cells


def _within(cell: Mapping[str, Setting], rule: Rule) -> bool:
    keys = {axis: key_of(cell[axis].value) if axis in cell else UNSET for axis in rule}
    return all(keys[axis] in allowed for axis, allowed in rule.items())


def _resolve(study: Study, axes: Mapping[str, Setting], settings: Mapping[str, Setting]) -> Resolved:
    """A cell, with any seed; its overrides are the settings that make a difference to its presets."""
    arm, backbone = str(axes["arm"].value), str(axes["backbone"].value)
    method, _, ablation = arm.partition("/")
    tuned = [find_tuned(name) for name in study.tuned]

    def cell(settings: Mapping[str, Setting]) -> Resolved:
        return resolve(
            method=method,
            ablation=ablation or None,
            dataset=str(axes["dataset"].value),
            backbone=backbone,
            embedding=str(axes["embedding"].value) if "embedding" in axes else None,
            settings=settings,
            tuned=next((each.name for each in tuned if each.is_for(str(axes["dataset"].value), backbone, arm)), None),
        )

    try:
        resolved = cell(settings)
    except UserError as error:
        raise UserError(_placed(str(error), axes, study.label)) from None
    plain: dict[str, Any] = {}
    with suppress(UserError):  # where the presets do not fit without these settings, all of them count
        plain = flat(cell({}).experiment)
    changed = {n: v for n, v in resolved.overrides.items() if n == TUNED_BY or n not in plain or plain[n] != v}
    return replace(resolved, overrides=changed)


def _placed(text: str, axes: Mapping[str, Setting], label: str) -> str:
    """The message about a cell with the place in the study's file that made it."""
    flag = re.match(r"--(method|ablation|dataset|backbone|embedding)\b", text)
    if flag:
        axis = FLAG_AXIS.get(flag[1], flag[1])
        return f"{axes[axis].origin if axis in axes else label}: {text.removeprefix('--')}"
    where = "" if re.match(r"--|\S+\.yaml:", text) else f"{label}: "
    cell = ", ".join(f"{axis}={text_of(setting.value)}" for axis, setting in axes.items() if axis != "seed")
    return f"{where}{text} (in the cell {cell})"


def _settings_of(study: Study, sets: Sequence[str]) -> dict[str, Setting]:
    """Settings of `--set` for all cells. Raises UserError for what is an axis, or not for studies."""
    axes = study.axes
    settings: dict[str, Setting] = {}
    for text in sets:
        given = text.partition("=")[0].strip()
        name = given if given in axes else whole_name(given, "--set")
        if name in axes:
            raise UserError(f"--set {text}: {name} is an axis of study {study.name}; choose with --only {name}=VALUE")
        check_field(name, f"--set {text}")
        settings[name] = Setting(parse_set(text)[1], "--set")
    return settings
