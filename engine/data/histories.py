"""Rows of a user, a history and the item that follows it -> interactions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

Row: TypeAlias = tuple[str, list[str], str]
"""User, history (oldest first), next item."""


def joined(parts: Sequence[Iterable[Row]]) -> tuple[list[tuple[str, str, int]], str | None]:
    """(user, item, part) in order, of the rows of each part; and the first user whose rows do not go on from one
    another, who is left out.

    A history repeats what came before, or its end where it was cut off; rows of a user come shortest first or longest
    first.
    """
    rows: dict[str, list[list[tuple[list[str], str]]]] = {}
    for number, part in enumerate(parts):
        for user, history, item in part:
            rows.setdefault(user, [[] for _ in parts])[number].append((history, item))
    interactions: list[tuple[str, str, int]] = []
    broken: str | None = None
    for user, own in rows.items():
        sequence = _sequence(own) or _sequence([part[::-1] for part in own])
        if sequence is None:
            broken = user if broken is None else broken
            continue
        interactions += [(user, item, part) for item, part in sequence]
    return interactions, broken


def continues(rows: Iterable[Row]) -> bool:
    """Whether the rows of every user go on from one another."""
    return joined([rows])[1] is None


def _sequence(parts: Sequence[Sequence[tuple[list[str], str]]]) -> list[tuple[str, int]] | None:
    """Items with the part that each belongs to; None where a history is not the end of what came before."""
    items: list[str] = []
    of: list[int] = []
    for number, part in enumerate(parts):
        for history, item in part:
            if not items:
                items, of = list(history), [number] * len(history)
            elif not history or items[-len(history) :] != history:
                return None
            items.append(item)
            of.append(number)
    return list(zip(items, of, strict=True))
