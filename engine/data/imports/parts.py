"""Which files to read: the one named, the only one of a folder, or the three of a data set that is split already."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from engine.errors import UserError
from engine.places import PART_NAMES, PARTS, is_table

_PART = re.compile(rf"(?:(?P<whole>.+)[._-])?(?P<part>{'|'.join(PART_NAMES)})(?P<ending>(?:\.\w+)+)", re.IGNORECASE)
_NUMBERED = re.compile(r"(?P<whole>.+?)[._-](?:part|fold|phase|split)?[._-]?\d+(?P<ending>(?:\.[a-z]\w*)+)")


def files_of(source: Path) -> list[Path]:
    """One file, or those of train, valid and test. Raises UserError where it is not clear which, where a part is
    missing, and where the whole lies beside its parts."""
    folder = source if source.is_dir() else source.parent
    splits = _splits(folder)
    if not source.is_dir():
        if not source.is_file():
            raise UserError(f"{source}: no such file")
        match = _PART.fullmatch(source.name)
        key = (match["whole"] or "", match["ending"]) if match else None
        return _complete(folder, splits[key]) if key in splits else [source]
    readable = [file for file in sorted(folder.iterdir()) if file.is_file() and is_table(file)]
    split_files = {file for parts in splits.values() for file in parts.values()}
    whole = [file for file in readable if file not in split_files]
    if len(splits) == 1:
        ((name, ending), parts) = next(iter(splits.items()))
        unsplit = [file for file in whole if file.name == f"{name}{ending}"]
        if unsplit:
            raise UserError(
                f"{folder}: holds {unsplit[0].name} and, split already, {_listed(parts)}; name one file, "
                f"{_first(parts).name} for the given split"
            )
        return _complete(folder, parts)
    inters = [file for file in whole if ".inter" in file.suffixes]
    choices = [_first(parts) for parts in splits.values()] or inters or whole
    if len(choices) != 1:
        names = ", ".join(file.name for file in choices[:4])
        numbered = [match for file in choices if (match := _NUMBERED.fullmatch(file.name)) is not None]
        split = ""
        if len(numbered) == len(choices) > 1 and len({(match["whole"], match["ending"]) for match in numbered}) == 1:
            stem, ending = numbered[0]["whole"], numbered[0]["ending"]
            split = f"; parts of a split are called {', '.join(f'{stem}.{part}{ending}' for part in PARTS)}"
        raise UserError(
            f"{source}: holds {len(choices)} files that could be meant ({names}); name one{split}"
            if choices
            else f"{source}: holds no file of interactions; name one"
        )
    return choices


def _splits(folder: Path) -> dict[tuple[str, str], dict[str, Path]]:
    """Files by part, of each (whole, ending) that has two parts or more."""
    groups: dict[tuple[str, str], dict[str, Path]] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _PART.fullmatch(file.name)
        if match is None or not file.is_file() or not is_table(file):
            continue
        parts = groups.setdefault((match["whole"] or "", match["ending"]), {})
        part = PART_NAMES[match["part"].lower()]
        if part in parts:
            raise UserError(f"{folder}: {parts[part].name} and {file.name} could each be the part for {part}; keep one")
        parts[part] = file
    return {key: parts for key, parts in groups.items() if len(parts) > 1}


def _complete(folder: Path, parts: Mapping[str, Path]) -> list[Path]:
    missing = [part for part in PARTS if part not in parts]
    if missing:
        raise UserError(
            f"{folder}: {_listed(parts)} are parts of one split, and the one for {missing[0]} is missing; make it of "
            "some of the others' lines, or join all in one file of another name, which is then split anew"
        )
    return [parts[part] for part in PARTS]


def _first(parts: Mapping[str, Path]) -> Path:
    return next(parts[part] for part in PARTS if part in parts)


def _listed(parts: Mapping[str, Path]) -> str:
    return ", ".join(parts[part].name for part in PARTS if part in parts)
