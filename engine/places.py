"""Where presets and data sets lie, from the names of files alone.

A floor below presets and specification, so it costs nothing to import: the completion of a command line asks here.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import engine

# ------------------------------------------------------------------------------------ presets


@lru_cache(maxsize=1)
def _shipped() -> Path:
    package = Path(engine.__file__).parent
    inside = package / "configs"  # in a wheel; beside the packages in a checkout
    return inside if inside.is_dir() else package.parent / "configs"


def _overlay() -> Path | None:
    here = Path("configs")
    return here if here.is_dir() and here.resolve() != _shipped().resolve() else None


def files_of(kind: str) -> dict[str, Path]:
    """Name -> file; a file of the working folder replaces the shipped one of its name."""
    roots = [_shipped(), overlay] if (overlay := _overlay()) else [_shipped()]
    return {file.stem: file for root in roots for file in (root / kind).glob("*.yaml")}


def label_of(file: Path) -> str:
    """How messages call a file: shipped ones `configs/...`, those of the working folder `./configs/...`."""
    if file.is_relative_to(_shipped()):
        return f"configs/{file.relative_to(_shipped())}"
    return f"./{file}"


# ------------------------------------------------------------------------------------ data sets


def data_roots() -> list[Path]:
    """The folders named in $TFLLMER_DATA, in its order."""
    return [Path(root).expanduser() for root in os.environ.get("TFLLMER_DATA", "").split(os.pathsep) if root]


def list_datasets() -> list[tuple[str, Path]]:
    """(name, folder) of every ROOT/NAME/NAME.inter, by name; an earlier root hides a later one."""
    found: dict[str, Path] = {}
    for root in data_roots():
        for file in root.glob("*/*.inter"):
            if file.stem == file.parent.name:
                found.setdefault(file.stem, file.parent.resolve())
    return sorted(found.items())
