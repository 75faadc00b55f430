"""A split as files that any program reads, and the checks that ranks made on it need.

split.json    what the split is of, its checksum, and the other files with theirs
users.csv     user_id,valid_item_id,test_item_id: in the order of the rows of a matrix of scores
items.csv     item_id,interactions (of training): in the order of its columns
training.csv  user_id,item_id and, where there is a clock, timestamp: oldest first
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from engine import spec
from engine.bounds import read_json
from engine.data.dataset import Dataset, load_dataset
from engine.data.split import Split, split_dataset
from engine.errors import UserError
from engine.files import replacing_folder, write_text

FORMAT, VERSION = "tfllmer split", 1
ABOUT = "split.json"
_MEANING = (
    "Train on training.csv. A validation target follows a user's training items, a test target these and the "
    "validation item. `tfllmer import ranks` and `tfllmer import scores` take what is made on it."
)


class FileMark(BaseModel):
    """One file of the folder."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    bytes: int
    sha256: str


class AboutSplit(BaseModel):
    """What `split.json` says."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    format: str
    version: int
    data: dict[str, Any]
    overrides: dict[str, Any] = {}
    """Settings of the data that were changed by hand, by dotted name."""
    split_checksum: str
    users: int
    items: int
    users_sha256: str
    items_sha256: str
    files: dict[str, FileMark]

    def problem_with(self, dataset: Dataset, split: Split) -> str | None:
        """What of it is not that of this data set; None where all is the same."""
        ours = _marks(dataset, split)
        names = {"users_sha256": "users", "items_sha256": "items", "split_checksum": "split"}
        wrong = [what for name, what in names.items() if getattr(self, name) != ours[name]]
        return f"its {' and '.join(wrong)} are not those of {dataset.name} here" if wrong else None


class SplitExport(BaseModel):
    """What to write, and where."""

    experiment: str
    """A specification as JSON, of which the data are read."""
    overrides: dict[str, Any]
    folder: str


def export_split(request: SplitExport) -> dict[str, Any]:
    """Write the split, whole or not at all; its sizes and checksum, as JSON. Raises UserError where the folder is there
    already."""
    folder, data = Path(request.folder), spec.from_json(request.experiment).data
    if folder.exists():
        raise UserError(f"{folder}: is there already; choose another --output")
    dataset = load_dataset(data)
    split = split_dataset(dataset, data)
    known = _marks(dataset, split) | {"users": len(dataset.user_ids), "items": len(dataset.item_ids)}
    with replacing_folder(folder) as scratch:
        tables = _tables(dataset, split)
        for name, table in tables.items():
            table.write_csv(scratch / name)
        about = {
            "format": FORMAT,
            "version": VERSION,
            "about": _MEANING,
            "data": data.model_dump(mode="json", by_alias=True),
            "overrides": request.overrides,
            **known,
            "files": {name: mark_of(scratch / name).model_dump() for name in tables},
        }
        write_text(scratch / ABOUT, json.dumps(about, indent=1) + "\n")
    return {"folder": str(folder), "name": dataset.name, **known, "tests": int((split.test >= 0).sum())}


def _tables(dataset: Dataset, split: Split) -> dict[str, pl.DataFrame]:
    ids = np.array([*dataset.item_ids, None], dtype=object)  # index -1 is None
    users: dict[str, Iterable[str | None]] = {"user_id": dataset.user_ids}
    users |= {"valid_item_id": ids[split.valid], "test_item_id": ids[split.test]}
    popularity = np.bincount(split.train.items, minlength=len(dataset.item_ids))
    owners = np.repeat(np.arange(len(split.train)), np.diff(split.train.offsets))
    train = {"user_id": np.array(dataset.user_ids, dtype=object)[owners], "item_id": ids[split.train.items]}
    times = {} if split.train.times is None else {"timestamp": split.train.times}
    return {
        "users.csv": pl.DataFrame({n: pl.Series(list(v), dtype=pl.String) for n, v in users.items()}),
        "items.csv": pl.DataFrame({"item_id": dataset.item_ids, "interactions": popularity}),
        "training.csv": pl.DataFrame({n: pl.Series(list(v), dtype=pl.String) for n, v in train.items()} | times),
    }


def read_about(path: Path) -> AboutSplit:
    """What the folder (or its `split.json`) says; its other files are compared with their checksums. Raises UserError
    where it is no such folder, was changed, or a newer version made it."""
    file = path / ABOUT if path.is_dir() else path
    try:
        about = AboutSplit.model_validate(read_json(file))
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (ValidationError, ValueError):
        raise UserError(f"{file}: is not what `tfllmer export split` writes; make it anew") from None
    if about.format != FORMAT or about.version < 1:
        raise UserError(f"{file}: is not what `tfllmer export split` writes; make it anew")
    if about.version > VERSION:
        raise UserError(f"{file}: a newer tfllmer made it (format {about.version}); update tfllmer")
    for name, mark in about.files.items():
        listed_file = file.parent / Path(name).name
        if listed_file.is_file() and mark_of(listed_file) != mark:
            raise UserError(f"{listed_file}: was changed since `tfllmer export split` wrote it; make the folder anew")
    return about


def mark_of(path: Path) -> FileMark:
    """Size and checksum of a file."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileMark(bytes=path.stat().st_size, sha256=digest)


def _marks(dataset: Dataset, split: Split) -> dict[str, str]:
    return {
        "split_checksum": split.checksum(),
        "users_sha256": _digest(dataset.user_ids),
        "items_sha256": _digest(dataset.item_ids),
    }


def _digest(ids: Sequence[str]) -> str:
    """Of the ids in their order."""
    return hashlib.sha256(json.dumps(list(ids), ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Places:
    """Users or items by id."""

    by_id: dict[str, int]

    @classmethod
    def of(cls, ids: Sequence[str]) -> Places:
        return cls({each: place for place, each in enumerate(ids)})

    def find(self, name: str) -> int | None:
        """The place of an id; also behind the mark that `tfllmer export` puts before what a spreadsheet would run."""
        place = self.by_id.get(name)
        return self.by_id.get(name[1:]) if place is None and name.startswith("'") else place
