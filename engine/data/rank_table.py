"""A table of ranks or scores that another program wrote: its columns by what they hold, its ids by their place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.bounds import one_line
from engine.data.arrays import IntArray
from engine.data.imports.columns import NAMES
from engine.data.imports.sources import read_source
from engine.data.split_folder import Places
from engine.errors import UserError, nearest

HELD_OUT = ("valid", "test")
_WITHOUT_HEADER = (".parquet", ".jsonl", ".ndjson", ".json")
_COLUMNS = {
    "user": NAMES["user"],
    "item": NAMES["item"],
    "rank": ("rank", "ranks", "position"),
    "score": ("score", "scores", "prediction", "predicted", "rating"),
    "split": ("split", "part", "set"),
}


@dataclass(frozen=True)
class RankTable:
    """A file's columns by their role."""

    path: Path
    frame: pl.DataFrame
    columns: dict[str, str]

    @classmethod
    def read(cls, path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> RankTable:
        """Raises UserError where a column is missing or two could be meant."""
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        frame = read_source(path, "table", ()).frame
        columns = {}
        for role in (*required, *optional):
            names = [name for name in frame.columns if name.lower() in _COLUMNS[role]]
            if len(names) > 1:
                raise UserError(f"{path}: {' and '.join(names)} could both be the {role}; rename one")
            if names:
                columns[role] = names[0]
            elif role in required:
                header = ", ".join(frame.columns)
                raise UserError(f"{path}: has no column {role}; there are {header}. Name it so in the first line")
        if frame.height == 0:
            raise UserError(f"{path}: has no line behind the names of its columns")
        return cls(path, frame, columns)

    def fail(self, row: int | np.integer[Any], what: str) -> NoReturn:
        place = f"row {int(row) + 1}" if self.path.suffix in _WITHOUT_HEADER else f"line {int(row) + 2}"
        raise UserError(f"{self.path}: {place}: {what}")

    def cell(self, row: int | np.integer[Any], role: str) -> str:
        return str(self.frame[self.columns[role]][int(row)])

    def places(self, role: str, known: Places) -> IntArray:
        """[lines] the places of ids. Raises UserError at one that there is none of."""
        with one_line(f"{self.path}: column {self.columns[role]} holds no ids"):
            ids = self.frame[self.columns[role]].cast(pl.String).fill_null("").str.strip_chars()
        unique = ids.unique(maintain_order=True).to_list()
        place_of = {each: known.find(each) for each in unique}
        for each, place in place_of.items():
            if place is None:
                row = int((ids == each).arg_max() or 0)
                hint = nearest(each, list(known.by_id)) if len(known.by_id) < 1000 else ""
                hint = hint if "did you mean" in hint else ""
                self.fail(row, f"{role} {each!r} is not in the split{hint}")
        return ids.replace_strict(place_of, return_dtype=pl.Int64).to_numpy()

    def numbers(self, role: str) -> npt.NDArray[np.float64]:
        """[lines]. Raises UserError at what is no number."""
        column = self.frame[self.columns[role]]
        with one_line(f"{self.path}: column {self.columns[role]} holds no numbers"):
            values = column.cast(pl.Float64, strict=False)
        bad = values.is_null() | values.is_nan()
        if bad.any():
            row = int(bad.arg_max() or 0)
            self.fail(row, f"{role} {column[row]!r} is no number")
        return values.to_numpy()

    def parts(self) -> npt.NDArray[np.str_]:
        """[lines] valid or test."""
        if "split" not in self.columns:
            return np.full(self.frame.height, "test")
        parts = np.array([str(each).strip().lower() for each in self.frame[self.columns["split"]]])
        if (wrong := np.flatnonzero(~np.isin(parts, HELD_OUT))).size:
            self.fail(wrong[0], f"split {str(parts[wrong[0]])!r} is neither valid nor test")
        return parts
