"""A specification as YAML with the origin of every value behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def config_yaml(tree: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    """The tree as YAML that a preset could hold; `origins` maps dotted fields to comments."""
    lines = list(_lines(tree, "", ""))
    width = max(len(text) for text, _ in lines)
    return "".join(f"{text:<{width}}  # {origins[path]}\n" if path in origins else f"{text}\n" for text, path in lines)


def _lines(tree: Mapping[str, Any], indent: str, prefix: str) -> list[tuple[str, str]]:
    from engine.spec import leaves_by_name

    lines = []
    for key, value in tree.items():
        name = prefix[:-1] if key == "kind" and prefix else f"{prefix}{key}"
        if isinstance(value, dict):
            lines += [(f"{indent}{key}:", ""), *_lines(value, indent + "  ", f"{prefix}{key}.")]
        elif name in leaves_by_name():  # a part that is not there, and the document's version, are no settings
            lines.append((f"{indent}{key}: {_scalar(value)}", name))
    return lines


def _scalar(value: Any) -> str:
    """A JSON scalar is a YAML scalar; words that stand for themselves go without quotes."""
    import yaml

    if isinstance(value, str) and value and value.isprintable() and "#" not in value and ": " not in value:
        try:
            if yaml.safe_load(value) == value:
                return value
        except yaml.YAMLError:
            pass
    if isinstance(value, float):
        return str(yaml.safe_dump(value)).split("\n", 1)[0]  # 1e-06 is text in YAML, 1.0e-06 is a number
    return json.dumps(value, ensure_ascii=False)
