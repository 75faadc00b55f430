"""The template language of item text: what an encoder reads of an item.

    {title}                     the field; nothing where it is empty
    {title|untitled}            the field, or `untitled` where it is empty
    {*}                         every filled text field as `name: value`, joined by ". " (the default)
    [. genres: {genres}]        left out as a whole where a field in it is empty
    {{ }} [[ ]]                 the brackets themselves

Nothing is executed: a template is split once into pieces of text and names of fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from engine.errors import UserError, nearest

ALL = "*"
"""The name under which an item's whole text stands."""
EMPTY = "unknown"
"""The text of an item of which a template leaves nothing."""

_TOKEN = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{[^{}]*\}|[{}\[\]]|[^{}\[\]]+")


@dataclass(frozen=True)
class Slot:
    """A field's value, or what stands for it where it is empty (None: nothing)."""

    field: str
    instead: str | None


Piece: TypeAlias = str | Slot


@dataclass(frozen=True)
class TemplateSection:
    """Pieces that are left out together."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Template:
    """A template that was read."""

    parts: tuple[Piece | TemplateSection, ...]

    def render(self, item: Mapping[str, str]) -> str:
        """The text of one item, without blanks around it; EMPTY where nothing is left."""
        text = "".join(
            _section(part, item) if isinstance(part, TemplateSection) else _piece(part, item) or ""
            for part in self.parts
        )
        return text.strip() or EMPTY


def parse(text: str, fields: Iterable[str]) -> Template:
    """Read a template over these fields. Raises UserError for an unknown field (with the nearest) and for
    brackets that do not match, naming the column."""
    known = [*fields, ALL]
    parts: list[Piece | TemplateSection] = []
    section: list[Piece] | None = None
    for match in _TOKEN.finditer(text):
        token, column = match.group(), match.start() + 1
        place = f"--template, column {column}: "
        into: list[Piece | TemplateSection] | list[Piece] = parts if section is None else section
        if token in ("{{", "}}", "[[", "]]"):
            into.append(token[0])
        elif token == "[":
            if section is not None:
                raise UserError(f"{place}a section inside a section; close the first with ], or write [[ for a bracket")
            section = []
        elif token == "]":
            if section is None:
                raise UserError(f"{place}] closes nothing; write ]] for a bracket")
            if not any(isinstance(piece, Slot) for piece in section):
                raise UserError(f"{place}the section holds no field, so nothing decides about it; add one")
            parts.append(TemplateSection(tuple(section)))
            section = None
        elif token in ("{", "}"):
            raise UserError(f"{place}{token} without its partner; write {token * 2} for a brace")
        elif token.startswith("{"):
            into.append(_slot(token[1:-1], known, place))
        else:
            into.append(token)
    if section is not None:
        raise UserError("--template: a section is not closed; add ], or write [[ for a bracket")
    if not any(not isinstance(part, str) for part in parts):
        raise UserError("--template: names no field, so all items would have one text; write {title}, for instance")
    return Template(tuple(parts))


def render_all(template: Template, columns: Mapping[str, Sequence[str]]) -> list[str]:
    """The text of every item, from columns of equal length."""
    names = list(columns)
    rows = zip(*columns.values(), strict=True)
    return [template.render(dict(zip(names, row, strict=True))) for row in rows]


def _slot(inside: str, known: Sequence[str], place: str) -> Slot:
    name, bar, instead = inside.partition("|")
    name = name.strip()
    if name not in known:
        raise UserError(f"{place}no field {name[:40]!r} in the items{nearest(name, known)}")
    return Slot(name, instead if bar else None)


def _piece(piece: Piece, item: Mapping[str, str]) -> str | None:
    """Its text; None for an empty field for which nothing stands."""
    if isinstance(piece, str):
        return piece
    value = item[piece.field].strip()
    return value or piece.instead


def _section(section: TemplateSection, item: Mapping[str, str]) -> str:
    pieces = [_piece(piece, item) for piece in section.pieces]
    return "" if None in pieces else "".join(filter(None, pieces))
