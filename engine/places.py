"""Where presets and data sets lie, from the names of files alone.

A floor below presets and specification, so it costs nothing to import: the completion of a command line asks here.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import engine
from engine.errors import UserError

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
    files: dict[str, Path] = {}
    for folder in (root / kind for root in roots):
        with suppress(OSError), os.scandir(folder) as entries:  # an overlay has few kinds
            names = [entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml")]
            files.update({name: folder / f"{name}.yaml" for name in names if name})
    return files


def label_of(file: Path) -> str:
    """How messages call a file: shipped ones `configs/...`, those of the working folder `./configs/...`."""
    if file.is_relative_to(_shipped()):
        return f"configs/{file.relative_to(_shipped())}"
    return f"./{file}"


# ------------------------------------------------------------------------------------ data sets

PACKED = ("", ".gz", ".zip")
"""How an atomic file may be packed, by what stands behind its ending."""
PARTS = ("train", "valid", "test")
PART_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev", "eval", "evaluation"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What the parts of a data set that is split already are called, in file names and in fields."""


TABLE_SUFFIXES = (".inter", ".csv", ".tsv", ".txt", ".dat", ".data", ".json", ".jsonl", ".ndjson", ".parquet")
"""Files that `tfllmer data import` reads, packed or not."""


def is_table(file: Path) -> bool:
    """Whether a file is called like one of interactions."""
    endings = [ending for ending in file.suffixes if ending.lower() not in PACKED]
    return bool(endings) and endings[-1].lower() in TABLE_SUFFIXES


def data_roots() -> list[Path]:
    """The folders named in $TFLLMER_DATA, in its order. Raises UserError for what can be no folder."""
    roots = os.environ.get("TFLLMER_DATA", "")
    try:
        return [Path(root).expanduser() for root in roots.split(os.pathsep) if root]
    except RuntimeError:
        raise UserError(f"$TFLLMER_DATA: {roots}: there is no such user") from None


def list_datasets() -> list[tuple[str, Path]]:
    """(name, folder) of every ROOT/NAME/NAME.inter, by name; an earlier root hides a later one."""
    folders: dict[str, Path] = {}
    for root in data_roots():
        for file in root.glob("*/*.inter*"):
            if inter_name(file.name) == file.parent.name:
                folders.setdefault(file.parent.name, file.parent.resolve())
    return sorted(folders.items())


def inter_name(file: str) -> str | None:
    """NAME of NAME.inter, NAME.inter.gz or NAME.inter.zip; None for another file."""
    for packed in PACKED:
        if file.endswith(f".inter{packed}") and not file.startswith("."):
            return file.removesuffix(f".inter{packed}")
    return None


def atomic_file(folder: Path, name: str, ending: str) -> Path:
    """NAME.ENDING of the folder, or the packed one; the plain name where there is neither.

    Raises UserError where there are several: they may differ."""
    files = [file for packed in PACKED if (file := folder / f"{name}.{ending}{packed}").is_file()]
    if len(files) > 1:
        raise UserError(f"{files[0]}: {files[1].name} lies beside it, and either could be meant; keep one of them")
    return files[0] if files else folder / f"{name}.{ending}"


def part_files(folder: Path, name: str) -> list[Path]:
    """NAME.train.inter, NAME.valid.inter, ... of a data set that is split already, as many as there are."""
    files = [atomic_file(folder, f"{name}.{part}", "inter") for part in PART_NAMES]
    return [file for file in files if file.is_file()]


# ------------------------------------------------------------------------------------ vectors

VECTOR_SUFFIXES = (".npy", ".npz", ".parquet", ".safetensors")


def list_vectors(folder: Path, dataset: str) -> dict[str, list[Path]]:
    """Name of the source -> its files `DATASET.SOURCE.npy` (or another of VECTOR_SUFFIXES) beside the data set."""
    sources: dict[str, list[Path]] = {}
    for file in sorted(folder.glob(f"{dataset}.*")):
        if file.suffix in VECTOR_SUFFIXES:
            sources.setdefault(vectors_name(file, dataset), []).append(file)
    return sources


def vectors_name(file: Path, dataset: str) -> str:
    """The source's name: `minilm-l6` for `ml-100k.minilm-l6.npy`, the stem for other files."""
    return file.stem.removeprefix(f"{dataset}.")
