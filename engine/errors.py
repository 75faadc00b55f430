"""Errors that are the user's to mend. A module of its own, so that they cost no import of pydantic."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(Exception):
    """Bad input. Its text is one line: what is wrong, where, and what to do. Exit code 2."""


class RankLostError(Exception):
    """One of the processes that share a run is gone and left no error: killed, most likely. The run can go on from its
    last checkpoint."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The closest known name as " (did you mean X?)", or all of them where none is close."""
    import difflib

    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else f" (there are {', '.join(names)})"
