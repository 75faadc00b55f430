"""Files that are there completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` when the block ends well, and
    goes when it does not. Links are followed; a device or a pipe is written to directly. Raises
    UserError where the file cannot be written."""
    target = path.resolve()
    if target.is_dir():
        raise UserError(f"{path}: is a folder; name a file in it")
    direct = target.exists() and not target.is_file()
    beside = target if direct else target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield beside
        if not direct:
            beside.replace(target)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {(error.strerror or str(error)).lower()}") from error
    finally:
        if not direct:
            beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write the text as UTF-8 (see `replacing`)."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
