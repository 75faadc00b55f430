"""What the arms of a comparison share beside their budget, and what they do not (docs/method.md D.3, "Fair arms")."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.reports.boards.budgets import (
    ROW_LENGTH,
    SHARED,
    TUNING,
    UnequalBudget,
    length_words,
    shared_of,
    unequal_values,
)
from engine.spec import SpectralAdapter

if TYPE_CHECKING:
    from engine.reports.boards.evidence import Evidence

UNKNOWN = "unknown"


def lengths_by_arm(arms: Mapping[str, Sequence[Evidence]]) -> dict[str, str]:
    """The row length of each arm in words, equal words for lengths that are equal but for chance; without arms that
    have none, since an adapter makes its own rows."""
    lengths: dict[str, float | None] = {}
    for name, runs in arms.items():
        if not isinstance(runs[0].experiment.table.inject, SpectralAdapter):
            known = [length for run in runs if (length := run.row_length) is not None]
            lengths[name] = statistics.fmean(known) if known else None
    words = length_words({name: length for name, length in lengths.items() if length is not None})
    return {name: words.get(name, UNKNOWN) for name in lengths}


def unshared(arms: Mapping[str, Sequence[Evidence]]) -> tuple[UnequalBudget, ...]:
    """What differs between arms, row lengths first; each arm's runs are of one configuration."""
    settings = {name: shared_of(runs[0].experiment) for name, runs in arms.items()}
    differences = list(unequal_values(ROW_LENGTH, lengths_by_arm(arms)))
    for setting in (*SHARED, TUNING):
        values = {name: own[setting] for name, own in settings.items() if setting in own}
        differences += unequal_values(setting, values)
    return tuple(differences)
