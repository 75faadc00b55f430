"""The expressions that the two databases spell differently.

SQLite keeps JSON as text that a hand may have damaged, times as text, and numbers that are not finite as words;
PostgreSQL has types for each, so that less has to be asked of a row.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from engine.records import STATUSES
from engine.store.dialects.sql import Sql, both, joined, sql

_STATUSES = ", ".join(f"'{status}'" for status in STATUSES)
_TIME = "[12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]*"
_TIMES = ("created", "started", "ended")

Path: TypeAlias = Sequence[str | int]
"""Into a JSON document: names, and places in arrays (-1 is the last)."""


def _sound(column: str) -> str:
    """A column of JSON in SQLite; NULL where it holds none, for which SQLite would give up all rows of a query."""
    return f"CASE WHEN json_valid({column}) THEN {column} END"


def _sqlite_path(path: Path) -> str:
    return "$" + "".join(f"[{'#-1' if at == -1 else at}]" if isinstance(at, int) else f'."{at}"' for at in path)


def _postgres_path(path: Path) -> str:
    quoted = (str(at).replace("\\", "\\\\").replace('"', '\\"') for at in path)
    return "{" + ",".join(f'"{at}"' for at in quoted) + "}"


# ------------------------------------------------------------------------------------ JSON


_LONG = ("train_ce", "rank_counts", "top")
"""Entries of a result that are longer than all others together, and that few questions are about."""

BINARY = {
    "spec_parts": "CAST(spec AS jsonb)",
    "reached": "CASE json_typeof(result) WHEN 'object'"
    f" THEN CAST(result AS jsonb) - CAST('{{{','.join(_LONG)}}}' AS text[]) ELSE CAST(result AS jsonb) END",
}
"""Columns that PostgreSQL keeps of `run` by itself: documents in their binary form, so that a part of one is found
without reading the whole text. The text stays what is copied and decoded: its order and spelling are the run's own."""


def _postgres_document(column: str, path: Path) -> tuple[str, str]:
    """The column that answers for a path into a document, and the kind of its functions."""
    if column == "run.spec":
        return "run.spec_parts", "jsonb"
    if column == "run.result" and path[0] not in _LONG:
        return "run.reached", "jsonb"
    return column, "json"


def _postgres_part(column: str, path: Path, operator: str = "#>") -> Sql:
    document, _ = _postgres_document(column, path)
    return sql(f"({document} {operator} CAST({{}} AS text[]))", _postgres_path(path))


def json_setting(column: str, *path: str | int) -> Sql:
    """A setting that is a number, or a word in the place of one, which PostgreSQL leaves out."""
    return both(json_text(column, *path), json_number(column, *path))


def json_text(column: str, *path: str | int) -> Sql:
    """What stands there as text."""
    at = sql(f"json_extract({_sound(column)}, {{}})", _sqlite_path(path))
    return both(at, _postgres_part(column, path, "#>>"))


def json_flag(column: str, *path: str | int) -> Sql:
    """1 or 0; NULL where there is neither true nor false."""
    text = _postgres_part(column, path, "#>>")
    at = sql(f"json_extract({_sound(column)}, {{}})", _sqlite_path(path))
    return both(at, sql("CASE {} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END", text))


def json_number(column: str, *path: str | int) -> Sql:
    """A number; NULL where there is none or something else."""
    document, at = _sound(column), _sqlite_path(path)
    is_number = f"json_type({document}, {{}}) IN ('integer', 'real')"
    return both(
        sql(f"CASE WHEN {is_number} THEN json_extract({document}, {{}}) END", at, at),
        _postgres_number(_postgres_part(column, path)),
    )


def _postgres_number(value: Sql) -> Sql:
    """By its text, since PostgreSQL reads the whole document each time that it is asked for a part of it."""
    return sql("CAST(substring(CAST({} AS text) FROM '^[-0-9].*') AS double precision)", value)


def json_plain(column: str, *path: str | int) -> Sql:
    """A number or a text; NULL where there is an object, or nothing. PostgreSQL gives its JSON as text."""
    document, at = _sound(column), _sqlite_path(path)
    is_plain = f"json_type({document}, {{}}) IN ('integer', 'real', 'text')"
    value, (_, kind) = _postgres_part(column, path), _postgres_document(column, path)
    return both(
        sql(f"CASE WHEN {is_plain} THEN json_extract({document}, {{}}) END", at, at),
        sql(f"CASE WHEN {kind}_typeof({{}}) IN ('number', 'string') THEN CAST({{}} AS text) END", value, value),
    )


def json_missing(column: str, *path: str | int) -> Sql:
    """Whether nothing stands there, not even null."""
    at = sql(f"(json_type({_sound(column)}, {{}}) IS NULL)", _sqlite_path(path))
    return both(at, sql("({} IS NULL)", _postgres_part(column, path)))


def json_entries(column: str, name: str) -> Sql:
    """The objects `each.value` of an array in the document, for FROM; no rows where there is none."""
    array, (_, kind) = _postgres_part(column, [name]), _postgres_document(column, [name])
    return both(
        sql(f"json_each({_sound(column)}, {{}}) AS each", _sqlite_path([name])),
        sql(
            f"{kind}_array_elements(CASE {kind}_typeof({{}}) WHEN 'array' THEN {{}} ELSE '[]' END) AS each(value)",
            array,
            array,
        ),
    )


def entry_number(name: str) -> Sql:
    """A number of an entry."""
    return both(
        Sql(f"json_extract(each.value, '$.{name}')"),
        _postgres_number(Sql(f"(each.value -> '{name}')")),
    )


def whole_json(column: str) -> Sql:
    """The document as the text that it is stored as."""
    return both(Sql(f"json_extract({_sound(column)}, '$')"), Sql(f"CAST({column} AS text)"))


_UNPACKED = {
    "spec_parts": "run.spec_parts #> CAST(ARRAY[] AS text[])",  # all of it
    "reached": "run.reached #> CAST(ARRAY[] AS text[])",
    "result": "CAST(CAST(run.result AS text) AS jsonb)",
    "facts": "CAST(CAST(run.facts AS text) AS jsonb)",
}


def read_once(columns: Sql, rest: Sql) -> Sql:
    """SELECT columns FROM run and the rest, for columns that ask for many parts of each run's documents: PostgreSQL
    unpacks a document anew for each part, so it is given them unpacked, once a run."""
    text, values = columns.for_postgres
    asked = [name for name in _UNPACKED if text.count(f"run.{name} #") > (name in BINARY)]
    if not asked:
        return sql("SELECT {} FROM run {}", columns, rest)
    for name in asked:
        text = text.replace(f"run.{name} #", f"doc.{name} #")
    for function in ("json_typeof", "json_array_elements"):  # no text is left
        text = text.replace(f"{function}(", f"{function.replace('json', 'jsonb')}(")
    unpacked = ", ".join(f"{_UNPACKED[name]} AS {name}" for name in asked)
    return both(
        sql("SELECT {} FROM run {}", columns, rest),
        sql(
            f"SELECT {{}} FROM run CROSS JOIN LATERAL (SELECT {unpacked} OFFSET 0) AS doc {{}}", Sql(text, values), rest
        ),
    )


# ------------------------------------------------------------------------------------ lists


def words_of(value: str, rows: str, order: str, separator: str) -> Sql:
    """The column `value` of rows (what follows FROM) in one text; NULL where there are none."""
    return both(
        Sql(f"(SELECT group_concat({value}, '{separator}') FROM (SELECT {value} FROM {rows} ORDER BY {order}))"),
        Sql(f"(SELECT string_agg({value}, '{separator}' ORDER BY {order}) FROM {rows})"),
    )


def array_of(value: str, rows: str, order: str) -> Sql:
    """The same as a JSON array, in text."""
    return both(
        Sql(f"(SELECT json_group_array({value}) FROM (SELECT {value} FROM {rows} ORDER BY {order}))"),
        Sql(f"(SELECT coalesce(CAST(json_agg({value} ORDER BY {order}) AS text), '[]') FROM {rows})"),
    )


def objects_of(names: Sequence[str], rows: str, order: str) -> Sql:
    """The columns `names` of rows as a JSON array of objects, in text."""
    pairs = ", ".join(f"'{name}', {name}" for name in names)
    return both(
        Sql(
            "(SELECT json_group_array(json(entry)) FROM"
            f" (SELECT json_object({pairs}) AS entry FROM {rows} ORDER BY {order}))"
        ),
        Sql(
            f"(SELECT coalesce(CAST(json_agg(json_build_object({pairs}) ORDER BY {order}) AS text), '[]') FROM {rows})"
        ),
    )


def among(expression: str, values: Sequence[str]) -> Sql:
    """Whether the expression is one of any number of values."""
    return both(
        sql(f"{expression} IN (SELECT value FROM json_each({{}}))", json.dumps(list(values))),
        sql(f"{expression} = ANY(CAST({{}} AS text[]))", list(values)),
    )


def listed(numbers: Sequence[int]) -> Sql:
    """The whole numbers as rows `asked.value`, in the order of `asked.key`, for FROM."""
    return both(
        sql("json_each({}) AS asked", json.dumps(list(numbers))),
        sql("unnest(CAST({} AS bigint[])) WITH ORDINALITY AS asked(value, key)", list(numbers)),
    )


def limited(query: Sql, limit: int | None) -> Sql:
    """At most so many rows of it."""
    return query if limit is None else sql("{} LIMIT {}", query, limit)


# ------------------------------------------------------------------------------------ text and numbers


def contains(expression: Sql, text: str) -> Sql:
    """Whether the expression contains the text, upper and lower case of ASCII the same."""
    lower = "".join(c.lower() if c.isascii() else c for c in text)
    return both(
        sql("(instr(lower({}), {}) > 0)", expression, lower),
        sql('(strpos(lower(CAST({} AS text) COLLATE "C"), {}) > 0)', expression, lower),
    )


def is_number(setting: Sql) -> Sql:
    """Whether a setting (`json_setting`) is no word in the place of a number."""
    return both(sql("typeof({}) <> 'text'", setting), sql("({} IS NOT NULL)", setting))


IS_FINITE = both(
    Sql("typeof(value) = 'real'"), Sql("(value < 'Infinity' AND value > '-Infinity')")
)  # nan is above infinity to PostgreSQL
"""Of a point: SQLite keeps what is not finite as words (`tables.point`)."""

IS_POINT = both(Sql("(typeof(value) IN ('real', 'text') AND typeof(wall) = 'real')"), Sql("TRUE"))
"""Whether a point holds what a point can."""


def total(value: str, order: str, condition: Sql | None = None) -> Sql:
    """The sum in order, 0.0 of nothing: sums of the same numbers in the same order are equal."""
    kept = Sql(value) if condition is None else sql(f"CASE WHEN {{}} THEN {value} END", condition)
    return both(sql("total({})", kept), sql(f"coalesce(sum({{}} ORDER BY {order}), 0.0)", kept))


# ------------------------------------------------------------------------------------ time

NOW = both(Sql("strftime('%Y-%m-%d %H:%M:%f000', 'now')"), Sql("timezone('UTC', clock_timestamp())"))
"""The present moment by the clock that all who use a store share: the server's; for a file this machine's."""


def seconds_since(column: str) -> Sql:
    """How long ago the time in a column is, by the same clock."""
    return both(
        Sql(f"((julianday('now') - julianday({column})) * 86400.0)"),
        Sql(f"CAST(extract(epoch FROM timezone('UTC', clock_timestamp()) - {column}) AS double precision)"),
    )


# ------------------------------------------------------------------------------------ damage

DAMAGE = both(
    Sql(f"""CASE
 WHEN run.damage <> '' THEN run.damage
 WHEN run.status NOT IN ({_STATUSES}) THEN 'its status is no word that a run can have'
 WHEN NOT json_valid(run.spec) THEN 'its specification is no JSON'
 WHEN json_type(run.spec, '$.train') IS NOT 'object' THEN 'its specification is none of a run'
 WHEN NOT json_valid(run.overrides) THEN 'its changed settings are no JSON'
 WHEN NOT json_valid(run.facts) THEN 'its facts are no JSON'
 WHEN NOT json_valid(coalesce(run.result, '{{}}')) THEN 'its result is no JSON'
 WHEN typeof(run.seed) <> 'integer' THEN 'its seed is no number'
 {" ".join(f"WHEN run.{name} NOT GLOB '{_TIME}' OR run.{name} < '1970' THEN '{name} is no time'" for name in _TIMES)}
END"""),
    Sql(f"""CASE
 WHEN run.damage <> '' THEN run.damage
 WHEN run.status NOT IN ({_STATUSES}) THEN 'its status is no word that a run can have'
 WHEN jsonb_typeof(run.spec_parts -> 'train') IS DISTINCT FROM 'object' THEN 'its specification is none of a run'
 {" ".join(f"WHEN run.{name} < '1970-01-01' THEN '{name} is no time'" for name in _TIMES)}
END"""),
)
"""Of a row of `run`, why it cannot be trusted; NULL where it is sound."""

IS_SOUND = sql("({}) IS NULL", DAMAGE)
"""Holds for runs that are not damaged."""


# ------------------------------------------------------------------------------------ metrics


def metric_value(name: str, stored: Sql, counts: Sql) -> Sql:
    """A metric as the result of a run holds it (`stored`), else from its counts of ranks (JSON) or its files."""
    asked = sql("run.status = 'finished' AND {} IS NULL", stored)
    value = computed("metric_value", sql("{}", name), Sql("run.id"), counts, where=asked)
    return sql("coalesce({}, CASE WHEN run.status = 'finished' THEN {} END)", stored, value)


def computed(function: str, *arguments: Sql, where: Sql = Sql("TRUE")) -> Sql:  # noqa: B008 (it never changes)
    """What a function of ours makes of a run. SQLite calls back for each row; PostgreSQL is given the values of the
    runs that it is asked for (`where`), made right before the query."""
    call = sql(f"{function}({{}})", joined(", ", arguments))
    return both(
        call,
        sql("CAST((CAST({} AS jsonb) ->> run.id) AS double precision)", Computed(function, tuple(arguments), where)),
    )


@dataclass(frozen=True)
class Computed:
    """Stands among bound values for what a function makes of the runs, by their ids."""

    function: str
    arguments: tuple[Sql, ...]
    where: Sql

    def rows(self) -> Sql:
        """Ids of runs, and the arguments of the function."""
        return read_once(sql("run.id, {}", joined(", ", self.arguments)), sql("WHERE {}", self.where))
