"""Ids as text: what is none, and two spellings of one."""

from __future__ import annotations

from collections.abc import Iterable

from engine.data.text import BLANKS

MISSING = ("nan", "NaN", "NaT", "None", "null", "NULL", "<NA>")
"""What programs write in place of an id that is missing."""


def bare(name: str) -> str:
    """An id without what programs add to it or take from it: blanks and quotes around it, a decimal point behind a
    whole number, zeros before it, upper case."""
    word = name.strip(BLANKS)
    if word[:2] in ("b'", 'b"') and word[-1:] == word[1]:
        word = word[1:]
    word = word.strip("\"'")
    if word.endswith(".0") and word[:-2].lstrip("-").isdigit():
        word = word[:-2]
    return word.lstrip("0").casefold() or "0"


def spelled_otherwise(name: str, ids: Iterable[str]) -> str:
    """How a message goes on that missed an id, where another spelling of it is among `ids`; nothing where there is
    none."""
    spelling = bare(name)
    other = next((each for each in ids if bare(each) == spelling), None)
    return "" if other is None else f" (there is {other[:40]!r}: write an id in one way)"
