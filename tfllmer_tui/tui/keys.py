"""Keys: every binding with its id, and a user's own keys in their place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from string import ascii_lowercase, digits
from typing import Any, cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import Keys, _character_to_key

from engine.bounds import read_json
from engine.errors import UserError
from engine.files import user_config

_MODIFIERS = re.compile(r"((ctrl|alt|shift|super|hyper|meta)\+)+(?=.)")


@dataclass(frozen=True)
class Shortcut:
    """A binding as people see it: its id, the keys as `keys.json` writes them, and what it does."""

    id: str
    keys: str
    description: str


def keys_file() -> Path:
    """The file of a user's own keys, binding id -> keys."""
    return user_config() / "keys.json"


def bound() -> list[type[DOMNode]]:
    """Every class of ours that binds keys, as far as it is imported: the app first, then by module and name."""
    return sorted(
        (node for node in dict.fromkeys(_below(DOMNode)) if node.__module__.startswith("tfllmer_tui.") and _own(node)),
        key=lambda node: (not node.__module__.endswith(".app"), node.__module__, node.__qualname__),
    )


def shortcuts(node: type[DOMNode]) -> list[Shortcut]:
    """What a class binds itself, in its order."""
    return [Shortcut(binding.id or "", binding.key, binding.description) for binding in _own(node)]


def is_key(text: str) -> bool:
    """Whether a terminal can send it, by the name that Textual has for it: `m`, `vertical_line`, `f2`, `ctrl+x`."""
    if text in _NAMED:
        return True
    name = _MODIFIERS.sub("", text)
    if len(name) <= 1:
        return name.isprintable() and name.strip() != ""
    return name in _NAMED or name in character_names()


_NAMED = {key.value for key in Keys}


@lru_cache(1)
def character_names() -> frozenset[str]:
    """What Textual calls the characters of a keyboard."""
    return frozenset(_character_to_key(chr(code)) for code in range(32, 0x2100) if chr(code).isprintable())


@dataclass(frozen=True)
class AltKey:
    """A key with alt, as Textual's table of sequences has its keys."""

    value: str


def take_alt_keys() -> None:
    """Most terminals send Esc and a character for alt with it. Textual takes a digit for what WezTerm on macOS means
    (`™` for alt+2) and a letter for text of its own; from now on both are keys. Sequences that are keys stay so."""
    known = cast("dict[str, Any]", ANSI_SEQUENCES_KEYS)
    for character in ascii_lowercase + digits:
        if not isinstance(known.get(f"\x1b{character}"), tuple):
            known[f"\x1b{character}"] = (AltKey(f"alt+{character}"),)


def own_keys(file: Path) -> dict[str, str]:
    """A user's keys by binding id; none where there is no file. Raises UserError for a file that is wrong: no JSON, an
    unknown id, a key that no terminal sends, or two bindings of one class with the same key."""
    try:
        keymap = read_json(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"{file} is no JSON ({error}); see docs/keys.md") from error
    if not isinstance(keymap, dict):
        raise UserError(f'{file}: give ids and keys, such as {{"runs.mark": "m"}}; see docs/keys.md')
    nodes = bound()
    known = {shortcut.id for node in nodes for shortcut in shortcuts(node)}
    for name, keys in keymap.items():
        if name not in known:
            nearest = get_close_matches(name, known, 1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else "docs/keys.md lists them"
            raise UserError(f"{file}: no binding has the id {name!r}; {hint}")
        if not isinstance(keys, str) or not all(map(is_key, keys.split(","))):
            raise UserError(f"{file}: {name}: {json.dumps(keys)} is no key; give one such as 'm', 'f2' or 'ctrl+x'")
    for node in nodes:
        _refuse_clash(file, node, keymap)
    return keymap


def _refuse_clash(file: Path, node: type[DOMNode], keymap: Mapping[str, str]) -> None:
    """Two bindings of one class whose keys are the same, where one of them is the user's."""
    taken: dict[str, str] = {}
    for _, binding in node._merge_bindings():
        name = binding.id or binding.action
        for key in keymap[name].split(",") if name in keymap else [binding.key]:
            other = taken.setdefault(key, name)
            if other != name and (name in keymap or other in keymap):
                raise UserError(f"{file}: {key!r} is the key of both {other} and {name}; give one of them another")


def _below(node: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for child in dict.fromkeys(node.__subclasses__()):
        yield child
        yield from _below(child)


def _own(node: type[DOMNode]) -> list[Binding]:
    return [binding for binding in node.__dict__.get("BINDINGS", ()) if isinstance(binding, Binding)]
