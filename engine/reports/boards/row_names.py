"""What a table calls its arms: in the rows, and in the notes below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import ascii_lowercase

from engine.reports.boards.budgets import SEPARATOR

_MOST = 40
"""Characters of a name that a note repeats; where a row has a longer one, notes go by letters."""


@dataclass(frozen=True)
class RowNames:
    """The names of a table's arms."""

    rows: tuple[str, ...]
    """What the rows begin with, in their order: `id`, or `(a) id [train.lr=0.01, train.epochs=40]`."""
    in_notes: Mapping[str, str]
    """What notes call the arm of each label: its name, or `(a)`."""
    shared: str
    """The changes that all of them have, which are left out of their names; empty where there are none."""
    long: Mapping[str, str]
    """Letters by the names that they stand for."""

    def of(self, label: str) -> str:
        """What notes call the arm with that label."""
        return self.in_notes.get(label, label)

    def place(self, label: str) -> int:
        """Where the row with that label stands."""
        return self._places.get(label, len(self.rows))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.in_notes)}

    def sentence(self, text: str) -> str:
        """A sentence that names arms as rows do, with letters for the long names."""
        for name in sorted(self.long, key=len, reverse=True):
            text = text.replace(name, self.long[name])
        return text


def row_names(labels: Sequence[str]) -> RowNames:
    """Names for the rows with these labels. Where one is long all rows have letters."""
    short, shared = shortened(labels)
    if len(labels) < 2 or max(map(len, short)) <= _MOST:
        return RowNames(tuple(short), dict(zip(labels, short, strict=True)), shared, {})
    letters = [f"({_letter(place)})" for place in range(len(short))]
    rows = tuple(f"{letter} {name}" for letter, name in zip(letters, short, strict=True))
    long = {name: letter for letter, name in zip(letters, short, strict=True) if len(name) > _MOST}
    return RowNames(rows, dict(zip(labels, letters, strict=True)), shared, long)


def shortened(labels: Sequence[str]) -> tuple[list[str], str]:
    """Labels of rows without the changes in brackets that all of them share, and these changes. A setting that few rows
    have comes first in the brackets: where a name is cut, that still tells it from others."""
    parts = [label.removesuffix("]").partition(" [") for label in labels]
    changes = [[change for change in SEPARATOR.split(text) if change] for _, _, text in parts]
    rows_with = Counter(change for each in changes for change in each)
    shared = [change for change in changes[0] if rows_with[change] == len(labels)] if len(labels) > 1 else []
    rows_that_set = Counter(_setting(change) for each in changes for change in each)
    own = [
        sorted((change for change in each if change not in shared), key=lambda change: rows_that_set[_setting(change)])
        for each in changes
    ]
    names = [name + (f" [{', '.join(each)}]" if each else "") for (name, _, _), each in zip(parts, own, strict=True)]
    return names, ", ".join(shared)


def _setting(change: str) -> str:
    """`train.lr` of `train.lr=0.01`."""
    return change.partition("=")[0]


def _letter(place: int) -> str:
    """a to z, then aa, ab, ..."""
    rest, last = divmod(place, len(ascii_lowercase))
    return (_letter(rest - 1) if rest else "") + ascii_lowercase[last]
