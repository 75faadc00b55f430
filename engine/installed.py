"""What installed packages bring to this program: entry points of groups that begin with `tfllmer.`.

Most places have none, and to find that out with `importlib.metadata`, which imports `email`, takes longer than to look
through its files for such a group. So that comes first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PREFIX = "tfllmer."
_ABOUT = (".dist-info", ".egg-info")  # in capitals too, as the library takes them


def entries(group: str) -> Sequence[EntryPoint]:
    """The entry points of a group, by name."""
    if not any_entries():
        return ()
    from importlib.metadata import entry_points

    return sorted(entry_points(group=group), key=lambda entry: entry.name)


def any_entries() -> bool:
    """Whether a package may bring anything. Where one could be that is not a folder on the path (an archive, what an
    import hook knows), the answer is yes."""
    if any(hasattr(finder, "find_distributions") for finder in sys.meta_path if finder is not PathFinder):
        return True
    return any(_may_bring(place, _changed(place)) for place in dict.fromkeys(sys.path))


def _changed(place: str) -> int | None:
    """When a folder's list of names has changed last; None where there is nothing."""
    try:
        return Path(place).stat().st_mtime_ns
    except OSError:
        return None


@lru_cache(maxsize=256)
def _may_bring(place: str, changed: int | None) -> bool:
    if changed is None:
        return False
    folder = Path(place)
    if folder.suffix == ".egg" or not folder.is_dir():
        return True
    try:
        about = [each for each in folder.iterdir() if each.suffix.lower() in _ABOUT]
    except OSError:
        return False
    return any(map(_names_a_group, about))


def _names_a_group(about: Path) -> bool:
    try:
        return f"[{PREFIX}".encode() in (about / "entry_points.txt").read_bytes()
    except OSError:
        return False
