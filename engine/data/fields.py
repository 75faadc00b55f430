"""Fields of .inter that could be read in two ways: what gives the order, what says the part of a split, histories.

Each is found by its name and its content, or asked for; none is passed over in silence.
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from engine import spec
from engine.data.arrays import IntArray
from engine.data.histories import continues
from engine.data.tables import FileTable
from engine.data.timestamps import CLOCK, mixed_kinds, parse_times
from engine.errors import UserError, nearest
from engine.places import PART_NAMES, PARTS

_TIME_NAMES = ("timestamp", "time", "date", "datetime", "ts", "t", "t_dat", "day", "epoch", "when")
_LIKE_A_TIME = re.compile(r"time|date|epoch|(^|_)(ts|dat|day|created|at|when|unix)($|_)", re.IGNORECASE)
_LIKE_A_PLACE = re.compile(r"^(order|position|pos|rank|index|idx|step|seq|sequence|nth|turn)(_?(id|no|nr|number))?$")
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = rf"(?i)^\D{{0,12}}\d{{1,4}}[-/. ]+(\d{{1,2}}|{_MONTHS})[a-z]*[-/., ]+\d{{2,4}}|\b({_MONTHS})[a-z]*\b.*\d"
"""A date in a form that `parse_times` does not take: its order of day, month and year may be any."""
_LIKE_A_HISTORY = re.compile(r"hist|list|seq|prefix|past|previous|items", re.IGNORECASE)
_SAMPLE = 2_000
"""Rows by which a history is told from other lists of words."""


# ------------------------------------------------------------------------------------ order


def time_field(
    table: FileTable, wanted: str | None, users: IntArray, option: str = "--set data.columns.timestamp="
) -> str | None:
    """The field that gives the order: the one asked for; None for the order of the file. Raises UserError where
    another field than the one of the usual name could change the order; `option` is how a person names it."""
    if wanted is None or wanted in table.types:
        return wanted
    if wanted != spec.FieldNames().timestamp:
        known = nearest(wanted, table.types)
        raise UserError(f"{table.path}:1: data.columns.timestamp={wanted}: no such field in the header{known}")
    for name in table.types:
        if (reason := _asks(table, name, users, option)) is not None:
            raise UserError(
                f"{table.path}:1: no field timestamp, but {name} {reason}{option}none goes by the file's lines"
            )
    return None


def times_of(table: FileTable, name: str) -> IntArray:
    """The field as whole numbers in their order. Raises UserError with the line of what is no time."""
    parsed = parse_times(table.column(name))
    if isinstance(parsed, int):
        table.fail(parsed, name, f"{table.shown(parsed, name)} is not a time",
                   "write seconds as a number, or an ISO date; without clock times leave the column out")  # fmt: skip
    if (rows := mixed_kinds(table.column(name))) is not None:
        row, other = rows
        table.fail(row, name, f"{table.shown(row, name)} and {table.shown(other, name)} (line {other + 2}) are not "
                   "times of one kind", "write all in seconds, or all as dates with time and zone")  # fmt: skip
    return parsed


def _asks(table: FileTable, name: str, users: IntArray, option: str) -> str | None:
    """Why a field may be the one that gives the order, and what to do; None where it is not, or changes nothing."""
    bare = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    as_place = bool(_LIKE_A_PLACE.match(bare))
    if not (as_place or _LIKE_A_TIME.search(bare)):
        return None
    times = parse_times(table.column(name))
    if isinstance(times, int):
        return None if as_place else _unread(table, name, times, is_named=bare in _TIME_NAMES)
    by_it = f"and would change the order; {option}{name} goes by it, "
    if as_place:
        return f"looks like a place in the order {by_it}" if _are_places(times, users) else None
    is_time = bare in _TIME_NAMES or times.min() > CLOCK
    return f"looks like one {by_it}" if is_time and _reorders(times, users) else None


def _unread(table: FileTable, name: str, row: int, *, is_named: bool) -> str | None:
    """What is to be said of a field that looks like a time by its name, and whose cell in that row is none."""
    column = table.column(name)
    cells = column.filter(column.str.strip_chars() != "")
    if not len(cells):
        return None
    times = parse_times(cells)
    if not isinstance(times, int):
        is_time = is_named or times.min() > CLOCK
        return f"looks like one and is empty in line {row + 2}; fill it in, or " if is_time else None
    if not bool(cells.head(_SAMPLE).str.contains(_DATE).all()):
        return None
    form = f"is written in a form that is not read here ({table.shown(row, name)})"
    return f"looks like one, and {form}: write ISO dates or seconds, or "


def _reorders(times: IntArray, users: IntArray) -> bool:
    return not np.array_equal(np.lexsort((times, users)), np.argsort(users, kind="stable"))


def _are_places(places: IntArray, users: IntArray) -> bool:
    """Whether no user has a place twice, and the file's order is another."""
    order = np.lexsort((places, users))
    same = (np.diff(users[order]) == 0) & (np.diff(places[order]) == 0)
    return not same.any() and _reorders(places, users)


# ------------------------------------------------------------------------------------ a given split


def part_field(table: FileTable, others: tuple[str | None, ...]) -> str | None:
    """The field that says of every interaction whether it is for training, validation or test: one named `split`, or
    any other that says nothing else. `others` are read as something else. Raises UserError where `split` says so of
    some, and where two fields do."""
    fields = [name for name in table.types if name not in others and _parts_in(table, name)]
    if len(fields) > 1:
        raise UserError(f"{table.path}:1: {' and '.join(fields)} each say which part of a split a line is of; keep one")
    if fields or "split" not in table.types or "split" in others:
        return fields[0] if fields else None
    values = table.column("split").str.to_lowercase()
    strange = (~values.is_in(list(PART_NAMES))).arg_true()
    if 0 < len(strange) < len(values):
        row = int(strange[0])
        table.fail(row, "split", f"{table.shown(row, 'split')} is none of {', '.join(PARTS)}, others are",
                   "name the part of every line, or leave the column out")  # fmt: skip
    return None


def parts_of(table: FileTable, name: str) -> IntArray:
    """0, 1, 2 for train, valid, test."""
    numbers = {word: PARTS.index(part) for word, part in PART_NAMES.items()}
    parts: IntArray = table.column(name).str.to_lowercase().replace_strict(numbers, return_dtype=pl.Int64).to_numpy()
    return parts


def _parts_in(table: FileTable, name: str) -> bool:
    column = table.column(name)
    if not len(column) or column[0].lower() not in PART_NAMES:  # nearly every field
        return False
    values = set(column.str.to_lowercase().unique())
    return values <= set(PART_NAMES) and (name == "split" or "train" in {PART_NAMES[v] for v in values} != {"train"})


# ------------------------------------------------------------------------------------ histories


def require_interactions(table: FileTable, user_id: str, item_id: str) -> None:
    """Raises UserError for rows of a history and the item that follows it."""
    for name, kind in table.types.items():
        base = name.removesuffix("_list")
        named = kind == "token_seq" and base != name and (base in table.types or base == item_id)
        if named or (name not in (user_id, item_id) and _is_history(table, name, user_id, item_id)):
            option = "" if base == item_id else f" --history {name}"
            raise UserError(
                f"{table.path}:1: field {name}: rows of a history and the item that follows it, not interactions; "
                f"`tfllmer data import {table.path}{option}` makes interactions of them"
            )


def _is_history(table: FileTable, name: str, user_id: str, item_id: str) -> bool:
    """Whether the field holds items alone, and every user's rows go on from one another."""
    if not _LIKE_A_HISTORY.search(name) or table.types[name].startswith("float"):
        return False
    words = table.column(name).head(_SAMPLE).str.split(" ")
    items = table.column(item_id)
    inside = words.explode().drop_nulls()
    inside = inside.filter(inside != "")
    if not len(inside) or not bool(inside.is_in(items.unique().to_list()).all()):
        return False
    rows = zip(table.column(user_id).head(_SAMPLE), words.to_list(), items.head(_SAMPLE), strict=True)
    return continues((user, [word for word in history if word], item) for user, history, item in rows)
