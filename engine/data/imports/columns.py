"""What a table's columns are: user, item, time, rating, part of a split, history, text of the item."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from engine.data.fields import part_field, time_field
from engine.data.imports.sources import SourceTable
from engine.data.lists import padding_of, separator_of
from engine.data.tables import FileTable
from engine.data.timestamps import mixed_kinds, parse_times
from engine.errors import UserError, nearest

NAMES = {
    "user": ("user_id", "user", "userid", "uid", "customer_id", "reviewerid", "session_id"),
    "item": ("item_id", "item", "itemid", "iid", "article_id", "movie_id", "movieid", "asin", "product_id"),
    "time": ("timestamp", "time", "t_dat", "date", "datetime", "ts", "unixreviewtime", "event_time", "timestamps",
             "times", "timestamp_list", "timestamp_seq", "time_seq"),
    "rating": ("rating", "overall", "stars", "score"),
    "history": ("item_id_list", "item_ids", "items", "item_list", "item_seq", "item_sequence", "sequence", "history",
                "hist", "item_history", "history_items", "his_item_id", "prefix"),
}  # fmt: skip
"""What a table's columns are usually called, in lower case. A history without an item beside it is the whole of it."""
TITLES = ("title", "item_title", "product_title", "movie_title", "item_name", "prod_name", "product_name")
_ATOMIC = {"user": "user_id", "item": "item_id", "time": "timestamp", "rating": "rating", "history": "item_id_list"}
_IDS = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True)
class ImportedRows:
    """Interactions as text: user_id, item_id, and history (lists), rating, timestamp, split where there are such
    columns; `texts` are fields of the item."""

    frame: pl.DataFrame
    texts: tuple[str, ...]
    form: str
    order: str


def rows_of(table: SourceTable, wanted: Mapping[str, str], texts: Sequence[str], *, is_part: bool) -> ImportedRows:
    """Raises UserError where a role has no column or several, and where cells are not what their column is for."""
    roles = {role: _column(table, role, wanted.get(role)) for role in NAMES}
    if roles["item"] is None:
        roles["item"], roles["history"] = roles["history"], None
    elif roles["history"] is None and "history" not in wanted and f"{roles['item']}_list" in table.frame.columns:
        roles["history"] = f"{roles['item']}_list"
    for role in ("user", "item"):
        if roles[role] is None:
            raise UserError(
                f"{table.path}: which column is the {role}? name it with --{role}; there are "
                f"{', '.join(table.frame.columns)} (--header NAMES where no line of the file names them)"
            )
    user, item = str(roles["user"]), str(roles["item"])
    frame = _with_lists(table, roles)
    for name in (user, item, roles["history"]):
        if name is not None:
            _require_ids(table, name, frame[name].dtype, may_be_lists=name != user)
    form = table.form
    padding: str | None = None
    if isinstance(frame[item].dtype, pl.List):
        padding = padding_of(frame[item])
        _require_whole(table, frame, user, item)
        frame, form = _exploded(table, frame, roles), "a user and its items, oldest first, a row"
        frame = frame if padding is None else frame.filter(pl.col(item).cast(pl.String) != padding)
    elif (history := roles["history"]) is not None and (padding := padding_of(frame[history], frame[item])) is not None:
        without_padding = pl.element().filter(pl.element().cast(pl.String) != padding)
        frame = frame.with_columns(pl.col(history).list.eval(without_padding))
    named = {role: name for role, name in roles.items() if name is not None}
    split = _split(table, frame, wanted.get("split"), named) if not is_part else None
    if roles["history"] is not None:
        form, order = "histories and the item that follows", "the histories"
        for role in ("time", "rating"):
            named.pop(role, None)
    else:
        order = "the order of the file" if (time := _time(table, frame, wanted, named)) is None else f"column {time}"
    fields = _texts(table, texts, [*named.values(), *([split] if split else [])])
    columns = [pl.col(user).cast(pl.String).alias("user_id"), pl.col(item).cast(pl.String).alias("item_id")]
    columns += [pl.col(named["history"]).alias("history")] if "history" in named else []
    columns += [pl.lit(_cells(table, frame, named["rating"])).alias("rating")] if "rating" in named else []
    columns += [pl.lit(_times(table, frame, named["time"])).alias("timestamp")] if "time" in named else []
    columns += [pl.col(split).str.to_lowercase().alias("split")] if split else []
    columns += [pl.lit(_words_of(table, frame, name)).alias(f"text:{name}") for name in fields]
    if "rating" in named:
        _require_numbers(table, frame, named["rating"])
    detail = ", ".join(f"{role} = {name}" for role, name in (named | ({"split": split} if split else {})).items())
    detail = "" if table.form != "a table" or (table.is_atomic and "history" not in named) else f" ({detail})"
    detail += "" if padding is None else f", filled up with {padding}, which is no item"
    return ImportedRows(frame.select(columns), tuple(fields), f"{form}{detail}", order)


# ------------------------------------------------------------------------------------ roles


def _column(table: SourceTable, role: str, wanted: str | None) -> str | None:
    """The column of a role: the one named, the only one with a usual name, or none."""
    columns = table.frame.columns
    if wanted == "none":
        return None
    if wanted is not None:
        if wanted not in columns:
            raise UserError(f"{table.path}: --{role} {wanted}: no such column{nearest(wanted, columns)}")
        return wanted
    if table.is_atomic and _ATOMIC[role] in columns:
        return _ATOMIC[role]
    usual = [name for name in columns if name.lower().split(":")[0] in NAMES[role]]
    if len(usual) > 1:
        raise UserError(f"{table.path}: {' and '.join(usual)} could each be the {role}; choose with --{role}")
    return usual[0] if usual else None


def _with_lists(table: SourceTable, roles: Mapping[str, str | None]) -> pl.DataFrame:
    """The frame with histories as lists, also those that a table of text can only write down: 1 2 3, [1, 2, 3]."""
    frame = table.frame
    item, history = roles["item"], roles["history"]
    if history is not None and frame[history].dtype == pl.String:
        words = _words(history, table.is_atomic)
        if table.is_atomic and item is not None and (by := separator_of(frame[history], frame[item])) != " ":
            words = pl.col(history).fill_null("").str.extract_all(rf"[^\s{by}]+")
        frame = frame.with_columns(words)
    if item is not None and frame[item].dtype == pl.String:
        cells = frame[item].drop_nulls()
        as_list = item.lower() in NAMES["history"] and bool(cells.str.contains(r"[\s,]").any())
        if _is_bracketed(cells) or as_list:
            frame = frame.with_columns(_words(item, table.is_atomic))
    if item is not None and isinstance(frame[item].dtype, pl.List):  # others may be written down beside it
        size = frame[item].list.len()
        others = [n for n in frame.columns if frame[n].dtype == pl.String and _is_bracketed(frame[n].drop_nulls())]
        lists = frame.select(_words(name, table.is_atomic) for name in others)
        frame = frame.with_columns(lists[name] for name in others if lists[name].list.len().eq_missing(size).all())
    return frame


def _is_bracketed(cells: pl.Series) -> bool:
    return len(cells) > 0 and bool(cells.str.contains(r"^\s*\[.*\]\s*$").all())


def _words(name: str, is_atomic: bool) -> pl.Expr:
    pattern = r"[^\s]+" if is_atomic else r"[^\s,;|\[\]()'\"]+"
    return pl.col(name).fill_null("").str.extract_all(pattern)


def _require_ids(table: SourceTable, name: str, dtype: pl.DataType, *, may_be_lists: bool) -> None:
    inner = dtype.inner if isinstance(dtype, pl.List) and may_be_lists else dtype
    assert isinstance(inner, pl.DataType)
    is_whole = inner.is_integer() or (isinstance(inner, pl.Decimal) and inner.scale == 0)
    if not (is_whole or inner in _IDS):
        kind = "decimals" if inner.is_float() else f"values of type {inner}"
        raise UserError(f"{table.path}: column {name} holds {kind}, and ids are text or whole numbers; write it so")


def _require_whole(table: SourceTable, frame: pl.DataFrame, user: str, item: str) -> None:
    """Raises UserError where the lists of a user grow or move on by a few items: histories of what comes next."""
    lists = frame.select(pl.col(user).alias("user"), pl.col(item).cast(pl.List(pl.String)).alias("items"))
    several = lists.filter(pl.col("user").is_duplicated() & (pl.col("items").list.len() > 0))
    pairs = several.with_columns(pl.col("items").shift(1).over("user").alias("before")).drop_nulls("before")
    rows = list(pairs.select("items", "before").iter_rows())
    if rows and all(_overlap(before, items) for items, before in rows):
        others = [name for name in frame.columns if name not in (user, item)]
        hint = f"; there are {', '.join(others)}" if others else ""
        raise UserError(
            f"{table.path}: the lists in {item} of user {pairs['user'][0]} repeat one another, as histories of a next "
            f"item do: name the column of the next item with --item{hint}, or keep one list a user"
        )


def _overlap(before: list[str], items: list[str]) -> bool:
    """Whether one list goes on from the other: it begins so, or begins with its end."""
    short, long = sorted((before, items), key=len)
    return long[: len(short)] == short or any(
        before[-size:] == items[:size] or items[-size:] == before[:size]
        for size in range(max(len(short) - 1, 1), len(short))
    )


def _exploded(table: SourceTable, frame: pl.DataFrame, roles: Mapping[str, str | None]) -> pl.DataFrame:
    item = str(roles["item"])
    side_columns = [name for role in ("time", "rating") if (name := roles[role]) is not None]
    single = [name for name in side_columns if not isinstance(frame[name].dtype, pl.List)]
    if single:
        raise UserError(
            f"{table.path}: column {item} holds lists, column {single[0]} one value for each; --time none --rating "
            "none takes the items in their order"
        )
    frame = frame.filter(pl.col(item).list.len() > 0)
    for name in side_columns:
        uneven = (frame[name].list.len() != frame[item].list.len()).arg_true()
        if len(uneven):
            raise UserError(f"{table.path}: row {uneven[0] + 1}: {name} and {item} have lists of different lengths")
    return frame.explode([item, *side_columns, *_along(frame.drop(side_columns), item)])


def _along(frame: pl.DataFrame, item: str) -> list[str]:
    """Other columns of lists that have a value for each item."""
    lists = [name for name, dtype in frame.schema.items() if name != item and isinstance(dtype, pl.List)]
    return [name for name in lists if bool((frame[name].list.len().eq_missing(frame[item].list.len())).all())]


# ------------------------------------------------------------------------------------ time, rating, split, text


def _as_fields(table: SourceTable, frame: pl.DataFrame) -> FileTable:
    """The table as `engine.data.fields` takes it, without lists and what else no text is."""
    others = (pl.Duration, pl.Binary, pl.Object)
    flat = frame.select(name for name, dtype in frame.schema.items() if not dtype.is_nested() and dtype not in others)
    return FileTable(
        table.path, dict.fromkeys(flat.columns, "token"), flat.select(pl.all().cast(pl.String).fill_null(""))
    )


def _time(table: SourceTable, frame: pl.DataFrame, wanted: Mapping[str, str], named: Mapping[str, str]) -> str | None:
    """The column of the time. Raises UserError where an unnamed one would change the order."""
    if "time" in named:
        return named["time"]
    if wanted.get("time") != "none" and frame.height:
        users = frame[named["user"]].cast(pl.String).rank("dense").to_numpy().astype("int64")
        items = frame[named["item"]].cast(pl.String)
        time_field(_as_fields(table, frame), "timestamp", users, items, others=named.values(), option="--time ")
    return None


def _cells(table: SourceTable, frame: pl.DataFrame, name: str) -> pl.Series:
    """A column of one value a row, as text. Raises UserError where it holds something else."""
    dtype = frame[name].dtype
    if dtype.is_nested() or dtype in (pl.Duration, pl.Binary, pl.Object):
        kind = "lists" if isinstance(dtype, pl.List | pl.Array) else f"values of type {dtype}"
        raise UserError(f"{table.path}: column {name} holds {kind}, not one number or text a row; write it so")
    return frame[name].cast(pl.String).fill_null("")


def _words_of(table: SourceTable, frame: pl.DataFrame, name: str) -> pl.Series:
    """A column of text, or of lists of words, as text: `Animation, Comedy`."""
    dtype = frame[name].dtype
    if isinstance(dtype, pl.List) and not dtype.inner.is_nested():
        return frame[name].cast(pl.List(pl.String)).list.drop_nulls().list.join(", ").fill_null("")
    return _cells(table, frame, name)


def _times(table: SourceTable, frame: pl.DataFrame, name: str) -> pl.Series:
    cells = _cells(table, frame, name)
    times = parse_times(cells)
    if isinstance(times, int):
        raise UserError(
            f"{table.path}: row {times + 1}: column {name}: {cells[times]!r} is not a time; write seconds or ISO "
            "dates, or go by the order of the file with --time none"
        )
    if (rows := mixed_kinds(cells)) is not None:
        raise UserError(
            f"{table.path}: row {rows[0] + 1}: column {name}: {cells[rows[0]]!r} and {cells[rows[1]]!r} (row "
            f"{rows[1] + 1}) are not times of one kind; write all in seconds, or all as dates with time and zone"
        )
    return pl.Series(times).cast(pl.String)


def _require_numbers(table: SourceTable, frame: pl.DataFrame, name: str) -> None:
    cells = _cells(table, frame, name)
    bad = (cells.cast(pl.Float64, strict=False).is_null() & (cells != "")).arg_true()
    if len(bad):
        raise UserError(
            f"{table.path}: row {bad[0] + 1}: column {name}: {cells[bad[0]]!r} is not a rating; --rating none leaves "
            "the column out"
        )


def _split(table: SourceTable, frame: pl.DataFrame, wanted: str | None, named: Mapping[str, str]) -> str | None:
    """The column that says train, valid or test of every row."""
    if wanted == "none":
        return None
    if wanted is not None and wanted not in frame.columns:
        raise UserError(f"{table.path}: --split {wanted}: no such column{nearest(wanted, frame.columns)}")
    if wanted is not None:
        frame = frame.select(pl.col(wanted).alias("split"))
    field = part_field(_as_fields(table, frame), tuple(named.values()))
    if wanted is not None and field is None:
        raise UserError(f"{table.path}: --split {wanted}: does not say train, valid or test of every row")
    return wanted if wanted is not None else field


def _texts(table: SourceTable, texts: Sequence[str], used: Sequence[str]) -> list[str]:
    """Columns with the item's text: those named, or the only one with a usual name."""
    if list(texts) == ["none"]:
        return []
    for name in texts:
        if name not in table.frame.columns:
            raise UserError(f"{table.path}: --text {name}: no such column{nearest(name, table.frame.columns)}")
    columns = [name for name in table.frame.columns if name not in used]
    return list(texts) or [name for name in columns if re.split("[:#]", name.lower())[0] in TITLES][:1]
