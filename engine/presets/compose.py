"""One run from presets and flags: what is set, by whom, and whether it fits together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import UserError, nearest
from engine.files import path_of
from engine.places import atomic_file, list_vectors, vectors_name
from engine.presets.files import Preset, Setting, find_preset, has_preset, list_presets
from engine.presets.layers import Layer, Merged, at, merge, tree_of, whole_name, whole_names
from engine.presets.locate import (
    dataset_name,
    find_dataset,
    find_vectors,
    fingerprint_of,
    is_path,
)
from engine.presets.tuned import Tuned, tuned_for
from engine.records import TUNED_BY
from engine.spec import BACKBONES, Experiment, dotted, explain, flat, leaves_by_name

METHOD, DATASET, BACKBONE = "tf-llmer", "demo", "sasrec"
"""What `tfllmer run` takes where nothing is said; for a backbone without an item table the method is `id`."""

AXIS_FIELDS = {
    "method": "--method",
    "ablation": "--ablation",
    "data.source": "--dataset",
    "data.source.name": "--dataset",
    "data.source.path": "--dataset",
    "backbone.name": "--backbone",
    "embedding.source": "--embedding",
    "embedding.path": "--embedding",
}
"""Settings that name a preset or a file: `--set FIELD=X` means the flag."""
MEASURED = ("data.source.fingerprint", "embedding.fingerprint")
_NOT_IN_PRESETS = ("method", "ablation", "seed", "note", *MEASURED)


@dataclass(frozen=True)
class Resolved:
    """A complete run. `origins` covers every setting: `default`, `configs/ablation/no-norm.yaml:5`, `--set`, ...
    `overrides` holds what --set and a study's settings changed, typed; `unread` names settings of the study that its
    kinds do not have."""

    experiment: Experiment
    origins: dict[str, str]
    overrides: dict[str, Any]
    unread: frozenset[str] = frozenset()


def ablations_of(method: str) -> list[str]:
    """Names of the ablations that apply to a method."""
    return ablations_by_method().get(method, [])


def ablations_by_method() -> dict[str, list[str]]:
    """Method -> names of its ablations, for methods that have any; to be asked once where it is asked for several."""
    names: dict[str, list[str]] = {}
    for preset in list_presets("ablation"):
        for method in preset.methods:
            names.setdefault(method, []).append(preset.name)
    return names


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
    tuned: str | None = None,
    device: str | None = None,
    devices: int | None = None,
    threads: int | None = None,
    note: str | None = None,
) -> Resolved:
    """Compose defaults < dataset < backbone < method < ablation < tuned < flags < study < --set; find the files;
    validate.

    `settings` are those of a study, by name; what the kinds that the run chooses do not have is left out, as it is of
    a data set's preset. `sets` are texts `field=value`. Raises UserError in one line, with the place of what does not
    fit.
    """
    given = dict(parse_set(text) for text in sets)
    axes = {"--method": method, "--ablation": ablation, "--dataset": dataset}
    axes |= {"--backbone": backbone, "--embedding": embedding}
    axes |= {AXIS_FIELDS[name]: given.pop(name) for name in list(given) if name in AXIS_FIELDS}
    flags = {"seed": seed, "execution.device": device, "execution.devices": devices, "execution.threads": threads}
    flags["note"] = note

    where = axes["--dataset"] or DATASET
    name = where if has_preset("dataset", where) or not is_path(where) else dataset_name(path_of(where))
    model = find_preset("backbone", axes["--backbone"] or usual_backbone(axes["--method"]))
    arm = _arm(axes["--method"] or _usual_method(model), axes["--ablation"])
    layers = [Layer(_source(name, _by(axes, "--dataset")), firm=False)]
    if has_preset("dataset", name):
        layers.append(Layer(_settings(find_preset("dataset", name)), firm=False))
    layers.extend(Layer(_settings(preset)) for preset in (model, *arm))
    layers.append(Layer({preset.kind: Setting(preset.name, _by(axes, f"--{preset.kind}")) for preset in arm}))
    chosen = None
    if tuned is not None:
        arm_name = "/".join(preset.name for preset in arm)
        chosen = tuned_for(tuned, name, model.settings["backbone.name"].value, arm_name)
        layers.append(Layer(chosen.arms[arm_name], firm=False))
    layers.append(
        Layer({name: Setting(value, f"--{name.split('.')[-1]}") for name, value in flags.items() if value is not None})
    )
    if axes["--embedding"]:
        layers.append(Layer({"embedding.source": Setting(axes["--embedding"], "--embedding")}, firm=False))
    layers.append(Layer(settings or {}, firm=False))
    layers.append(Layer({name: Setting(value, "--set") for name, value in given.items()}))

    merged = merge(layers)
    experiment = _validate(merged.settings)
    unread = set(merged.unread)
    if not experiment.backbone.is_trained:
        unread |= _untrained(experiment, given, merged)
    located = _find(experiment, where if name != where else experiment.data.name, merged)
    settled = merged.settings | located
    experiment = _validate(settled)
    if chosen is not None:
        experiment = _recorded(experiment, chosen)
    values = flat(experiment)
    origins = {name: settled[name].origin if name in settled else "default" for name in values}
    changes = [name for name in (*(settings or {}), *given) if name in values and name not in unread]
    overrides = {name: values[name] for name in changes}
    if experiment.tuning is not None:
        overrides[TUNED_BY] = experiment.tuning.name
    return Resolved(experiment, origins, overrides, frozenset(unread & set(settings or {})))


def _recorded(experiment: Experiment, tuned: Tuned) -> Experiment:
    """The experiment with what is to be known of its tuning, if it still has every setting that was chosen."""
    chosen, values = tuned.arms[experiment.arm], flat(experiment)
    vectors = tuned.document.embedding
    if experiment.embedding is not None and vectors not in (None, experiment.embedding.source):
        raise UserError(f"--tuned {tuned.name}: is for vectors {vectors}, not {experiment.embedding.source}")
    if any(name not in values or values[name] != setting.value for name, setting in chosen.items()):
        return experiment
    return experiment.model_copy(update={"tuning": tuned.record(experiment.arm)})


def usual_backbone(method: str | None) -> str:
    """The backbone where none is named."""
    return (find_preset("method", method).usual_backbone if method else None) or BACKBONE


def _usual_method(model: Preset) -> str:
    """The method where none is named: one without an item table has nothing that another method could change."""
    name = model.settings["backbone.name"].value
    return METHOD if name not in BACKBONES or BACKBONES[name].has_items else "id"


def _untrained(experiment: Experiment, given: Mapping[str, str], merged: Merged) -> set[str]:
    """A model with a closed form has no epochs: `merged` says so. What else was set of `train` is not read; of --set
    it is refused."""
    why = f"backbone {experiment.backbone.name} is not trained"
    names = {name for name in merged.settings if name.startswith("train.")}
    if refused := [name for name in given if name in names]:
        raise UserError(f"--set {refused[0]}: {why}; leave it out")
    merged.settings["train.epochs"] = Setting(0, why)
    return names


def _source(name: str, origin: str) -> dict[str, Setting]:
    if name == "demo":
        return {"data.source": Setting("demo", origin)}
    return {"data.source": Setting("files", origin), "data.source.name": Setting(name, origin)}


def _by(axes: Mapping[str, str | None], flag: str) -> str:
    return flag if axes[flag] else "default"


def _arm(method: str, ablation: str | None) -> list[Preset]:
    """The presets of a method and of its ablation; `full` where none is named and the method has it."""
    preset, name = find_preset("method", method), "full" if ablation is None else ablation
    change = find_preset("ablation", name) if has_preset("ablation", name) else None
    if change is not None and method in change.methods:
        return [preset, change]
    if ablation is None:
        return [preset]
    known = ablations_of(method)
    if not known:
        raise UserError(f"--ablation {ablation}: method {method} has no ablations; leave --ablation out")
    raise UserError(f"--ablation {ablation}: method {method} has no such ablation{nearest(ablation, known)}")


# ------------------------------------------------------------------------------------ settings


def parse_set(text: str) -> tuple[str, str]:
    """A text `field=value` as the setting's whole name and its value. Raises UserError."""
    given, equals, value = text.partition("=")
    if not equals or not given.strip():
        raise UserError(f"--set {text}: write field=value, such as --set train.lr=3e-4")
    name = whole_name(given.strip(), "--set")
    if name in MEASURED:
        raise UserError(f"--set {text}: {name} is measured from the files; leave it out")
    return name, value.strip()


def _settings(preset: Preset) -> dict[str, Setting]:
    settings = whole_names(preset.settings)
    for name, setting in settings.items():
        if name in _NOT_IN_PRESETS:
            raise UserError(f"{setting.origin}: {name} is not for presets; remove it")
    return settings


def _validate(settings: Mapping[str, Setting]) -> Experiment:
    try:
        return Experiment.model_validate(tree_of(settings))
    except ValidationError as error:
        raise UserError(_explain(error, settings)) from None


def _explain(error: ValidationError, settings: Mapping[str, Setting]) -> str:
    """The first problem with the place that set the value: the flag, or file and line."""
    first = error.errors(include_url=False)[0]
    name = dotted(first["loc"])
    origins = [setting.origin for other, setting in settings.items() if other == name or other.startswith(f"{name}.")]
    origin = origins[-1] if origins else ""
    text = explain(error)
    if first["type"] == "string_pattern_mismatch":
        text = f"{name}: give {leaves_by_name()[name][0].info.description}, not {first['input']!r}"
    if origin.startswith("--") and origin != "--set":
        return f"{origin}: {text.removeprefix(f'{name}: ')}"
    return f"{at(origin)}{text}"


# ------------------------------------------------------------------------------------ files


def _find(experiment: Experiment, where: str, merged: Merged) -> dict[str, Setting]:
    """Paths and fingerprints of the data set `where` and of its vectors; nothing for the generated one."""
    source = merged.settings.get("embedding.source")
    if where == "demo":
        if experiment.embedding is not None and experiment.embedding.source != "demo":
            raise UserError(
                f"--embedding {experiment.embedding.source}: data set demo makes its own vectors; leave it out"
            )
        return {}
    folder = find_dataset(where)
    name = experiment.data.name
    if name == "demo":
        raise UserError(f"--dataset {where}: demo is the name of the generated data set; rename the files")
    files = [atomic_file(folder, name, ending) for ending in ("inter", "item")]
    if not files[0].is_file():
        raise UserError(f"--dataset {where}: no {name}.inter in {folder}")
    by = "--dataset" if is_path(where) else "$TFLLMER_DATA"
    places = {
        "data.source.path": Setting(str(folder), by),
        "data.source.fingerprint": Setting(fingerprint_of(file for file in files if file.exists()), "measured"),
    }
    if experiment.embedding is not None:
        chosen = source or Setting(_only_source(folder, name), "found beside the data set")
        file = find_vectors(folder, name, chosen.value)
        places["embedding.source"] = Setting(vectors_name(file, name), chosen.origin)
        places["embedding.path"] = Setting(str(file), chosen.origin)
        places["embedding.fingerprint"] = Setting(fingerprint_of([file]), "measured")
    return places


def _only_source(folder: Path, name: str) -> str:
    sources = list_vectors(folder, name)
    if len(sources) == 1:
        return next(iter(sources))
    if sources:
        raise UserError(f"--dataset {name}: several vectors in {folder}; choose with --embedding {'|'.join(sources)}")
    raise UserError(
        f"--dataset {name}: no vectors in {folder}; put them at {name}.SOURCE.npy, or give --embedding FILE"
    )
