"""The importer: what to read, and the files that are written of it."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel

from engine.data.atomic import read_log
from engine.data.histories import Row, joined
from engine.data.imports.columns import ImportedRows, rows_of
from engine.data.imports.parts import files_of
from engine.data.imports.sources import Shape, read_source
from engine.data.text import text_bytes
from engine.errors import UserError
from engine.files import make_folder, replacing
from engine.places import PART_NAMES, PARTS, atomic_file, inter_name, part_files


class Import(BaseModel):
    """What to read, and where NAME.inter goes. `columns` are those named by the person, by role (`none` is no column);
    `texts` the columns of the items' text; `header` names the columns of a file without a line for them."""

    source: str
    folder: str
    name: str
    shape: Shape = "auto"
    columns: dict[str, str] = {}
    texts: list[str] = []
    header: list[str] = []


def import_data(request: Import) -> dict[str, Any]:
    """Write FOLDER/NAME.inter, and NAME.item where there is text of the items; what was understood, as JSON. Raises
    UserError with file, line and what to do."""
    source, folder = Path(request.source), Path(request.folder)
    if request.name in ("", ".", "..") or Path(request.name).name != request.name:
        raise UserError(f"{request.name!r} is no name of a data set; choose one with --name, its folder with --output")
    if request.name == "demo":
        raise UserError("demo is the name of the generated data set; choose another with --name or --output")
    out = atomic_file(folder, request.name, "inter")
    if out.exists():
        raise UserError(f"{out}: there is such a data set already; choose another with --name or --output")
    if parts := part_files(folder, request.name):
        raise UserError(f"{out}: {parts[0].name} lies beside it, and either could be meant; choose another --output")
    files = files_of(source)
    tables = [read_source(file, request.shape, request.header) for file in files]
    rows = _merged(files, [rows_of(t, request.columns, request.texts, is_part=len(files) > 1) for t in tables])
    is_atomic = tables[0].is_atomic and {"user_id", "item_id"} <= set(tables[0].frame.columns)
    if is_atomic and len(files) == 1 and rows.form == "a table" and not request.columns:
        raise UserError(f"{files[0]}: is an atomic file of interactions already; give its folder to --dataset")
    _require_cells(files[0], rows.frame)
    items, note = _items(files[0], rows, by_name=not request.texts)
    present = atomic_file(folder, request.name, "item")
    if present.is_file():
        items, note = text_bytes(present), f"of {present.name}, which is there already"
    with tempfile.TemporaryDirectory() as scratch:
        written = {"inter": _atomic(rows.frame.drop([f"text:{name}" for name in rows.texts]))}
        written |= {} if items is None else {"item": items}
        for ending, content in written.items():
            Path(scratch, f"{request.name}.{ending}").write_bytes(content)
        try:
            log = read_log(Path(scratch), request.name, rated=False)
        except UserError as error:
            raise UserError(str(error).replace(scratch, str(folder))) from None
    make_folder(folder)
    for ending, content in written.items():
        target = folder / f"{request.name}.{ending}"
        if ending == "inter" or not present.is_file():
            with replacing(target) as file:
                file.write_bytes(content)
    return {
        "file": str(out),
        "read_as": rows.form,
        "order": rows.order,
        "users": len(log.user_ids),
        "items": len(log.item_ids),
        "interactions": len(log.users),
        "text": note,
        "split": None
        if log.parts is None
        else {p: int(n) for p, n in zip(PARTS, np.bincount(log.parts, minlength=3), strict=True)},
    }


def _atomic(frame: pl.DataFrame) -> bytes:
    kinds = {name: "float" if name in ("rating", "timestamp") else "token" for name in frame.columns}
    header = "\t".join(f"{name}:{kind}" for name, kind in kinds.items())
    body = frame.write_csv(None, separator="\t", include_header=False, quote_style="never")
    return f"{header}\n{body}".encode()


def _require_cells(source: Path, frame: pl.DataFrame) -> None:
    """Raises UserError for an id that is empty or would break its line."""
    if not frame.height:
        raise UserError(f"{source}: holds no interactions")
    for name in ("user_id", "item_id"):
        bad = (frame[name].is_null() | (frame[name] == "") | frame[name].str.contains("[\t\n\r]")).arg_true()
        if len(bad):
            raise UserError(f"{source}: row {bad[0] + 1}: {name} is empty or holds a tab or a line end; fill it in")


# ------------------------------------------------------------------------------------ parts


def _merged(files: Sequence[Path], parts: Sequence[ImportedRows]) -> ImportedRows:
    """The rows of one file, or those of train, valid and test with the part that each belongs to."""
    first = parts[0]
    for file, part in zip(files, parts, strict=True):
        if set(part.frame.columns) != set(first.frame.columns):
            more = sorted(set(part.frame.columns) ^ set(first.frame.columns))
            raise UserError(f"{file}: has other columns than {files[0].name} ({', '.join(more)}); make all of one kind")
    is_split = len(parts) > 1
    form = f"{first.form.replace('a table', 'interactions')}, split already" if is_split else first.form
    if "history" in first.frame.columns:
        return ImportedRows(_continued(files, parts), (), form, first.order)
    order = first.order.replace("the file", "the files") if is_split else first.order
    if not is_split:
        return ImportedRows(_with_names(first.frame), first.texts, form, order)
    frames = [p.frame.select(first.frame.columns) for p in parts]
    has_times = "timestamp" in first.frame.columns  # without, what somebody took again looks like a copy
    for one, other in itertools.permutations(range(len(PARTS)), 2):
        if one > other and not has_times:
            continue
        if not frames[one].join(frames[other], on=frames[other].columns, how="anti", nulls_equal=True).height:
            raise UserError(
                f"{files[other]}: holds every row of {files[one].name} again; leave them out, so that a row belongs to "
                "one part"
            )
    frame = pl.concat([frame.with_columns(split=pl.lit(part)) for frame, part in zip(frames, PARTS, strict=True)])
    return ImportedRows(frame, first.texts, form, order)


def _with_names(frame: pl.DataFrame) -> pl.DataFrame:
    """Parts by their usual names."""
    return frame.with_columns(pl.col("split").replace(PART_NAMES)) if "split" in frame.columns else frame


def _continued(files: Sequence[Path], parts: Sequence[ImportedRows]) -> pl.DataFrame:
    interactions, broken = joined([_histories(part) for part in parts])
    if broken is not None:
        own = [(history, item) for part in parts for user, history, item in _histories(part) if user == broken]
        examples = "; ".join(f"{' '.join(history[-3:])[:40]} and then {item[:20]}" for history, item in own[:3])
        raise UserError(
            f"{files[0]}: user {broken}: its histories do not continue one another ({examples}); give every session a "
            "user id of its own, and part the items of a history by blanks, oldest first"
        )
    frame = pl.DataFrame(interactions, schema=["user_id", "item_id", "split"], orient="row")
    if len(parts) == 1:
        return frame.drop("split")
    return frame.with_columns(pl.col("split").replace_strict(dict(enumerate(PARTS))))


def _histories(part: ImportedRows) -> Iterator[Row]:
    return part.frame.select("user_id", "history", "item_id").iter_rows()


# ------------------------------------------------------------------------------------ text of the items


def _items(source: Path, rows: ImportedRows, *, by_name: bool) -> tuple[bytes | None, str | None]:
    """NAME.item, and what is to be said of it: a copy of the one beside atomic files, or made of the columns of text.
    A column that nobody named is taken only where it says one thing of every item."""
    name = inter_name(source.name)
    if name is not None:
        whole, _, part = name.rpartition(".")
        item_file = atomic_file(source.parent, whole if part in PART_NAMES else name, "item")
        return (text_bytes(item_file), f"of {item_file.name}") if item_file.is_file() else (None, None)
    if not rows.texts:
        return None, None
    columns = [f"text:{text}" for text in rows.texts]
    texts = rows.frame.select("item_id", *(pl.col(c).fill_null("").str.replace_all(r"\s+", " ") for c in columns))
    named = {c: c.removeprefix("text:").replace(":", " ").strip() for c in columns}
    per_item = texts.group_by("item_id", maintain_order=True)
    several = per_item.agg(pl.col(c).filter(pl.col(c) != "").n_unique() for c in columns)
    n_several = several.filter(pl.any_horizontal(pl.col(c) > 1 for c in columns)).height
    columns_said = ", ".join(rows.texts)
    counted = f"{n_several} item{'s' if n_several != 1 else ''}"
    if n_several and by_name:
        return None, f"none: column {columns_said} says several things of {counted} (--text takes the first)"
    first = per_item.agg(pl.col(c).filter(pl.col(c) != "").first() for c in columns).with_columns(
        pl.col(c).fill_null("") for c in columns
    )
    header = "\t".join(["item_id:token", *(f"{name}:token_seq" for name in named.values())])
    body = first.write_csv(None, separator="\t", include_header=False, quote_style="never")
    more = f", the first of several for {counted}" if n_several else ""
    return f"{header}\n{body}".encode(), f"of column {columns_said}{more}"
