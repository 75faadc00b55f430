"""How long a table's raw initial rows are, a hidden learning rate (docs/method.md H.1), and where that is looked up."""

from __future__ import annotations

import math

from engine.spec.guided import GUIDED
from engine.spec.table import ID_SD

_SPECTRAL = "spectral"
"""The way in that standardises its vectors: its rows have no length of their own."""
_GUIDED = frozenset(str(each.model_fields["kind"].default) for each in GUIDED)
"""Ways in that leave vectors aside: the table is an ID table, whose entries' deviation is theirs."""


def given_row_length(
    setting: float | str | None,
    *,
    init: str | None,
    init_sd: float | None,
    inject: str | None,
    inject_sd: float | None,
    width: int,
) -> float | None:
    """Root mean square length as the settings give it; None where rows are as they come, under `spectral`, and of a
    model without a table (width 0).

    setting: `table.row_length`. init, inject: kinds of `table.init` and `table.inject`; init_sd, inject_sd: their
    `id_sd`, where they have one.
    """
    if inject == _SPECTRAL or width == 0:
        return None
    if isinstance(setting, int | float):
        return float(setting)
    if inject in _GUIDED:
        return (ID_SD if inject_sd is None else inject_sd) * math.sqrt(width)
    if init == "id":
        return (ID_SD if init_sd is None else init_sd) * math.sqrt(width)
    return ID_SD * math.sqrt(width) if setting == "id" else None


def initial_row_length(
    *,
    inject: str | None,
    measured: float | None,
    given: float | None,
    mean: float | None,
    cv: float | None,
) -> float | None:
    """As the run measured it, else as the settings give it, else, of a run of an earlier version, from the norms of
    its table with this mean and coefficient of variation; None where nothing tells, or under `spectral`."""
    if inject == _SPECTRAL:
        return None
    if measured is not None or given is not None:
        return given if measured is None else measured
    return None if mean is None else mean * math.sqrt(1 + (cv or 0.0) ** 2)
