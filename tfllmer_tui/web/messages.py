"""What a page may say: a few kinds of short messages, checked before anything is done with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from engine.bounds import parse_json

Kind = Literal["stdin", "resize", "ping", "blur", "focus"]
LONGEST = 1 << 18
"""Bytes of a message: what is pasted at once."""
SMALLEST, LARGEST = 1, 1000
"""Columns and lines of a page; a terminal of a million would fill the memory."""


@dataclass(frozen=True)
class PageMessage:
    """`text` is what was typed, or comes back with an answer to a ping."""

    kind: Kind
    text: str = ""
    width: int = 0
    height: int = 0


def parsed(text: str) -> PageMessage:
    """The message. Raises ValueError for anything that no page of ours sends."""
    if len(text) > LONGEST:
        raise ValueError(f"{len(text):,} characters, at most {LONGEST:,} are read")
    content = parse_json(text)
    if not isinstance(content, list) or not 1 <= len(content) <= 2 or content[0] not in get_args(Kind):
        raise ValueError("no message of this page")
    kind, said = content[0], content[1] if len(content) == 2 else None
    if kind == "stdin" and isinstance(said, str):
        said.encode()  # halves of characters are no text
        return PageMessage(kind, said)
    if kind == "resize" and isinstance(said, dict):
        return PageMessage(kind, "", bounded(said.get("width")), bounded(said.get("height")))
    if kind == "ping" and isinstance(said, str | int | float):
        return PageMessage(kind, str(said)[:100])
    if kind in ("blur", "focus"):
        return PageMessage(kind)
    raise ValueError(f"{kind} with something else than it takes")


def bounded(size: object) -> int:
    """A width or height that a terminal may have. Raises ValueError for what is no whole number."""
    if not isinstance(size, int) or isinstance(size, bool):
        raise ValueError("no size")
    return min(max(size, SMALLEST), LARGEST)
