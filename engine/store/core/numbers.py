"""Numbers as the columns of points hold them: those that are not finite as the spool writes them."""

from __future__ import annotations

from math import nan

from engine.spool import decode_number


def stored_number(stored: object) -> float:
    """A number as a column of points holds it; nan where something else was put there."""
    try:
        return decode_number(stored)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return nan
