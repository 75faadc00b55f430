"""Text and values from data made fit to be shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@lru_cache(4096)
def printable(text: str) -> str:
    """The text on one line; control and direction characters, which would steer a terminal, are shown as �."""
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _UNSAFE else c for c in text)


def printable_lines(text: str) -> str:
    """The same for text of several lines: line ends and tabs stay."""
    return "".join(c if c in "\n\t" else printable(c) for c in text.replace("\r\n", "\n").replace("\r", "\n"))


def value_text(value: object) -> str:
    """A value of a specification."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def dotted(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a nested document by dotted names. (`engine.spec.flatten` is for specifications, whose kinds go by
    their steps' names.)"""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        flat |= dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
