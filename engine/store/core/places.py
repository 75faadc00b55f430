"""Where a database has the folders of its runs, and that no two databases share them.

`experiments.files` beside `experiments.db`. A file in it names the database whose it is, since another name in the same
folder (`experiments.sqlite`) or a link would lead to it as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from engine.errors import UserError
from engine.files import make_folder, write_text
from engine.spool import RunFolder

MARKER = "database.txt"
"""In the folder of runs: the absolute path of their database."""
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


def files_of(path: Path) -> Path:
    """The folder beside a database that holds one folder per run."""
    return path.with_suffix(".files")


def run_folders(files: Path) -> Iterator[RunFolder]:
    """The folders in it that bear the id of a run, in no order."""
    with suppress(OSError), os.scandir(files) as entries:
        for entry in entries:
            if _ULID.fullmatch(entry.name) and entry.is_dir():
                yield RunFolder(files / entry.name)


def holds_runs(path: Path) -> bool:
    """Whether there are runs of a database, whether it is there or not."""
    return any(folder.spec.exists() for folder in run_folders(files_of(path)))


def lost_database(path: Path) -> str:
    """What to say where runs are there and their database is not."""
    files = files_of(path)
    owner = _named(files)
    of = f" of {owner}" if owner is not None and owner != path else ""
    return (
        f"{path}: holds nothing or is gone, but {files} has runs{of}; `tfllmer db rebuild` makes the database anew from"
        " them, `tfllmer db restore BACKUP` from a backup, and another --db begins a new one"
    )


def check_files(path: Path) -> None:
    """Raises UserError where the folder of runs that goes with this name is another database's, or the database would
    lie among another's runs."""
    owner = _owner(path)
    if owner is not None:
        raise UserError(
            f"{path}: would share {files_of(path)} with {owner}; give one of them another name (all before the last"
            " dot counts)"
        )
    for parent in path.parents:
        if parent.suffix == ".files" and (parent / MARKER).exists():
            raise UserError(f"{path}: lies among the runs of another store; name a place outside {parent}")


def claim_files(path: Path) -> Path:
    """The folder of the database's runs, made and marked as its own. Raises UserError where it is another's."""
    check_files(path)
    files = make_folder(files_of(path))
    if _named(files) != path:
        with suppress(UserError):  # where it cannot be marked, nothing can be made in it either
            write_text(files / MARKER, f"{path}\n")
    return files


def _owner(path: Path) -> Path | None:
    """The other database whose folder of runs it is; None where it is this one's, or nobody's."""
    files = files_of(path)
    named = _named(files)
    if named is not None:
        return named if named != path and _is_other(named, path, files) else None
    if path.exists() or not files.is_dir():
        return None
    beside = sorted(each for each in path.parent.iterdir() if each != path and files_of(each) == files)
    return next((each for each in beside if _is_other(each, path, files)), None)


def _is_other(other: Path, path: Path, files: Path) -> bool:
    """Whether a file is another database than `path` that has its runs in `files`."""
    try:
        with open(other, "rb") as file:
            is_sqlite = file.read(15) == b"SQLite format 3"
        return (
            is_sqlite
            and not (path.exists() and other.samefile(path))
            and files_of(other).is_dir()
            and files_of(other).samefile(files)
        )
    except OSError:
        return False


def _named(files: Path) -> Path | None:
    """The database that the marker names."""
    try:
        text = (files / MARKER).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Path(text) if text else None


# ------------------------------------------------------------------------------------ what it lies on


def check_disk(path: Path) -> None:
    """Raises UserError where a database in this file would be on a network disk."""
    kind = network_disk(path.parent)
    if kind is not None:
        raise UserError(
            f"{path}: lies on a network disk ({kind}), where processes do not see each other's locks and the file can"
            " be damaged; keep it on a local disk, or on a server: `tfllmer db copy` takes it to"
            " postgresql+psycopg://USER@HOST/NAME"
        )


def network_disk(path: Path) -> str | None:
    """The type of the file system that a path lies on, where that is one over the network, on which several
    hosts do not see each other's locks; else None. What a whole machine lies on is its own."""
    import psutil

    holders = [p for p in psutil.disk_partitions(all=True) if path.resolve().is_relative_to(p.mountpoint)]
    holder = max(holders, key=lambda p: len(p.mountpoint), default=None)
    kind = "" if holder is None or holder.mountpoint == "/" else holder.fstype.lower()
    return kind if kind.startswith(_NETWORK) else None


_NETWORK = (
    *("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p", "ncpfs", "pvfs", "orangefs"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.juicefs", "davfs"),
)
