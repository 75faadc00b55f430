"""Fields of .inter that could be read in two ways: what gives the order, what says the part of a split, histories.

Each is found by its name and its content, or asked for; none is passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
import polars as pl

from engine import spec
from engine.data.arrays import IntArray
from engine.data.histories import continues
from engine.data.lists import padding_of, separator_of
from engine.data.tables import FileTable
from engine.data.timestamps import CLOCK, mixed_kinds, parse_times
from engine.errors import UserError, nearest
from engine.places import PART_NAMES, PARTS

_TIME_NAMES = ("timestamp", "time", "date", "datetime", "ts", "t", "t_dat", "day", "epoch", "when")
_LIKE_A_TIME = re.compile(r"time|date|epoch|(^|_)(ts|dat|day|month|created|at|when|unix)($|_)", re.IGNORECASE)
_LIKE_A_PLACE = re.compile(r"^(order|position|pos|rank|index|idx|step|seq|sequence|nth|turn)(_?(id|no|nr|number))?$")
_LIKE_AN_ID = re.compile(r"(^|_|[a-z])(id|ids|no|nr|number|code|key|hash|phone)$", re.IGNORECASE)
_CLOCKS = tuple((250_000_000 * unit, 4_200_000_000 * unit) for unit in (1, 10**3, 10**6, 10**9))
"""The years 1977 to 2103 in seconds, milliseconds, microseconds, nanoseconds: what whole numbers are by themselves."""
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = (
    rf"(?i)^\D{{0,12}}\d{{1,4}}[-/. ]+(\d{{1,2}}|{_MONTHS})[a-z]*[-/., ]+\d{{2,4}}|\b({_MONTHS})[a-z]*\b.*\d"
    r"|^\d{4}[-/.]\d{1,2}$|^\d{8}T\d{4,6}|^\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[ap]m)?$"
)
"""A date or a time of day in a form that `parse_times` does not take: the order of day, month and year may be any."""
_LIKE_A_HISTORY = re.compile(r"hist|list|seq|prefix|past|previous|items", re.IGNORECASE)
_LIKE_A_PART = re.compile(rf"split|subset|(is|in|for)?_?({'|'.join(PART_NAMES)})_?(set|mask|flag)?", re.IGNORECASE)
_FLAGS = frozenset({"0", "1", "2", "0.0", "1.0", "2.0", "true", "false", "yes", "no", "t", "f", "y", "n"})
_SAMPLE = 2_000
"""Rows by which a history is told from other lists of words."""


# ------------------------------------------------------------------------------------ order


def time_field(
    table: FileTable,
    wanted: str | None,
    users: IntArray,
    items: pl.Series,
    *,
    others: Collection[str | None] = (),
    option: str = "--set data.columns.timestamp=",
) -> str | None:
    """The field that gives the order: the one asked for; None for the order of the file. Raises UserError where
    another field than the one of the usual name could change the order. `others` are read as something else; `option`
    is how a person names a field."""
    if wanted is None or wanted in table.types:
        return wanted
    if wanted != spec.FieldNames().timestamp:
        known = nearest(wanted, table.types)
        raise UserError(f"{table.path}:1: data.columns.timestamp={wanted}: no such field in the header{known}")
    for name in table.types:
        if name in others:
            continue
        reason = _asks(table, name, users, option) or _asks_of_clock(table, name, users, items, option)
        if reason is not None:
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
        lacks = table.column(name)[row].strip() in ("0", "-1")
        do = "fill in what is missing" if lacks else "write all in seconds, or all as dates with time and zone"
        table.fail(row, name, f"{table.shown(row, name)} and {table.shown(other, name)} (line {other + 2}) are not "
                   "times of one kind", do)  # fmt: skip
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


def _asks_of_clock(table: FileTable, name: str, users: IntArray, items: pl.Series, option: str) -> str | None:
    """Why a field of any name may be the one that gives the order: all cells are dates, or clock times of one unit, and
    they are the interaction's, not the item's."""
    column = table.column(name)
    is_date = column.head(1).cast(pl.Float64, strict=False).null_count() == 1
    if isinstance(parse_times(column.head(1)), int) or _LIKE_AN_ID.search(name):
        return None
    if not is_date and not (_are_clock_times(column.head(1)) and _are_clock_times(column)):
        return None
    times = parse_times(column)
    if isinstance(times, int) or not _reorders(times, users) or _are_of_items(column, items):
        return None
    form = "dates" if is_date else "clock times"
    return f"holds {form} and would change the order; {option}{name} goes by it, "


def _are_clock_times(cells: pl.Series) -> bool:
    """Whether all are numbers of the last decades in one unit."""
    numbers = cells.cast(pl.Float64, strict=False)
    return not numbers.null_count() and any(bool(numbers.is_between(*clock).all()) for clock in _CLOCKS)


def _are_of_items(values: pl.Series, items: pl.Series) -> bool:
    """Whether every item has one value, in all of its interactions."""
    pairs = pl.DataFrame({"item": items, "value": values})
    return pairs.n_unique() == items.n_unique() < len(items)


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
    if not fields:
        _require_no_flags(table, others)
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


def _require_no_flags(table: FileTable, others: tuple[str | None, ...]) -> None:
    """Raises UserError for a field whose name says that it parts the lines, as numbers or true and false do."""
    for name in table.types:
        if name in others or _LIKE_A_PART.fullmatch(name) is None:
            continue
        values = set(table.column(name).str.to_lowercase().unique())
        if 1 < len(values) <= len(PARTS) and values <= _FLAGS:
            raise UserError(
                f"{table.path}:1: field {name}: may say which part of a split a line is of, as "
                f"{', '.join(sorted(values))}; write {', '.join(PARTS)} instead, or leave the field out"
            )


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
    cells, items = table.column(name).head(_SAMPLE), table.column(item_id)
    words = cells.str.extract_all(rf"[^\s{separator_of(cells, items)}]+")
    padding = padding_of(words, items)
    history_items = words.explode().drop_nulls()
    history_items = history_items.filter(history_items != (padding or ""))
    if not len(history_items) or not bool(history_items.is_in(items.unique().to_list()).all()):
        return False
    rows = zip(table.column(user_id).head(_SAMPLE), words.to_list(), items.head(_SAMPLE), strict=True)
    return continues((user, [word for word in history if word != padding], item) for user, history, item in rows)
