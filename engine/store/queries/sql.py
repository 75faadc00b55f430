"""Pieces of SQL with the values that are bound to them: what lists, filters and sort keys are put together from.

Whoever reads rows this way needs no SQLAlchemy, whose import takes longer than any list does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine.store.core.damage import DAMAGE


@dataclass(frozen=True)
class Sql:
    """An expression, a condition or a query; `values` go with its question marks, in their order."""

    text: str
    values: tuple[Any, ...] = ()


def sql(template: str, *parts: Any) -> Sql:
    """The template with each `{}` replaced by a piece of SQL, or by a question mark for a value that is bound."""
    first, *others = template.split("{}")
    text, values = [first], list[Any]()
    for part, after in zip(parts, others, strict=True):
        if isinstance(part, Sql):
            text.append(part.text)
            values += part.values
        else:
            text.append("?")
            values.append(part)
        text.append(after)
    return Sql("".join(text), tuple(values))


def joined(separator: str, pieces: Iterable[Sql]) -> Sql:
    """The pieces with the separator between them, as ` AND ` or `, `."""
    parts = list(pieces)
    return Sql(separator.join(part.text for part in parts), tuple(value for part in parts for value in part.values))


def column(name: str) -> Sql:
    """A column of `run`."""
    return Sql(f"run.{name}")


IS_SOUND = Sql(f"({DAMAGE}) IS NULL")
"""Holds for runs that are not damaged."""
