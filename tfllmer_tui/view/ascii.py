"""What stands for the characters that a terminal lacks: one for one, so that no column moves, and so that the marks of
two states stay two marks."""

from __future__ import annotations

import codecs
import io
import os
import unicodedata
from collections.abc import Mapping
from typing import TextIO

STAND_INS: Mapping[str, str] = {
    **dict(zip("✓✗●◌·■○", "vx*~.#o", strict=True)),  # states; the mark of a lost run is a ? itself
    **dict(zip("□▌█▲•×»°▸◂↻", "_|#^*x>^><@", strict=True)),
    **dict(zip("▁▂▃▄▅▆▇", "_.,-=+%", strict=True)),
    **dict(zip("─━┄│┃", "-=-||", strict=True)),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯", "+"),
    **dict(zip("↑↓←→", "^v<>", strict=True)),
    **dict(zip("–—−…±≤≥∞“”‘’", "---.~<>8\"\"''", strict=True)),
    **dict(zip("λκτσμαβδΔΣ∇²³⁶⁻ᵀ√", "lktsmabdDSV236-Tv", strict=True)),
}
"""Characters of ours."""
_HANDLER = "tfllmer.stand-ins"
_C_LOCALES = ("C", "POSIX")


def stand_in(char: str) -> str:
    """In ASCII, as many columns wide: letters without their accents, `?` for what has no like."""
    if char in STAND_INS:
        return STAND_INS[char]
    if "\u2801" <= char <= "\u28ff":  # braille, by its dots
        return ":" if (ord(char) - 0x2800).bit_count() > 2 else "."
    plain = unicodedata.normalize("NFKD", char)[:1]
    if plain.isascii() and plain.isprintable() and plain:
        return plain
    wide = unicodedata.east_asian_width(char) in "WF"
    return "??" if wide else "" if unicodedata.combining(char) else "?"


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(stand_in, error.object[error.start : error.end])), error.end


codecs.register_error(_HANDLER, _replaced)


def lacks_unicode(stream: TextIO) -> bool:
    """Whether text that goes there has to do without most characters."""
    return not (stream.encoding or "").lower().replace("_", "-").startswith("utf")


def use_stand_ins(stream: TextIO, environment: Mapping[str, str] = os.environ) -> None:
    """Write what the stream's encoding lacks by its stand-in. In a terminal whose locale a person has set to C, that
    is all but ASCII: Python would write UTF-8 all the same."""
    if isinstance(stream, io.TextIOWrapper):
        locale = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "")
        encoding = "ascii" if locale in _C_LOCALES and stream.isatty() else None
        stream.reconfigure(encoding=encoding, errors=_HANDLER)
