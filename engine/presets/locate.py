"""Where data sets and vectors lie: folders under $TFLLMER_DATA, or given as paths."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from engine.errors import UserError, nearest
from engine.files import path_of
from engine.places import (
    PART_NAMES,
    PARTS,
    VECTOR_SUFFIXES,
    atomic_file,
    data_roots,
    inter_name,
    is_table,
    list_datasets,
    list_vectors,
    part_files,
)
from engine.spec import file_fingerprint
from engine.text import shell_line


def find_dataset(name_or_path: str) -> Path:
    """The folder of a data set, by name under $TFLLMER_DATA or as a path (the folder, or its .inter file).

    Raises UserError that names the roots searched and the data sets there, and where the folder holds two data sets
    of that name.
    """
    known = dict(list_datasets())
    if name_or_path in known:
        _require_one_reading(known[name_or_path], name_or_path)
        return known[name_or_path]
    path = path_of(name_or_path)
    if path.exists() or inter_name(path.name) is not None:
        dataset_name(path)
        return (path if path.is_dir() else path.parent).resolve()
    if os.sep in name_or_path:
        raise UserError(f"--dataset {name_or_path}: no such folder")
    raise UserError(f"--dataset {name_or_path}: no data set {name_or_path!r}{_searched(name_or_path, list(known))}")


def _imported(kind: str, file: Path) -> str:
    """The command for a file in another form."""
    return f"`{shell_line(['tfllmer', kind, 'import', str(file)])}` reads other forms"


def _searched(name: str, names: list[str]) -> str:
    close = nearest(name, ["demo", *names])
    hint = close if "did you mean" in close else ""
    roots = data_roots()
    if not roots:
        return (
            f"{hint}, and TFLLMER_DATA is not set: export TFLLMER_DATA=/path/to/data "
            f"(the folder that holds {name}/{name}.inter), give the folder itself, or use demo"
        )
    where = os.pathsep.join(f"{root}" if root.is_dir() else f"{root} (no such folder)" for root in roots)
    return f" under TFLLMER_DATA={where}{hint}; there are {', '.join(['demo', *names])}"


def is_path(name_or_path: str) -> bool:
    """Whether `find_dataset` takes it for a path (a name under $TFLLMER_DATA comes first)."""
    return name_or_path not in dict(list_datasets()) and (
        os.sep in name_or_path or inter_name(name_or_path) is not None or Path(name_or_path).is_dir()
    )


def dataset_name(path: Path) -> str:
    """NAME of the NAME.inter (.gz, .zip) at `path` (a folder, or the file). Raises UserError where it is not clear."""
    named = inter_name(path.name)
    if named is not None and not path.is_dir():
        if not path.is_file():
            raise UserError(f"--dataset {path}: no such file")
        atomic_file(path.parent, named, "inter")
        _require_whole(path.parent, named)
        return named
    if path.is_file():
        raise UserError(f"--dataset {path}: not a NAME.inter; {_imported('data', path)}")
    if not path.is_dir():
        raise UserError(f"--dataset {path}: no such folder")
    names = sorted({name for file in path.glob("*.inter*") if (name := inter_name(file.name)) is not None})
    own = path.resolve().name
    whole = [name for name in names if not _is_part(path, name)]
    chosen = own if own in names else whole[0] if len(whole) == 1 else None
    if chosen is not None:
        atomic_file(path, chosen, "inter")
        _require_one_reading(path, chosen)
        return chosen
    for name in names if not whole else ():
        _require_whole(path, name)
    if not names:
        way = f"; {_imported('data', path)}" if any(map(is_table, path.iterdir())) else ""
        raise UserError(f"--dataset {path}: no NAME.inter in this folder (RecBole atomic files){way}")
    raise UserError(f"--dataset {path}: several data sets ({', '.join(names)}); name one as {path}/{names[0]}.inter")


def _is_part(folder: Path, name: str) -> bool:
    """Whether NAME is WHOLE.train, say, beside WHOLE.test."""
    whole, dot, part = name.rpartition(".")
    return bool(dot) and part in PART_NAMES and len(part_files(folder, whole)) > 1


def _require_whole(folder: Path, name: str) -> None:
    """Raises UserError where NAME.inter is one part of a data set that is split already."""
    if _is_part(folder, name):
        whole = name.rpartition(".")[0]
        parts = part_files(folder, whole)
        do = f"`{shell_line(['tfllmer', 'data', 'import', str(folder)])}` makes one data set of it that keeps the split"
        if len(parts) < len(PARTS):
            do = (
                "one of train, valid and test is missing: make it of some of the others' lines, or join all in one file"
            )
        raise UserError(f"--dataset {folder}: {whole} is split already ({_listed(parts)}); {do}")


def _require_one_reading(folder: Path, name: str) -> None:
    """Raises UserError where the folder holds a data set both whole and split. Only the file's own path says which."""
    parts = part_files(folder, name)
    if parts:
        whole = atomic_file(folder, name, "inter")
        raise UserError(
            f"--dataset {folder}: holds {whole.name} and, split already, {_listed(parts)}; --dataset {whole} takes the "
            f"first and splits it anew, `tfllmer data import {parts[0]} --name {name}-split` keeps the given split"
        )


def _listed(files: Iterable[Path]) -> str:
    return ", ".join(file.name for file in files)


def find_vectors(folder: Path, dataset: str, source: str) -> Path:
    """The file of vectors, by name beside the data set or as a path. Raises UserError that lists what there is."""
    if os.sep in source or source.endswith(VECTOR_SUFFIXES):
        file = path_of(source)
        if not file.is_file():
            raise UserError(f"--embedding {source}: no such file")
        if file.suffix not in VECTOR_SUFFIXES:
            raise _no_vectors(source)
        return file.resolve()
    sources = list_vectors(folder, dataset)
    if source not in sources:
        if path_of(source).is_file():
            raise _no_vectors(source)
        hint = nearest(source, sources) if sources else f"; put them at {folder / dataset}.{source}.npy"
        raise UserError(f"--embedding {source}: no such vectors in {folder}{hint}")
    if len(sources[source]) > 1:
        names = " and ".join(file.name for file in sources[source])
        raise UserError(f"--embedding {source}: {names} both match in {folder}; give the path of one")
    return sources[source][0].resolve()


def _no_vectors(source: str) -> UserError:
    endings = ", ".join(VECTOR_SUFFIXES)
    return UserError(f"--embedding {source}: not a file ending in {endings}; {_imported('vectors', path_of(source))}")


def fingerprint_of(files: Iterable[Path]) -> str:
    """`spec.file_fingerprint` of the files, measured once for each state of them."""
    states = [(file, file.stat()) for file in files]
    return _measure(tuple((file, s.st_dev, s.st_ino, s.st_mtime_ns, s.st_size) for file, s in states))


@lru_cache(maxsize=256)
def _measure(states: tuple[tuple[Path, int, int, int, int], ...]) -> str:
    return file_fingerprint(file for file, *_ in states)
