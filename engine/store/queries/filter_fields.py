"""The names that filters, sorting and columns of lists may use, and the SQL expression behind each.

Columns of a run, its tags and notes, its metrics (`ndcg@10` is the test one), and every dotted field of
its specification. A name never becomes SQL: it is looked up here, and its path in a JSON document is bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, assert_never, get_args, get_origin

from engine.metrics import CurveMeasure, ListMeasure, Metric, RankMeasure, is_metric_name, offered, parse_metric
from engine.records import STATUSES
from engine.spec import leaves
from engine.store.core.origin import ARCHIVE
from engine.store.dialects.pieces import (
    DAMAGE,
    computed,
    entry_number,
    json_entries,
    json_flag,
    json_missing,
    json_number,
    json_plain,
    json_setting,
    json_text,
    metric_value,
    whole_json,
    words_of,
)
from engine.store.dialects.sql import Sql, both, column, sql

TRASHED = "trashed"
"""Whether a run was removed. A list has no removed runs unless its filter asks by this name."""

ROW_LENGTH = "row_length"
"""Root mean square length of the raw initial rows."""

Kind: TypeAlias = Literal["text", "number", "flag", "time", "age", "run", "tag", "note"]


_TEXT = ("status", "arm", "ablation", "method", "dataset", "backbone", "embedding", "reason", "host", "device")
_HASHES = ("config_hash", "spec_hash", "data_hash")
_NUMBERS = ("seed", "attempt", "priority", "crashes")
_TIMES = ("created", "started", "ended")
_CALLED = {
    "data": "dataset",
    "data_set": "dataset",
    "model": "backbone",
    "vectors": "embedding",
    "id": "run",
    "ce": "train_ce",
    "epoch": "epochs",
    "time": "wall_s",
    "changes": "overrides",
    "prio": "priority",
    "test": "test.ndcg@10",
}
"""What people, and other tools, call some fields."""
_CLOSE = 0.5
"""How alike (0 to 1, difflib) a name has to be to be suggested."""
_MEANT = 4
_OF_RESULT = ("epochs", "best_epoch", "wall_s", "targets_per_s")


@dataclass(frozen=True, eq=False)
class Field:
    """One name: its kind decides which operators and values it takes."""

    name: str
    kind: Kind
    expression: Sql
    """Its value in the row of a run; for tags and notes a text that lists them, None where there are none."""
    choices: tuple[str, ...] = ()
    """All values there can be, where they are few and known."""
    measured: bool = False
    """A number that a run reached, not one that it was given."""
    word: Sql | None = None
    """Of a number that may be a word instead (`choices`): its value as text."""
    short: Sql | None = None
    """A shorter name that its value goes by as well: the ablation of an arm."""


def find_field(name: str) -> Field | None:
    """The field of that name, upper or lower case; None where there is none. Raises UserError where it is meant as a
    metric's and is none (`parse_metric`)."""
    known = name.lower()
    if (field := all_fields().get(known)) is not None:
        return field
    return _measured(known, _value_of(parse_metric(known))) if is_metric_name(known) else None


def _measured(name: str, expression: Sql) -> Field:
    return Field(name, "number", expression, measured=True)


def near_field(name: str) -> str:
    """The fields that a name which is none may stand for, for a message."""
    if candidates := meant_fields(name):
        return f" (did you mean {' or '.join(candidates[:_MEANT])}?)"
    return " (for instance status, arm, dataset, seed, ndcg@10, train.lr, tag)"


def meant_fields(name: str) -> list[str]:
    """Full names for one that is none: what it is called elsewhere, what ends with it (`lr`, `graph.window`), what
    begins with it (`valid`), else the one that is spelt most like it, whole or by its last part."""
    word, known = name.lower(), list(all_fields())
    if word in _CALLED:
        return [_CALLED[word]]
    ends = [field for field in known if field.endswith(f".{word}")]
    if ends:
        return ends
    if begins := [field for field in known if field.startswith(f"{word}.")]:
        return begins[:1]
    by_last: dict[str, list[str]] = {}
    for field in known:
        by_last.setdefault(field if "@" in field else field.rpartition(".")[2], []).append(field)
    (close, *_) = [*get_close_matches(word, [*known, *by_last], n=1, cutoff=_CLOSE), ""]
    return [close] if close in known else by_last.get(close, [])


@cache
def all_fields() -> dict[str, Field]:
    """Every name that can be listed, the ones people use most first."""
    fields = [Field("run", "run", column("id"))]
    fields += [
        Field(
            name,
            "text",
            column(name),
            STATUSES if name == "status" else (),
            short=column("ablation") if name == "arm" else None,
        )
        for name in _TEXT
    ]
    fields.append(Field("damage", "text", sql("({})", DAMAGE)))
    fields.append(Field("archive", "text", ARCHIVE))
    fields.append(Field("study", "text", _STUDY))
    fields += [Field(name, "number", column(name)) for name in _NUMBERS]
    fields += [
        Field("tag", "tag", _TAGS),
        Field("note", "note", _NOTES),
    ]
    fields += [_measured(metric.key, _value_of(metric)) for metric in offered() if metric.split != "valid"]
    fields += [_measured(str(m), _value_of(m)) for m in sorted(offered(), key=_valid_first) if not m.is_curve]
    fields += [Field(name, "time", column(name)) for name in _TIMES]
    fields.append(Field("age", "age", column("created")))
    fields += [_measured(name, json_number("run.result", name)) for name in _OF_RESULT]
    fields.append(_measured(ROW_LENGTH, _row_length()))
    fields += [Field(name, "text", column(name)) for name in _HASHES]
    fields.append(Field(TRASHED, "flag", Sql("CASE WHEN run.trashed IS NULL THEN 0 ELSE 1 END"), ("true", "false")))
    fields.append(Field("overrides", "text", whole_json("run.overrides")))
    columns = {field.name: field for field in fields}
    return columns | {name: field for name, field in _spec_fields().items() if name not in columns}


# ------------------------------------------------------------------------------------ expressions


_STUDY = Sql("(SELECT study.name FROM study WHERE study.id = run.study_id)")
_TAGS = words_of("name", "tag WHERE tag.run_id = run.id", "name", " ")
_FIRST_NOTE = json_text("run.spec", "note")
NOTES_OF_RUN = sql(
    "SELECT {} AS text WHERE {} <> '' UNION ALL SELECT note.text AS text FROM note WHERE note.run_id = run.id",
    _FIRST_NOTE,
    _FIRST_NOTE,
)
"""Rows (text) of the row's notes: the one it was started with, and those written since."""
_NOTES = both(
    sql("(SELECT group_concat(text, '; ') FROM ({}))", NOTES_OF_RUN),
    sql("(SELECT string_agg(text, '; ') FROM ({}) AS own)", NOTES_OF_RUN),
)


def _row_length() -> Sql:
    """`spec.initial_row_length`, as comparisons have it; a specification of the first format names kinds plainly."""
    init, id_sd, inject = (
        sql("coalesce({}, {})", json_plain("run.spec", *present), json_plain("run.spec", *first))
        for present, first in (
            (("table", "init", "kind"), ("table", "init")),
            (("table", "init", "id_sd"), ("table", "id_sd")),
            (("table", "inject", "kind"), ("table", "inject")),
        )
    )
    facts = (("row_length",), ("geometry", "norms", "mean"), ("geometry", "norms", "cv"))
    settings = (("table", "row_length"), ("backbone", "width"))
    return computed(
        "row_length",
        *(json_number("run.facts", *path) for path in facts),
        *(json_plain("run.spec", *path) for path in settings),
        *(init, id_sd, inject, json_plain("run.spec", "table", "inject", "id_sd")),
    )


def _valid_first(metric: Metric) -> bool:
    return metric.split != "valid"


def _value_of(metric: Metric) -> Sql:
    """A metric in the result; what the result does not hold by its name is computed (`connections.connect`)."""
    name = metric.measure.name
    counts = Sql("NULL")
    match metric.measure:
        case CurveMeasure() if metric.measure.mean:
            return _mean_of_curve(metric.measure.curve, metric.at)
        case CurveMeasure() if metric.at is None:
            return json_number("run.result", metric.measure.curve, -1, "value")
        case CurveMeasure():
            at = "(SELECT {} FROM {} WHERE {} = {} LIMIT 1)"
            entries = json_entries("run.result", metric.measure.curve)
            return sql(at, entry_number("value"), entries, entry_number("epoch"), metric.at)
        case RankMeasure():
            stored = json_number("run.result", metric.split, metric.key)
            counts = json_text("run.result", "rank_counts", metric.split)
        case ListMeasure():
            stored = json_number("run.result", "top", name, (metric.at or 0) - 1)
        case _:
            assert_never(metric.measure)
    return metric_value(str(metric), stored, counts)


def _mean_of_curve(name: str, at: int | None) -> Sql:
    """`engine.metrics.mean_level` of a curve in the result, up to an epoch that it was measured at."""
    points = sql(
        "SELECT {} AS e, {} AS v FROM {}",
        entry_number("epoch"),
        entry_number("value"),
        json_entries("run.result", name),
    )
    before = "lag(e) OVER (ORDER BY e) AS e0, lag(v) OVER (ORDER BY e) AS v0"
    upto = Sql("") if at is None else sql(" WHERE e <= {} HAVING max(e) = {}", at, at)
    area = "(SELECT sum((e - e0) * (v + v0) / 2.0) / nullif(max(e) - min(e), 0)"
    return sql(area + f" FROM (SELECT e, v, {before} FROM ({{}}) AS measured) AS pieces{{}})", points, upto)


# ------------------------------------------------------------------------------------ the specification


def _spec_fields() -> dict[str, Field]:
    """Every setting by its dotted name. A specification stored before a setting existed has its default, unless
    the setting belongs to one kind of several (`backbone.hidden`)."""
    fields: dict[str, Field] = {}
    for leaf in leaves():
        kind, choices = _kind(leaf.info.annotation)
        default = None if leaf.needs else leaf.default
        known = leaf.kinds or choices
        word = _in_spec("text", leaf.path, default) if kind == "number" and known else None
        field = Field(leaf.name, kind, _in_spec(kind, leaf.path, default), known, word=word)
        fields.setdefault(leaf.name.lower(), field)
    return fields


def _in_spec(kind: Kind, path: tuple[str, ...], default: Any) -> Sql:
    read = json_flag if kind == "flag" else json_setting if kind == "number" else json_text
    value = read("run.spec", *path)
    if not isinstance(default, str | int | float):
        return value
    stored = int(default) if isinstance(default, bool) else default
    missing = json_missing("run.spec", *path)
    filled = both(
        sql("CASE WHEN {} THEN {} ELSE {} END", missing, stored, value),
        sql("coalesce({}, CASE WHEN {} THEN {} END)", value, missing, stored),  # most have it, and each look costs
    )
    return both(filled, value) if kind == "number" and isinstance(default, str) else filled


def _kind(annotation: Any) -> tuple[Kind, tuple[str, ...]]:
    parts = list(get_args(annotation)) if get_origin(annotation) in (Union, UnionType) else [annotation]
    if bool in parts:
        return "flag", ("true", "false")
    choices = [str(value) for part in parts if get_origin(part) is Literal for value in get_args(part)]
    return "number" if int in parts or float in parts else "text", tuple(choices)
