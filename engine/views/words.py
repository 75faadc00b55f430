"""Text and values from data made fit to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.text import printable, printable_lines

__all__ = ["dotted", "printable", "printable_lines", "value_text"]


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
