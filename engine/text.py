"""Text from data made fit to be shown: what names, logs and files hold must not steer a terminal, break a line of
JSON or make a picture unreadable.

A floor below everything, as reports and both fronts need it.
"""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Control and direction characters, halves of characters, and line ends that only some programs take for one."""


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE or ord(character) & 0xFFFE == 0xFFFE  # which no XML may hold


@lru_cache(4096)
def printable(text: str) -> str:
    """The text on one line; control and direction characters, which would steer a terminal, are shown as �."""
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_unsafe(c) else c for c in text)


def printable_lines(text: str) -> str:
    """The same for text of several lines: line ends and tabs stay."""
    if text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines.split("\n"))


def single_line(text: object, most: int = 2000) -> str:
    """What an error says, on one line of a bearable length: some repeat what a file of a megabyte held."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= most else f"{line[: most - 20]} ... (cut off)"


def shell_line(words: Iterable[str]) -> str:
    """A command for a shell, on one line whatever the words hold: control and direction characters by their bytes, as
    bash and zsh read them ($'a\\012b')."""
    return " ".join(word_ if (word_ := shlex.quote(word)) == printable(word_) else _in_bytes(word) for word in words)


def _in_bytes(word: str) -> str:
    pieces = []
    for character in word:
        if _is_unsafe(character):
            pieces += [f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape")]
        else:
            pieces.append(f"\\{character}" if character in "\\'" else character)
    return f"$'{''.join(pieces)}'"


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON in which people can read every letter, and control and direction characters are escapes (\\u202e)."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, default=str)
    return re.sub(r"[^\n -~]", lambda found: json.dumps(found[0])[1:-1] if _is_unsafe(found[0]) else found[0], text)
