"""Interactions as people have them -> NAME.inter: tables, pairs, sequences, histories, given splits.

Everything is read as text; what is written is read by `engine.data.atomic`. A file appears whole or not at all.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import BaseModel

from engine.data.atomic import read_log
from engine.data.tables import FileTable
from engine.data.text import not_utf8, text_bytes, unpacked
from engine.data.timestamps import parse_times
from engine.errors import UserError, nearest
from engine.files import make_folder, replacing

PARTS = ("train", "valid", "test")
NAMES = {
    "user": ("user_id", "user", "userid", "uid", "customer_id", "reviewerid", "session_id"),
    "item": ("item_id", "item", "itemid", "iid", "article_id", "movie_id", "movieid", "asin", "product_id", "items"),
    "time": ("timestamp", "time", "t_dat", "date", "datetime", "ts", "unixreviewtime", "event_time"),
    "rating": ("rating", "overall", "stars", "score"),
}
"""What a table's columns are usually called, in lower case."""
Shape = Literal["auto", "table", "pairs", "sequences"]


class Import(BaseModel):
    """What to read, and where NAME.inter goes. `columns` are those named by the person; `none` is no column."""

    source: str
    folder: str
    name: str
    shape: Shape = "auto"
    columns: dict[str, str] = {}


def import_data(request: Import) -> dict[str, Any]:
    """Write FOLDER/NAME.inter; what was understood, as JSON. Raises UserError with file, line and what to do."""
    source, out = Path(request.source), Path(request.folder) / f"{request.name}.inter"
    if out.exists():
        raise UserError(f"{out}: there is such a data set already; choose another with --name or --output")
    read_as, order, frame = _read(source, request)
    _require_cells(source, frame)
    make_folder(out.parent)
    with replacing(out) as beside:
        types = {name: "float" if name in ("rating", "timestamp") else "token" for name in frame.columns}
        header = "\t".join(f"{name}:{kind}" for name, kind in types.items())
        body = frame.write_csv(None, separator="\t", include_header=False, quote_style="never")
        beside.write_text(f"{header}\n{body}", encoding="utf-8")
    items = _item_file(source)
    if items is not None and not out.with_suffix(".item").exists():
        with replacing(out.with_suffix(".item")) as beside:
            shutil.copyfile(items, beside)
    log = read_log(out.parent, request.name, rated=False)
    return {
        "file": str(out),
        "read_as": read_as,
        "order": order,
        "users": len(log.user_ids),
        "items": len(log.item_ids),
        "interactions": len(log.users),
        "split": None
        if log.parts is None
        else {p: int(n) for p, n in zip(PARTS, np.bincount(log.parts, minlength=3), strict=True)},
    }


def _read(source: Path, request: Import) -> tuple[str, str, pl.DataFrame]:
    """What it was read as, what gives the order, and the table of user_id, item_id and what else there is."""
    if source.is_dir() or source.name.endswith(".inter"):
        return _atomic(source)
    if not source.is_file():
        raise UserError(f"{source}: no such file")
    ending = next((e for e in reversed(source.suffixes) if e not in (".gz", ".zip")), "")
    if ending in (".pkl", ".pickle"):
        raise UserError(f"{source}: a pickle runs code when it is read; save the table as CSV or Parquet")
    if ending == ".parquet":
        return _table(source, pl.read_parquet(io.BytesIO(unpacked(source))), request.columns)
    if ending in (".jsonl", ".ndjson", ".json"):
        try:
            table = pl.read_ndjson(io.BytesIO(text_bytes(source)), infer_schema_length=None)
        except pl.exceptions.PolarsError as error:
            what = str(error).splitlines()[0]
            raise UserError(f"{source}: not one JSON object a line ({what}); write it so") from None
        return _table(source, table, request.columns)
    data = text_bytes(source)
    if (bad := not_utf8(data)) is not None:
        line = data.count(b"\n", 0, bad[0]) + 1
        raise UserError(f"{source}:{line}: {bad[1]}")
    text = data.decode("utf-8")
    shape = request.shape if request.shape != "auto" else _shape(source, text, ending)
    if shape == "table":
        return _table(source, _csv(source, text), request.columns)
    return _lines(source, text, shape)


# ------------------------------------------------------------------------------------ text


def _shape(source: Path, text: str, ending: str) -> Shape:
    """Lines of two words are pairs, lines of different lengths sequences, a line with a separator a table."""
    lines = [line for line in text.split("\n")[:10_000] if line.strip()]
    if not lines:
        raise UserError(f"{source}: the file is empty")
    if ending in (".csv", ".tsv") or any(separator in lines[0] for separator in ",;|"):
        return "table"
    widths = {len(line.split()) for line in lines}
    first = [word.lower().split(":")[0] for word in lines[0].split()]
    if any(word in NAMES["user"] for word in first):
        return "table"
    if widths == {2}:
        return "pairs"
    if len(widths) > 1:
        return "sequences"
    raise UserError(
        f"{source}: every line has {widths.pop()} words: a user and items, or a table without header? "
        "--as sequences reads them as the first, for the second add a header line"
    )


def _lines(source: Path, text: str, shape: Shape) -> tuple[str, str, pl.DataFrame]:
    users: list[str] = []
    items: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) < 2 or (shape == "pairs" and len(words) != 2):
            wanted = "a user and an item" if shape == "pairs" else "a user and its items"
            raise UserError(f"{source}:{number}: {len(words)} words; every line needs {wanted}")
        users += [words[0]] * (len(words) - 1)
        items += words[1:]
    told = "a user and an item a line" if shape == "pairs" else "a user and its items, oldest first, a line"
    return told, "the order of the file", pl.DataFrame({"user_id": users, "item_id": items})


def _csv(source: Path, text: str) -> pl.DataFrame:
    first = text.split("\n", 1)[0]
    separator = max("\t,;|", key=first.count)
    if separator not in first:
        rows: Iterable[list[str]] = (line.split() for line in text.split("\n") if line.strip())
    else:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    kept: list[list[str]] = []
    try:
        for number, row in enumerate(rows, start=1):
            if kept and row and len(row) != len(kept[0]):
                raise UserError(f"{source}:{number}: {len(row)} fields, the header names {len(kept[0])}")
            if row:
                kept.append(row)
    except csv.Error as error:
        raise UserError(f"{source}: {error}; close the quotes") from None
    header = [name.strip().split(":")[0] for name in kept[0]]
    if len(set(header)) != len(header):
        raise UserError(f"{source}:1: a column is named twice in the header ({', '.join(header)}); rename one")
    return pl.DataFrame(kept[1:], schema=dict.fromkeys(header, pl.String), orient="row")


# ------------------------------------------------------------------------------------ tables


def _table(source: Path, table: pl.DataFrame, wanted: dict[str, str]) -> tuple[str, str, pl.DataFrame]:
    fields = {role: _field(source, table, role, wanted.get(role)) for role in NAMES}
    for role in ("user", "item"):
        name = fields[role]
        if name is None:
            raise UserError(
                f"{source}: which column is the {role}? name it with --{role}; there are {', '.join(table.columns)}"
            )
        if table[name].dtype.is_float():
            raise UserError(f"{source}: column {name} holds decimals, and ids are text or whole numbers; write it so")
    user, item, time, rating = (fields[role] for role in NAMES)
    assert user is not None and item is not None
    kept = [name for name in (user, item, time, rating) if name is not None]
    frame = table.select(kept)
    told = "a table"
    if isinstance(frame[item].dtype, pl.List):
        if time is not None or rating is not None:
            raise UserError(f"{source}: column {item} holds lists; --time none --rating none takes them in their order")
        frame = frame.filter(pl.col(item).list.len() > 0).explode(item)
        told = "a user and its items, oldest first, a row"
    frame = frame.rename({user: "user_id", item: "item_id"}).with_columns(pl.all().cast(pl.String))
    if time is not None:
        times = parse_times(frame[time].fill_null(""))
        if isinstance(times, int):
            raise UserError(
                f"{source}: row {times + 1}: column {time}: {frame[time][times]!r} is not a time; write seconds or ISO "
                "dates, or go by the order of the file with --time none"
            )
        frame = frame.with_columns(pl.Series("timestamp", times)).select(
            pl.exclude(time) if time != "timestamp" else pl.all()
        )
    if rating is not None:
        frame = frame.rename({rating: "rating"})
    names = [name for name in ("user_id", "item_id", "rating", "timestamp") if name in frame.columns]
    used = ", ".join(f"{role} = {name}" for role, name in fields.items() if name is not None)
    order = "the order of the file" if time is None else f"column {time}"
    return f"{told} ({used})", order, frame.select(names)


def _field(source: Path, table: pl.DataFrame, role: str, wanted: str | None) -> str | None:
    """The column of a role: the one named, the only one with a usual name, or none."""
    if wanted == "none":
        return None
    if wanted is not None:
        if wanted not in table.columns:
            raise UserError(f"{source}: --{role} {wanted}: no such column{nearest(wanted, table.columns)}")
        return wanted
    usual = [name for name in table.columns if name.lower().split(":")[0] in NAMES[role]]
    if len(usual) > 1:
        raise UserError(f"{source}: {' and '.join(usual)} could each be the {role}; choose with --{role}")
    return usual[0] if usual else None


def _require_cells(source: Path, frame: pl.DataFrame) -> None:
    """Raises UserError for an id that is empty or would break its line."""
    if not frame.height:
        raise UserError(f"{source}: holds no interactions")
    for name in ("user_id", "item_id"):
        bad = (frame[name].is_null() | (frame[name] == "") | frame[name].str.contains("[\t\n\r]")).arg_true()
        if len(bad):
            raise UserError(f"{source}: row {bad[0] + 1}: {name} is empty or holds a tab or a line end; fill it in")


# ------------------------------------------------------------------------------------ atomic files


def _item_file(source: Path) -> Path | None:
    """The .item beside atomic files."""
    if not (source.is_dir() or source.name.endswith(".inter")):
        return None
    files = sorted((source if source.is_dir() else source.parent).glob("*.item"))
    return files[0] if len(files) == 1 else None


def _atomic(source: Path) -> tuple[str, str, pl.DataFrame]:
    folder = source if source.is_dir() else source.parent
    stem = source.name.removesuffix(".inter")
    names = sorted({f.name.split(".")[0] for p in PARTS for f in folder.glob(f"*.{p}.inter")})
    whole = stem.rpartition(".")[0] if stem.rpartition(".")[2] in PARTS else None
    if source.is_dir() or whole:
        whole = whole or (names[0] if len(names) == 1 else None)
        files = [folder / f"{whole}.{part}.inter" for part in PARTS]
        if whole and all(file.is_file() for file in files):
            return _parts(files)
        if names:
            raise UserError(f"{source}: needs NAME.train.inter, NAME.valid.inter and NAME.test.inter of one NAME")
        single = sorted(folder.glob("*.inter"))
        if len(single) != 1:
            raise UserError(f"{source}: holds {len(single)} files ending in .inter; name one")
        source = single[0]
    return _parts([source])


def _parts(files: Sequence[Path]) -> tuple[str, str, pl.DataFrame]:
    """One file of histories, or the three of a given split, of interactions or of histories."""
    tables = [FileTable.read(file, required=("user_id", "item_id")) for file in files]
    listed = ["item_id_list" in table.types for table in tables]
    split = len(files) > 1
    if not split and not listed[0]:
        raise UserError(f"{files[0]}: is an atomic file of interactions already; give its folder to --dataset")
    if any(listed) and not all(listed):
        raise UserError(f"{files[listed.index(False)]}: has no item_id_list, others have; make all of one kind")
    told = "histories and the item that follows" if listed[0] else "interactions"
    order = "the histories"
    if listed[0]:
        frame = _joined(tables)
    else:
        timed = all("timestamp" in table.types for table in tables)
        order = "field timestamp" if timed else "the order of the files"
        kept = ["user_id", "item_id", *(["timestamp"] if timed else [])]
        frames = [
            table.frame.select(kept).with_columns(split=pl.lit(part)) for table, part in zip(tables, PARTS, strict=True)
        ]
        frame = pl.concat(frames)
    return (f"{told}, split already" if split else told), order, frame if split else frame.drop("split")


def _joined(tables: Sequence[FileTable]) -> pl.DataFrame:
    """Interactions of rows (user, history, next item). A history repeats what came before, or its end where it was cut
    off; rows of a user come shortest first or longest first."""
    rows: dict[str, list[list[tuple[list[str], str]]]] = {}
    for number, table in enumerate(tables):
        for user, history, item in table.frame.select("user_id", "item_id_list", "item_id").iter_rows():
            rows.setdefault(user, [[] for _ in tables])[number].append((history.split(), item))
    out: list[tuple[str, str, str]] = []
    for user, parts in rows.items():
        joined = _sequence(parts)
        if joined is None:
            joined = _sequence([list(reversed(part)) for part in parts])
        if joined is None:
            raise UserError(
                f"{tables[0].path}: user {user}: its histories do not continue one another; "
                "give every session a user id of its own"
            )
        out += [(user, item, PARTS[part]) for item, part in joined]
    return pl.DataFrame(out, schema=["user_id", "item_id", "split"], orient="row")


def _sequence(parts: Sequence[Sequence[tuple[list[str], str]]]) -> list[tuple[str, int]] | None:
    """Items with the part that each belongs to; None where a history is not the end of what came before."""
    items: list[str] = []
    of: list[int] = []
    for number, part in enumerate(parts):
        for history, item in part:
            if not items:
                items, of = list(history), [number] * len(history)
            elif not history or items[-len(history) :] != history:
                return None
            items.append(item)
            of.append(number)
    return list(zip(items, of, strict=True))
