"""Files that the screens write, with the way back: what a file held before is there again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import UserError
from engine.files import StoreAddress
from tfllmer_tui.tui.undo import ActionOutcome


def written(files: Sequence[Path], write: Callable[[], object], command: str = "") -> ActionOutcome:
    """Write files by `write`, and say which. Undone, each holds what it held before; one that was not there is gone."""
    files = [file.absolute() for file in files]
    before = {file: file.read_bytes() if file.is_file() else None for file in files}
    write()
    after = {file: file.read_bytes() for file in files}
    replaced = [file for file in files if before[file] not in (None, after[file])]
    names = ", ".join(file.name for file in files)

    def undo(path: StoreAddress | None) -> str:
        for file in files:
            if not file.is_file() or file.read_bytes() != after[file]:
                raise UserError(f"{file.name}: was changed meanwhile, so it is left as it is")
        for file, content in before.items():
            if content is None:
                file.unlink()
            else:
                _write_back(file, content)
        return f"{names} as before" if replaced else f"{names} gone again"

    said = f"{names} written" + (f", over {'an older one' if len(replaced) == 1 else 'older ones'}" if replaced else "")
    said += "; u brings it back" if replaced else ""
    return ActionOutcome(said, undo if before != after else None, command)


def _write_back(file: Path, content: bytes) -> None:
    from engine.files import write_bytes

    write_bytes(file, content)
