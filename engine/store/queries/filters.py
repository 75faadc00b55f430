"""The one filter language of lists, in the CLI and on the screen: parsed, never evaluated as code.

    status=failed ablation~norm ndcg@10>0.1 seed=0,1 tag:baseline created>2d (dataset=ml-1m or train.lr>=1e-3) -tag:old

Terms side by side must all hold; `or`, `and`, `not` and parentheses combine them, `-` negates one. A term is
a field (`filter_fields`), an operator and a value, or several values with commas of which one must fit:

    = !=  equal (`:` is the same as =; a run's id: begins so)     ~ !~  contains, upper and lower case the same
    < <= > >=  numbers, times (2026-11-01, 2026-11-01T12:30, in UTC; 2d = the moment two days ago) and age (2d, 3h)

A word alone is looked for in id, status, arm, data set, backbone, embedding, tags and notes. `none` means that
there is no value. An arm goes by its ablation alone, too: `arm:no-norm` finds `tf-llmer/no-norm`. A run that lacks a
value meets no comparison with it; != and !~ are the opposites of = and ~.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, assert_never

from engine.errors import UserError
from engine.store.core.database import Store
from engine.store.core.times import NEVER, time_text
from engine.store.dialects.pieces import contains, is_number
from engine.store.dialects.sql import Sql, column, joined, sql
from engine.store.queries.filter_fields import (
    NOTES_OF_RUN,
    TRASHED,
    Field,
    all_fields,
    find_field,
    near_field,
)
from engine.store.queries.filter_grammar import (
    BARE_VALUE,
    And,
    Compare,
    FilterError,
    Node,
    Not,
    Or,
    Value,
    Word,
    is_none,
    period,
    read,
    span,
)

__all__ = ["Filter", "FilterError", "complete", "field_named", "order_by", "parse", "word_start"]

_SUGGESTIONS = 20
_VALUES = 200
_LOOKED_IN = ("status", "arm", "dataset", "backbone", "embedding", "tag", "note")


@dataclass(frozen=True)
class Filter:
    """A filter that was read; an empty one lets every run through."""

    text: str
    root: Node

    @property
    def trashed(self) -> bool | None:
        """Which runs a list of them is made from, as `list_records` takes it: also removed ones (None) where the
        filter asks about that."""
        return None if TRASHED in _fields_of(self.root) else False

    def clause(self) -> Sql:
        """The condition on rows of `run`, with every value bound. Spans (2d) count back from now."""
        return _clause(self.root)


def parse(text: str) -> Filter:
    """Read a filter. Raises FilterError (a UserError) that names the column, counted from 1, and the nearest field."""
    return Filter(text, read(text))


def order_by(text: str) -> list[Sql]:
    """`-ndcg@10,seed` as expressions to sort by: fields with commas, `-` for descending. Runs that lack a
    value come last. Raises UserError for a name that is no field."""
    keys = []
    for name in text.split(","):
        field = field_named(name.strip().removeprefix("-"), "--sort")
        descending = name.strip().startswith("-") != (field.kind == "age")
        keys.append(sql("{} DESC NULLS LAST" if descending else "{} ASC NULLS LAST", field.expression))
    return keys


def field_named(name: str, where: str) -> Field:
    """The field, for lists of columns and sort keys. Raises UserError with the nearest name; of a metric's name with
    the words of `parse_metric`."""
    field = find_field(name)
    if field is None:
        raise UserError(f"{where} {name}: no such field{near_field(name)}")
    return field


def _fields_of(node: Node) -> set[str]:
    """The fields that are compared, lower case."""
    match node:
        case And(parts) | Or(parts):
            return set().union(*map(_fields_of, parts))
        case Not(part):
            return _fields_of(part)
        case Word():
            return set()
        case Compare(name):
            return {name.lower()}
        case _:
            assert_never(node)


# ------------------------------------------------------------------------------------ to SQL


def _clause(node: Node) -> Sql:
    match node:
        case And(parts):
            return _all(map(_clause, parts))
        case Or(parts):
            return _any(map(_clause, parts))
        case Not(part):
            return sql("(NOT {})", _clause(part))
        case Word(text):
            begins = _equal(column("id"), "run", Value(text, quoted=True))
            places = [all_fields()[name] for name in _LOOKED_IN]
            return _any([begins, *(_compare(field, "~", Value(text, quoted=True)) for field in places)])
        case Compare(name, op, values):
            field = field_named(name, "filter")
            positive = op.replace("!=", "=").replace("!~", "~")
            any_of = _any(_compare(field, positive, value) for value in values)
            return sql("(NOT {})", any_of) if op.startswith("!") else any_of
        case _:
            assert_never(node)


def _all(conditions: Iterable[Sql]) -> Sql:
    return sql("({})", joined(" AND ", [Sql("TRUE"), *conditions]))


def _any(conditions: Iterable[Sql]) -> Sql:
    return sql("({})", joined(" OR ", [Sql("FALSE"), *conditions]))


def _compare(field: Field, op: str, value: Value) -> Sql:
    """True or false, never NULL."""
    none = op == "=" and is_none(value)
    if field.kind == "tag":
        rows = Sql("SELECT 1 FROM tag WHERE tag.run_id = run.id")
        fitting = sql("{} AND {}", rows, _text(Sql("tag.name"), op, value))
    elif field.kind == "note":
        rows = sql("SELECT 1 FROM ({}) AS own", NOTES_OF_RUN)
        fitting = sql("{} WHERE {}", rows, _text(Sql("own.text"), op, value))
    else:
        return sql("coalesce({}, FALSE)", _holds(field, op, value))
    return sql("(NOT EXISTS ({}))", rows) if none else sql("EXISTS ({})", fitting)


def _holds(field: Field, op: str, value: Value) -> Sql:
    expression = field.expression
    if op == "=" and is_none(value):
        nothing = sql("{} IS NULL", expression)
        return _any([nothing, _ordered(expression, "=", "none")]) if field.kind == "text" else nothing
    if field.kind == "number":
        return _number(field, op, value)
    if field.kind == "flag":
        return _ordered(expression, "=", int(value.text.lower() == "true"))
    if field.kind in ("time", "age"):
        return _at(expression, field.kind, op, value.text)
    if op == "=" and field.short is not None:
        short = sql("coalesce({}, FALSE)", _ordered(field.short, "=", value.text))
        return _any([_ordered(expression, "=", value.text), short])
    return _equal(expression, field.kind, value) if op == "=" else _text(expression, op, value)


def _ordered(expression: Sql, op: str, bound: str | float) -> Sql:
    assert op in _COMPARISONS  # the language writes them as SQL does
    return sql(f"({{}} {op} {{}})", expression, bound)


def _number(field: Field, op: str, value: Value) -> Sql:
    """Some numbers may be words as well (a row length `id`), which SQLite takes for larger than all numbers."""
    if value.text in field.choices:
        return _ordered(field.word or field.expression, op, value.text)
    condition = _ordered(field.expression, op, float(value.text))
    return _all([is_number(field.expression), condition]) if field.choices else condition


_COMPARISONS = ("=", "<", "<=", ">", ">=")


def _at(expression: Sql, kind: str, op: str, text: str) -> Sql:
    """Against a moment (a span ago), or against the whole day or minute that the text names."""
    if (back := span(text)) is not None:
        flipped = op.translate(str.maketrans("<>", "><")) if kind == "age" else op
        return _ordered(expression, flipped, time_text(datetime.now(UTC) - back))
    start, end = map(time_text, period(text) or (NEVER, NEVER))
    if op == "=":
        return _all([_ordered(expression, ">=", start), _ordered(expression, "<", end)])
    how, bound = {"<": ("<", start), "<=": ("<", end), ">": (">=", end), ">=": (">=", start)}[op]
    return _ordered(expression, how, bound)


def _equal(expression: Sql, kind: str, value: Value) -> Sql:
    if kind == "run":
        return sql("(substr({}, 1, {}) = {})", expression, len(value.text), value.text.upper())
    return _ordered(expression, "=", value.text)


def _text(expression: Sql, op: str, value: Value) -> Sql:
    if op == "=":
        return _ordered(expression, "=", value.text)
    return contains(expression, value.text)


# ------------------------------------------------------------------------------------ completion


def word_start(text: str, cursor: int) -> int:
    """Where the word begins that ends at the cursor: what a suggestion of `complete` takes the place of."""
    word = re.search(r"[^\s,()\"'=~<>:!]*$", text[:cursor])
    start = word.start() if word else cursor
    return start + (start < cursor and text[start] == "-" and not _asks_for_value(text[:start]))


def complete(text: str, cursor: int, store: Store | None = None) -> list[str]:
    """Words that may stand in place of the one that ends at the cursor (`word_start`), best first: names of
    fields, or values of the field before the operator (known choices; with a store, what its runs have)."""
    start = word_start(text, cursor)
    typed = text[start:cursor].lower()
    field_name = _asks_for_value(text[:start])
    if field_name is None:
        known = list(all_fields())
    else:
        try:
            field = find_field(field_name)
        except UserError:  # a metric's name that is not complete
            field = None
        known = _values(field, store) if field else []
    return sorted((name for name in known if typed in name.lower()), key=lambda name: _distance(typed, name.lower()))[
        :_SUGGESTIONS
    ]


def _distance(typed: str, name: str) -> int:
    """How far in a name what was typed of it stands: at its beginning, at that of its last part, of another, within."""
    last = re.split(r"[./]", name)[-1]
    return 0 if name.startswith(typed) else 1 if last == typed else 2 if last.startswith(typed) else 3


def _asks_for_value(before: str) -> str | None:
    """The field whose value comes next; None where a field does."""
    asking = re.search(
        r"([^\s,()\"'=~<>:!-][^\s,()\"'=~<>:!]*)\s*(?:!=|!~|<=|>=|[=~<>:])\s*(?:[^\s,()]+\s*,\s*)*$", before
    )
    return asking[1] if asking else None


def _values(field: Field, store: Store | None) -> list[str]:
    if field.choices or store is None or field.kind not in ("text", "tag", "number"):
        return list(field.choices)
    of_runs = sql("SELECT {} AS value FROM run", field.expression)
    every = Sql("SELECT name AS value FROM tag") if field.kind == "tag" else of_runs
    with store.rows() as connection:
        query = sql(
            "SELECT DISTINCT value FROM ({}) AS every WHERE value IS NOT NULL ORDER BY value LIMIT {}", every, _VALUES
        )
        return [_written(value) for (value,) in connection.execute(query)]


def _written(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if BARE_VALUE.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
