"""The language of filters (`filters` says what it means): from text to a tree of terms."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import NoReturn, TypeAlias

from engine.errors import UserError, nearest
from engine.store.queries.filter_fields import Field, find_field, near_field

MAX_LENGTH, MAX_TERMS, MAX_DEPTH = 4000, 100, 30
"""What a person writes is far below; SQLite's own limits are above."""

ORDERED = ("<", "<=", ">", ">=")
_OPERATOR = re.compile(r"!=|!~|<=|>=|[=~<>:]")
_WORD = re.compile(r"[^\s,()\"'=~<>:!]+")
BARE_VALUE = re.compile(r"[^\s,()\"'=~<>!][^\s,()\"']*")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class FilterError(UserError):
    """A filter that cannot be read: one line that names the column, and a caret for a screen."""

    def __init__(self, text: str, column: int, problem: str) -> None:
        super().__init__(f"filter, column {column}: {problem}")
        self.text = text
        self.column = column
        """Counted from 1."""

    @property
    def pointer(self) -> str:
        """The filter, and below it a caret at the place."""
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in self.text)
        width = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text[: self.column - 1])
        return f"{text}\n{' ' * width}^"


@dataclass(frozen=True)
class Value:
    """One value of a term; only one without quotes can mean `none`."""

    text: str
    quoted: bool = False


@dataclass(frozen=True)
class Compare:
    """`field op value,value`; `:` has become `=`."""

    field: str
    op: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Word:
    """A word alone."""

    text: str


@dataclass(frozen=True)
class Not:
    part: Node


@dataclass(frozen=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    parts: tuple[Node, ...]


Node: TypeAlias = Compare | Word | Not | And | Or


def read(text: str) -> Node:
    """The tree of a filter; an empty one is And(()). Raises FilterError."""
    return _Parser(text).whole()


class _Parser:
    """Recursive descent; `at` is the place that is read next."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.terms = text, 0, 0
        if len(text) > MAX_LENGTH:
            self.fail(f"the filter is longer than {MAX_LENGTH} characters", MAX_LENGTH)

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        raise FilterError(self.text, (self.at if at is None else at) + 1, problem)

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match

    def peek(self, *words: str) -> bool:
        """Whether one of the reserved words, or a character, comes next."""
        self.skip()
        match = _WORD.match(self.text, self.at)
        return (match[0].lower() if match else self.text[self.at : self.at + 1]) in words

    def whole(self) -> Node:
        self.skip()
        if self.at == len(self.text):
            return And(())
        root = self.either(0)
        self.skip()
        if self.at < len(self.text):
            self.fail("this ) closes nothing" if self.text[self.at] == ")" else "a term was expected here")
        return root

    def either(self, depth: int) -> Node:
        parts = [self.both(depth)]
        while self.peek("or"):
            self.at += 2
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def both(self, depth: int) -> Node:
        parts = [self.one(depth)]
        while not self.peek("", ")", "or"):
            if self.peek("and"):
                self.at += 3
            parts.append(self.one(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def one(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            self.fail(f"parentheses and negations are nested more than {MAX_DEPTH} deep")
        if self.peek("not"):
            self.at += 3
            return Not(self.one(depth + 1))
        if self.at < len(self.text) and self.text[self.at] in "-!":
            self.at += 1
            return Not(self.one(depth + 1))
        if self.peek("("):
            opened, self.at = self.at, self.at + 1
            inner = self.either(depth + 1)
            if not self.peek(")"):
                self.fail("this ( is not closed", opened)
            self.at += 1
            return inner
        return self.term()

    def term(self) -> Node:
        self.terms += 1
        if self.terms > MAX_TERMS:
            self.fail(f"more than {MAX_TERMS} terms")
        if self.peek("", ")", "or", "and"):
            self.fail("a term is missing here; write for instance status=failed")
        start = self.at
        if (quoted := self.quoted()) is not None:
            return Word(quoted.text)
        word = self.take(_WORD)
        if word is None:
            self.fail(f"a field is missing before {self.text[self.at]}")
        self.skip()
        operator = self.take(_OPERATOR)
        if operator is None:
            self.at = word.end()
            return Word(word[0])
        try:
            field = find_field(word[0])
        except UserError as error:  # it is meant as a metric's name
            self.fail(str(error), start)
        if field is None:
            self.fail(f"{word[0]!r} is no field{near_field(word[0])}", start)
        op = operator[0].replace(":", "=")
        if problem := _wrong_operator(field, op):
            self.fail(problem, operator.start())
        values = [self.value(field, op)]
        self.skip()
        while self.at < len(self.text) and self.text[self.at] == ",":
            if op in ORDERED:
                self.fail(f"{op} takes one value")
            self.at += 1
            values.append(self.value(field, op))
            self.skip()
        return Compare(field.name, op, tuple(values))

    def value(self, field: Field, op: str) -> Value:
        self.skip()
        start = self.at
        value = self.quoted()
        if value is None:
            bare = self.take(BARE_VALUE)
            if bare is None:
                self.fail(f"a value of {field.name} is missing here")
            value = Value(bare[0])
        if problem := _wrong_value(field, op, value):
            self.fail(problem, start)
        return value

    def quoted(self) -> Value | None:
        if self.text[self.at : self.at + 1] not in ('"', "'"):
            return None
        match = self.take(_QUOTED)
        if match is None:
            self.fail("this quotation mark is not closed")
        inner = match[1] if match[1] is not None else match[2]
        return Value(re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL), quoted=True)


def _wrong_operator(field: Field, op: str) -> str | None:
    if field.kind in ("number", "time", "age") and op in ("~", "!~"):
        return f"{field.name} is a {_NOUN[field.kind]} and takes = != < <= > >="
    if field.kind in ("text", "run", "tag", "note") and op in ORDERED:
        return f"{field.name} is text and takes = != ~ !~"
    if field.kind == "flag" and op not in ("=", "!="):
        return f"{field.name} is true or false and takes = !="
    if field.kind == "age" and op not in ORDERED:
        return "age takes < <= > >=, for instance age<2d"
    return None


_NOUN = {"number": "number", "time": "time", "age": "span of time"}


def _wrong_value(field: Field, op: str, value: Value) -> str | None:
    if op in ("=", "!=") and is_none(value):
        return None
    problem = None
    if field.kind == "number" and op in ("=", "!=") and value.text in field.choices:
        return None
    if field.kind == "number" and _number(value.text) is None:
        words = "".join(f" or {word}" for word in field.choices)
        problem = f"{field.name} is a number{words}, not {value.text!r}"
    elif field.kind == "flag" and value.text.lower() not in ("true", "false"):
        problem = f"{field.name} is true or false, not {value.text!r}"
    elif field.kind == "age" and span(value.text) is None:
        problem = f"age is a span such as 90m, 3h, 2d or 1w, not {value.text!r}"
    elif field.kind == "time":
        if period(value.text) is None and span(value.text) is None:
            problem = f"{field.name} is a time such as 2026-11-01, 2026-11-01T12:30 or 2d (ago), not {value.text!r}"
        elif period(value.text) is None and op not in ORDERED:
            problem = f"a span such as {value.text} takes < <= > >="
    elif field.kind == "text" and field.choices and op in ("=", "!=") and value.text not in field.choices:
        problem = f"{field.name} is never {value.text!r}{nearest(value.text, field.choices)}"
    return problem


def is_none(value: Value) -> bool:
    return value.text.lower() == "none" and not value.quoted


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def span(text: str) -> timedelta | None:
    match = _SPAN.fullmatch(text.lower())
    if match is None or float(match[1]) * _SECONDS[match[2]] > 3e9:  # a century, to stay within the calendar
        return None
    return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])


def period(text: str) -> tuple[datetime, datetime] | None:
    """The day, minute or second that the text names, as [from, to); UTC unless it says otherwise."""
    try:
        start = datetime.fromisoformat(text)
        start = start.astimezone(UTC) if start.tzinfo else start.replace(tzinfo=UTC)
        clock = text[10:]
        width = timedelta(days=1) if not clock else timedelta(seconds=60 if clock.count(":") == 1 else 1)
        return start, start + width
    except (ValueError, OverflowError):
        return None
