"""One run from presets and flags: what is set, by whom, and whether it fits together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from engine.errors import UserError, nearest
from engine.presets.files import Preset, Setting, find_preset, has_preset, list_presets
from engine.presets.locate import (
    dataset_name,
    find_dataset,
    find_vectors,
    fingerprint_of,
    is_path,
    list_vectors,
    vectors_name,
)
from engine.spec import BACKBONES, Experiment, explain, fields_of, part_of

METHOD, DATASET, BACKBONE = "tf-llmer", "demo", "sasrec"
"""What `tfllmer run` takes where nothing is said."""

AXIS_FIELDS = {
    "method": "--method",
    "ablation": "--ablation",
    "data.name": "--dataset",
    "data.path": "--dataset",
    "backbone.name": "--backbone",
    "embedding.source": "--embedding",
    "embedding.path": "--embedding",
}
"""Fields that name a preset or a file: `--set FIELD=X` means the flag."""
MEASURED = ("data.fingerprint", "embedding.fingerprint")
_NOT_IN_PRESETS = ("method", "ablation", "seed", "note", *MEASURED)


@dataclass(frozen=True)
class Resolved:
    """A complete run. `origins` covers every field: `default`, `configs/ablation/no-norm.yaml:5`, `--set`, ...
    `overrides` holds what --set and a study's settings changed, typed."""

    experiment: Experiment
    origins: dict[str, str]
    overrides: dict[str, Any]


def ablations_of(method: str) -> list[str]:
    """Names of the ablations that apply to a method."""
    return [preset.name for preset in list_presets("ablation") if preset.applies_to == method]


def resolve(
    *,
    method: str | None = None,
    ablation: str | None = None,
    dataset: str | None = None,
    backbone: str | None = None,
    embedding: str | None = None,
    seed: int | None = None,
    settings: Mapping[str, Setting] | None = None,
    sets: Sequence[str] = (),
    device: str | None = None,
    threads: int | None = None,
    note: str | None = None,
) -> Resolved:
    """Compose defaults < dataset < backbone < method < ablation < flags < study < --set; find the files; validate.

    `settings` are those of a study, by dotted field; `sets` are texts `field=value`. Raises UserError in one
    line, with the place of what does not fit.
    """
    given = dict(_parse(text) for text in sets)
    axes = {"--method": method, "--ablation": ablation, "--dataset": dataset}
    axes |= {"--backbone": backbone, "--embedding": embedding}
    axes |= {AXIS_FIELDS[path]: given.pop(path) for path in list(given) if path in AXIS_FIELDS}
    flags = {"seed": seed, "execution.device": device, "execution.threads": threads, "note": note}

    where = axes["--dataset"] or DATASET
    name = where if has_preset("dataset", where) or not is_path(where) else dataset_name(Path(where).expanduser())
    arm = _arm(axes["--method"] or METHOD, axes["--ablation"])
    layers: list[Mapping[str, Setting]] = [{"data.name": Setting(name, _by(axes, "--dataset"))}]
    if has_preset("dataset", name):
        layers.append(_settings(find_preset("dataset", name)))
    layers.append(_settings(find_preset("backbone", axes["--backbone"] or BACKBONE)))
    layers.extend(_settings(preset) for preset in arm)
    layers.append({preset.kind: Setting(preset.name, _by(axes, f"--{preset.kind}")) for preset in arm})
    layers.append(
        {path: Setting(value, f"--{path.split('.')[-1]}") for path, value in flags.items() if value is not None}
    )
    if axes["--embedding"]:
        layers.append({"embedding.source": Setting(axes["--embedding"], "--embedding")})
    changes = {**(settings or {}), **{path: Setting(value, "--set") for path, value in given.items()}}
    layers.append(changes)

    merged = _merge(layers)
    experiment = _validate(merged)
    found = _find(experiment, where if name != where else experiment.data.name, merged)
    experiment = _validate(merged | found) if found else experiment
    values = flatten(experiment.model_dump(by_alias=True))
    origins = {path: (merged | found)[path].origin if path in merged | found else "default" for path in values}
    return Resolved(experiment, origins, {path: values[path] for path in changes})


def _by(axes: Mapping[str, str | None], flag: str) -> str:
    return flag if axes[flag] else "default"


def _arm(method: str, ablation: str | None) -> list[Preset]:
    """The presets of a method and of its ablation; `full` where none is named and the method has it."""
    preset = find_preset("method", method)
    known = ablations_of(method)
    if ablation is None:
        return [preset, find_preset("ablation", "full")] if "full" in known else [preset]
    if not known:
        raise UserError(f"--ablation {ablation}: method {method} has no ablations; leave --ablation out")
    if ablation not in known:
        raise UserError(f"--ablation {ablation}: method {method} has no such ablation{nearest(ablation, known)}")
    return [preset, find_preset("ablation", ablation)]


# ------------------------------------------------------------------------------------ settings


def _parse(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not path:
        raise UserError(f"--set {text}: write field=value, such as --set train.lr=3e-4")
    if path in MEASURED:
        raise UserError(f"--set {text}: {path} is measured from the files; leave it out")
    return path, value.strip()


def _settings(preset: Preset) -> dict[str, Setting]:
    for path, setting in preset.settings.items():
        if path in _NOT_IN_PRESETS:
            raise UserError(f"{setting.origin}: {path} is not for presets; remove it")
    return preset.settings


def _merge(layers: Sequence[Mapping[str, Setting]]) -> dict[str, Setting]:
    """Later layers win, in the order in which they were set; every key is checked where it is set."""
    merged: dict[str, Setting] = {}
    for layer in layers:
        for path, setting in layer.items():
            merged.pop(path, None)
            merged[path] = setting
    name = merged.get("backbone.name", Setting(BACKBONE, "default"))
    if name.value not in BACKBONES:
        raise UserError(
            f"{name.origin}: backbone.name: no backbone {name.value!r}{nearest(str(name.value), BACKBONES)}"
        )
    for path, setting in merged.items():
        field = _field(path, name.value, setting.origin)
        if (
            isinstance(setting.value, str)
            and setting.value in ("none", "null", "~")
            and NoneType in get_args(field.annotation)
        ):
            merged[path] = Setting(None, setting.origin)
    return merged


def _field(path: str, backbone: str, origin: str) -> FieldInfo:
    """The model field a dotted path leads to. Raises UserError with the nearest valid name."""
    keys = path.split(".")
    at = _at(origin)
    for depth, key in enumerate(keys):
        parent = [backbone if k == "backbone" else k for k in keys[:depth]]
        model = part_of(parent)
        if model is None:
            raise UserError(f"{at}{path}: {'.'.join(keys[:depth])} is one value, not a group of settings")
        field = next((f for n, f in model.model_fields.items() if key == (f.alias or n)), None)
        if field is None:
            raise UserError(f"{at}{path}: no such setting{_nearest(keys, depth, model)}")
    group = part_of([*keys[:-1], keys[-1] if keys[-1] != "backbone" else backbone])
    if group is not None:
        names = ", ".join(f"{path}.{name}" for name in fields_of(group))
        raise UserError(f"{at}{path}: a group of settings, not one value (there are {names})")
    assert field is not None
    return field


def _nearest(keys: Sequence[str], depth: int, model: type[BaseModel]) -> str:
    """The hint for a wrong name: its full path where the name is right but its group is missing."""
    if len(keys) == 1:
        for path in flatten(Experiment.model_validate({}).model_dump(by_alias=True)):
            if path.split(".")[-1] == keys[0]:
                return f" (did you mean {path}?)"
    before = "".join(f"{key}." for key in keys[:depth])
    after = "".join(f".{key}" for key in keys[depth + 1 :])
    return nearest(before + keys[depth] + after, [before + name + after for name in fields_of(model)])


def _validate(settings: Mapping[str, Setting]) -> Experiment:
    tree: dict[str, Any] = {}
    for path, setting in settings.items():
        *groups, leaf = path.split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
        node[leaf] = setting.value
    tree.setdefault("backbone", {}).setdefault("name", BACKBONE)
    try:
        return Experiment.model_validate(tree)
    except ValidationError as error:
        raise UserError(_explain(error, settings)) from None


def _explain(error: ValidationError, settings: Mapping[str, Setting]) -> str:
    """The first problem with the place that set the value: the flag, or file and line."""
    first = error.errors(include_url=False)[0]
    path = ".".join(str(key) for key in first["loc"] if key not in BACKBONES)
    inside = [setting.origin for p, setting in settings.items() if p == path or p.startswith(f"{path}.")]
    origin = inside[-1] if inside else ""
    text = explain(error)
    if first["type"] == "string_pattern_mismatch":
        field = _field(path, BACKBONE, origin)
        text = f"{path}: give {field.description}, not {first['input']!r}"
    if origin.startswith("--") and origin != "--set":
        return f"{origin}: {text.removeprefix(f'{path}: ')}"
    return f"{_at(origin)}{text}"


def _at(origin: str) -> str:
    return f"{origin} " if origin == "--set" else f"{origin}: " if origin else ""


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted names."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


# ------------------------------------------------------------------------------------ files


def _find(experiment: Experiment, where: str, settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """Paths and fingerprints of the data set `where` and of its vectors; nothing for the generated one."""
    source = settings.get("embedding.source")
    if where == "demo":
        if experiment.uses_embedding and experiment.embedding.source != "demo":
            raise UserError(
                f"--embedding {experiment.embedding.source}: data set demo makes its own vectors; leave it out"
            )
        return {}
    folder = find_dataset(where)
    name = experiment.data.name
    if name == "demo":
        raise UserError(f"--dataset {where}: demo is the name of the generated data set; rename the files")
    if not (folder / f"{name}.inter").is_file():
        raise UserError(f"--dataset {where}: no {name}.inter in {folder}")
    files = [folder / f"{name}.inter", folder / f"{name}.item"]
    by = "--dataset" if is_path(where) else "$TFLLMER_DATA"
    found = {
        "data.path": Setting(str(folder), by),
        "data.fingerprint": Setting(fingerprint_of(file for file in files if file.exists()), "measured"),
    }
    if experiment.uses_embedding:
        chosen = source or Setting(_only_source(folder, name), "found beside the data set")
        file = find_vectors(folder, name, chosen.value)
        found["embedding.source"] = Setting(vectors_name(file, name), chosen.origin)
        found["embedding.path"] = Setting(str(file), chosen.origin)
        found["embedding.fingerprint"] = Setting(fingerprint_of([file]), "measured")
    return found


def _only_source(folder: Path, name: str) -> str:
    sources = list_vectors(folder, name)
    if len(sources) == 1:
        return next(iter(sources))
    if sources:
        raise UserError(f"--dataset {name}: several vectors in {folder}; choose with --embedding {'|'.join(sources)}")
    raise UserError(
        f"--dataset {name}: no vectors in {folder}; put them at {name}.SOURCE.npy, or give --embedding FILE"
    )
