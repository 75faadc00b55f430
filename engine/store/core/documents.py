"""Documents as the columns hold them, which a hand or a failing disk may have changed."""

from __future__ import annotations

import re
from typing import Any

from engine.bounds import parse_json
from engine.errors import UserError

_UNFIT = re.compile(
    r"(?<!\\)((?:\\\\)*)(?:\\u0000|\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f][0-9a-f]{2})"
    r"|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2})",
    re.IGNORECASE,
)


def fit_for_postgres(text: str) -> str:
    """JSON without zeros and halves of characters, for which PostgreSQL refuses every question about a document."""
    return _UNFIT.sub(r"\1\\ufffd", text) if "\\u" in text else text


class DamagedDocument(dict[str, Any]):
    """In place of a stored document that cannot be read: empty, and whoever asks for a part of it is told so."""

    def __missing__(self, name: str) -> Any:
        raise UserError("a document of the run in the database is damaged; `tfllmer runs` tells which run it is")


def document(stored: object) -> Any:
    """A JSON column as it was stored; a DamagedDocument where it is none."""
    if isinstance(stored, dict | list):  # a database that knows JSON has decoded it
        return stored
    try:
        value = parse_json(stored, finite=True) if isinstance(stored, str) else None
    except ValueError:
        return DamagedDocument()
    return value if isinstance(value, dict | list) else DamagedDocument()
