"""The file: a zip of the runs' own small files, and `archive.json`, which names each with its checksum.

    archive.json                     format, version, who made it, studies, runs, files {name: {bytes, sha256}}
    runs/RUN/spec.json               the specification
    runs/RUN/spool.jsonl             curves, facts, provenance, result, last word (`engine.spool`)
    runs/RUN/store.json              tags, notes, study, command, changes of status
    runs/RUN/ranks.safetensors       ranks of every user's held-out items
    runs/RUN/top.safetensors         top lists of test users
    runs/RUN/code.diff               changes of the code that were not committed
    splits/DATA.parquet              users with their held-out items, by the identity of the data
    splits/DATA.items.parquet        items with their popularity
    studies/STUDY.json               the cells of a study

The bytes depend on the runs alone: members are in order, their times are those of no day. Nothing in it is executed or
unpickled. Names lead nowhere but where this list says, sizes are bounded before anything is unpacked, and every byte
is compared with its checksum.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.bounds import RATIO, SMALL, parse_json
from engine.errors import UserError
from engine.files import replacing
from engine.records.decoding import mapping, text, whole

FORMAT, VERSION = "tfllmer archive", 1
MANIFEST = "archive.json"
RUN_FILES = ("spec.json", "spool.jsonl", "store.json", "ranks.safetensors", "top.safetensors", "code.diff")
REQUIRED = RUN_FILES[:3]
ULID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"

_RUN = re.compile(rf"runs/({ULID})/({'|'.join(map(re.escape, RUN_FILES))})")
_SHARED = re.compile(r"splits/[0-9a-f]{8,64}(\.items)?\.parquet|studies/[^/\\\0]{1,220}\.json")
_ABOUT = "Finished work of tfllmer, without checkpoints. `tfllmer import archive FILE` brings it into a store."
_MEMBERS = 200_000
_STORED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NO_DAY = (1980, 1, 1, 0, 0, 0)


def write_archive(path: Path, made_by: str, about: Mapping[str, Any], members: Iterable[tuple[str, bytes]]) -> None:
    """Write members, in the order of their names, and what is known `about` them, whole or not at all. Raises
    UserError."""
    files: dict[str, dict[str, Any]] = {}
    with replacing(path) as scratch, zipfile.ZipFile(scratch, "w") as archive:
        for name, data in members:
            files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            _put(archive, name, data)
        head = {"format": FORMAT, "version": VERSION, "about": _ABOUT, "made_by": made_by}
        _put(archive, MANIFEST, (json.dumps({**head, **about, "files": files}, indent=1) + "\n").encode())


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _NO_DAY)
    entry.create_system, entry.external_attr = 3, 0o100644 << 16
    archive.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)


@dataclass(frozen=True)
class Archive:
    """An open archive whose list of contents was read and fits what is there."""

    path: Path
    manifest: Mapping[str, Any]
    files: Mapping[str, tuple[int, str]]
    """(bytes, SHA-256) by name."""
    _zip: zipfile.ZipFile

    @property
    def run_ids(self) -> list[str]:
        """In order."""
        return sorted({match[1] for match in map(_RUN.fullmatch, self.files) if match})

    def shared(self, folder: str) -> list[str]:
        """Names below `splits` or `studies`."""
        return sorted(name for name in self.files if name.startswith(f"{folder}/"))

    def read(self, name: str) -> bytes:
        """A member, compared with its checksum. Raises UserError."""
        size, digest = self.files[name]
        with _whole(self.path), self._zip.open(name) as file:
            data = file.read(size + 1)
        if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
            raise UserError(f"{self.path}: {name} is not what its checksum says; get the file again")
        return data

    def document(self, name: str) -> dict[str, Any]:
        """A member that is a JSON object. Raises UserError."""
        try:
            document = parse_json(self.read(name))
        except ValueError as error:
            raise UserError(f"{self.path}: {name} cannot be read: {error}") from None
        if not isinstance(document, dict):
            raise UserError(f"{self.path}: {name} cannot be read: it is no object")
        return document


@contextmanager
def reading(path: Path) -> Iterator[Archive]:
    """An archive, looked over before anything of it is used. Raises UserError where it is none, was cut or changed,
    was made by a newer version, or asks for more than honest data would."""
    with _whole(path):
        size = path.stat().st_size
        archive = zipfile.ZipFile(path)
    with archive:
        entries = archive.infolist()
        _check_entries(path, entries, size)
        manifest = _manifest(path, archive)
        files = _files(path, manifest)
        names = {entry.filename for entry in entries} - {MANIFEST}
        if wrong := sorted(names ^ files.keys()):
            raise UserError(f"{path}: {wrong[0]} is {'missing' if wrong[0] in files else 'not listed'}; get it again")
        for entry in entries:
            if entry.filename != MANIFEST and entry.file_size != files[entry.filename][0]:
                raise UserError(f"{path}: {entry.filename} has another size than is listed; get it again")
        opened = Archive(path, manifest, files, archive)
        for run_id in opened.run_ids:
            if lacks := [name for name in REQUIRED if f"runs/{run_id}/{name}" not in files]:
                raise UserError(f"{path}: run {run_id} has no {lacks[0]}")
        yield opened


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """What zip says of a file that is none, or only a part."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UserError(f"{path}: no archive of tfllmer, or not whole ({str(error) or 'it ends early'})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def _check_entries(path: Path, entries: list[zipfile.ZipInfo], size: int) -> None:
    if len(entries) > _MEMBERS:
        raise UserError(f"{path}: {len(entries):,} members, at most {_MEMBERS:,} are read")
    entry_names: set[str] = set()
    for entry in entries:
        name = entry.filename
        if name in entry_names:
            raise UserError(f"{path}: {name!r} is there twice")
        entry_names.add(name)
        if name != MANIFEST and not (_RUN.fullmatch(name) or _SHARED.fullmatch(name)):
            raise UserError(f"{path}: {name!r} is nothing that an archive of tfllmer holds")
        if entry.compress_type not in _STORED or entry.flag_bits & 1:
            raise UserError(f"{path}: {name} is packed or locked in a way that is not read")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > max(SMALL, RATIO * size):
        raise UserError(f"{path}: {size:,} bytes would unpack to {unpacked:,}, which no honest archive does")


def _manifest(path: Path, archive: zipfile.ZipFile) -> Mapping[str, Any]:
    with _whole(path):
        manifest = mapping(parse_json(archive.read(MANIFEST))) if MANIFEST in archive.namelist() else {}
    if manifest.get("format") != FORMAT:
        raise UserError(f"{path}: no archive of tfllmer: it has no {MANIFEST} that says so")
    version = whole(manifest.get("version"))
    if version is None or version < 1:
        raise UserError(f"{path}: its {MANIFEST} names no version")
    if version > VERSION:
        raise UserError(
            f"{path}: was made by a newer tfllmer (format {version}, this one reads {VERSION}); update tfllmer"
        )
    return manifest


def _files(path: Path, manifest: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    files = {}
    for name, about in mapping(manifest.get("files")).items():
        size, digest = whole(mapping(about).get("bytes")), text(mapping(about).get("sha256"))
        if size is None or digest is None:
            raise UserError(f"{path}: its {MANIFEST} has no size or checksum of {name}")
        files[name] = size, digest
    return files
