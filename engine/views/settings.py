"""The settings of a run, each with its origin, and the specification as YAML with the origins behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import yaml

from engine.errors import UserError
from engine.presets import resolve
from engine.spec import Experiment, flat, from_document, leaves_by_name


@dataclass(frozen=True)
class StoredSetting:
    """A setting of a stored run by its dotted name; the origin is empty where nothing tells it today."""

    name: str
    value: Any
    origin: str


@dataclass(frozen=True)
class StoredSettings:
    """The specification of a stored run, which never changes: setting by setting, and as YAML."""

    settings: tuple[StoredSetting, ...]
    yaml: str


def stored_settings(document: Mapping[str, Any], overrides: Mapping[str, Any]) -> StoredSettings:
    """Of the specification that a run stored, and what of it was set by hand."""
    experiment = from_document(document)
    values = flat(experiment)
    origins = _origins(experiment, values, overrides)
    settings = tuple(StoredSetting(name, value, origins.get(name, "")) for name, value in values.items())
    return StoredSettings(settings, config_yaml(document, origins))


def config_yaml(tree: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    """The tree as YAML that a preset could hold; `origins` maps dotted fields to comments."""
    lines = list(_lines(tree, "", ""))
    width = max(len(text) for text, _ in lines)
    return "".join(f"{text:<{width}}  # {origins[path]}\n" if path in origins else f"{text}\n" for text, path in lines)


def _lines(tree: Mapping[str, Any], indent: str, prefix: str) -> list[tuple[str, str]]:
    lines = []
    for key, value in tree.items():
        name = prefix[:-1] if key == "kind" and prefix else f"{prefix}{key}"
        if isinstance(value, dict) and key != "tuning":
            lines += [(f"{indent}{key}:", ""), *_lines(value, indent + "  ", f"{prefix}{key}.")]
        elif name in leaves_by_name():  # a part that is not there, and the document's version, are no settings
            lines.append((f"{indent}{key}: {_scalar(value)}", name))
    return lines


def _scalar(value: Any) -> str:
    """A JSON scalar is a YAML scalar; words that stand for themselves go without quotes."""
    if isinstance(value, str) and value and value.isprintable() and "#" not in value and ": " not in value:
        with suppress(yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError):  # 2020-13-45, !!bool x
            if yaml.safe_load(value) == value:
                return value
    if isinstance(value, float):
        return str(yaml.safe_dump(value)).split("\n", 1)[0]  # 1e-06 is text in YAML, 1.0e-06 is a number
    return json.dumps(value, ensure_ascii=False)


def _origins(stored: Experiment, values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, str]:
    """Where each value came from: what was set by hand is stored; the rest is what presets and defaults say today,
    as far as they still say the same."""
    origins = dict.fromkeys(overrides, "--set")
    if stored.tuning is not None:
        origins |= dict.fromkeys(stored.tuning.settings, f"tuned {stored.tuning.name}")
    try:
        today = resolve(
            method=stored.method,
            ablation=stored.ablation,
            dataset=stored.data.path or stored.data.name,
            backbone=stored.backbone.name,
            embedding=stored.embedding.path if stored.embedding is not None else None,
            seed=stored.seed,
        )
    except (UserError, KeyError, OSError):
        return origins
    now = flat(today.experiment)
    same = {name: origin for name, origin in today.origins.items() if name in values and now[name] == values[name]}
    return same | origins
