"""The one place from which the program writes to a terminal, or to what stands in its place.

Text of files, names and runs may hold characters that steer a terminal: colours, titles, a cursor that goes back over
what was said, letters that run the other way. Whatever is printed passes here and has them shown as �. Nothing else in
the fronts prints; `tests/test_house.py` holds it. Logs are cleaned where they are shown, not where they are
written.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from tfllmer_tui.view.ascii import lacks_unicode

if TYPE_CHECKING:
    from rich.console import Console


def put(text: object = "", end: str = "\n") -> None:
    """Text on stdout, at once."""
    _write(sys.stdout, f"{text}{end}")


def say(text: object, end: str = "\n") -> None:
    """Text for a person, beside the output."""
    _write(sys.stderr, f"{text}{end}")


def _write(stream: TextIO, text: str) -> None:
    from engine.text import printable_lines  # here: a page of help imports nothing

    stream.write(printable_lines(text))
    stream.flush()


def hand_out(data: str | bytes) -> None:
    """Text or bytes on stdout as they are: only what was asked for raw, or is no text."""
    sys.stdout.flush()
    if isinstance(data, str):
        sys.stdout.write(data)
    else:
        sys.stdout.buffer.write(data)
    sys.stdout.flush()


def draws(*, stderr: bool = False) -> bool:
    """Whether the stream is a terminal on which pictures can be redrawn."""
    stream = sys.stderr if stderr else sys.stdout
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def is_plain() -> bool:
    """Whether screens, which are drawn on stderr, have to do without most characters."""
    return sys.__stderr__ is not None and lacks_unicode(sys.__stderr__)


def terminal(**options: Any) -> Console:
    """A console of Rich whose text is cleaned; its own control codes are not text. Strings are no markup."""
    from tfllmer_tui.view.clean_console import CleanConsole

    return CleanConsole(**({"markup": False, "highlight": False, "emoji": False} | options))
