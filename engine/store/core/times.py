"""Times as the columns hold them: without a zone, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""In place of a stored time that is none, or of a year that no calendar on a screen goes to."""


def time_text(at: datetime) -> str:
    """An aware time as a column holds it."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def stored_time(value: object) -> datetime:
    """A time as a column holds it; NEVER where it is none. Whether one is there is for SQL to say."""
    try:
        at = datetime.fromisoformat(str(value)).replace(tzinfo=UTC)
    except ValueError:
        return NEVER
    return at if NEVER.year <= at.year < 9999 else NEVER
